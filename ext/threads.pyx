# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""System calls in every thread of the process."""

from libc.stdint cimport int32_t, int64_t, uint32_t


cdef extern from "threads.h" nogil:
    enum:
        THREAD_CALL_WORDS
        SYS_capset
        SYS_prctl
    int threads_call(const int64_t *calls, uint32_t count, const int32_t *threads, uint32_t thread_count,
                     int32_t *errors) noexcept

CAPSET = SYS_capset
PRCTL = SYS_prctl


def call(const int64_t[:, ::1] calls, const int32_t[::1] threads, int32_t[::1] errors):
    """Does the calls, int64[n, 6] of number and arguments, in each of the threads; errors[n] gets the errno of a thread
    in which call n failed, or 0.

    Raises ValueError for arrays of wrong shapes, and OSError when a thread cannot be made to do them: when it does not
    answer in two seconds, the process had better end. One thread at a time may be here.
    """
    cdef int fault
    if calls.shape[1] != THREAD_CALL_WORDS or errors.shape[0] != calls.shape[0]:
        raise ValueError("calls are six numbers each, and have an error each")
    if not calls.shape[0] or not threads.shape[0]:
        return
    with nogil:
        fault = threads_call(&calls[0, 0], <uint32_t>calls.shape[0], &threads[0], <uint32_t>threads.shape[0],
                             &errors[0])
    if fault:
        raise OSError(fault, "a thread does not answer")
