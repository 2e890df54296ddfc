# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Classic BPF programs over many frames at once."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef extern from "bpf.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct bpf_instruction:
        pass
    int bpf_validate(const bpf_instruction *program, uint32_t count, uint32_t *where) noexcept
    uint32_t bpf_run(const bpf_instruction *program, bytes_view frame, uint32_t wire_length) noexcept
    enum:
        BPF_NOT_IN_FRAME

cdef enum:
    MOST_INSTRUCTIONS = 1 << 20

FAULTS = ("", "has an unknown code", "jumps out of the program", "uses memory that is not there",
          "divides by zero", "is the last and does not return", "asks for what only a live capture knows")
NOT_IN_FRAME = FAULTS[BPF_NOT_IN_FRAME]


cdef class Program:
    """A program, uint8[8 n]: n times code u2, jt u1, jf u1, k u4, in the machine's byte order.

    Raises ValueError, saying why, for one that must not run.
    """

    cdef bpf_instruction *instructions
    cdef readonly uint32_t count

    def __cinit__(self, const uint8_t[::1] program):
        cdef Py_ssize_t n
        cdef uint32_t where = 0
        cdef int fault
        self.count = <uint32_t>(program.shape[0] // <Py_ssize_t>sizeof(bpf_instruction))
        if program.shape[0] % <Py_ssize_t>sizeof(bpf_instruction) or program.shape[0] > MOST_INSTRUCTIONS * 8:
            raise ValueError(f"{program.shape[0]} bytes are no program")
        self.instructions = <bpf_instruction *>malloc(program.shape[0] + 1)
        if not self.instructions:
            raise MemoryError
        for n in range(program.shape[0]):
            (<uint8_t *>self.instructions)[n] = program[n]
        fault = bpf_validate(self.instructions, self.count, &where)
        if fault:
            raise ValueError(f"instruction {where} {FAULTS[fault]}")

    def __dealloc__(self):
        free(self.instructions)

    def run(self, const uint8_t[::1] data, const uint32_t[:] offset, const uint32_t[:] captured_length,
            const uint32_t[:] wire_length, const uint8_t[:] wanted, uint8_t[:] matches):
        """Sets matches[n] to 1 for each frame that the program accepts, else to 0, where wanted[n] is not 0.

        Frame n is captured_length[n] bytes of `data` from offset[n] on, of wire_length[n]. Raises ValueError for
        columns of different lengths, and for frames that are not inside `data`.
        """
        cdef Py_ssize_t count = offset.shape[0], n
        cdef uint64_t size = <uint64_t>data.shape[0]
        cdef const uint8_t *first = &data[0] if data.shape[0] else NULL
        cdef bytes_view frame
        cdef bint inside = True
        if not (count == captured_length.shape[0] == wire_length.shape[0] == wanted.shape[0] == matches.shape[0]):
            raise ValueError("columns of different lengths")
        with nogil:
            for n in range(count):
                if not wanted[n]:
                    continue
                if <uint64_t>offset[n] + captured_length[n] > size:
                    inside = False
                    break
                frame.data = first + offset[n]
                frame.length = captured_length[n]
                matches[n] = bpf_run(self.instructions, frame, wire_length[n]) != 0
        if not inside:
            raise ValueError("a frame reaches beyond its buffer")
