/* System calls in every thread of the process. Linux only.
 *
 * The kernel keeps capabilities, no_new_privs and Landlock domains per thread, and so what a process gives up has to be
 * given up by each of its threads, those of libraries too. A signal makes a thread do it: the one that libc itself has
 * for this (it makes setuid() and its like one call for all threads), as no other reaches threads that block all
 * signals, as allocators' do. It is borrowed for the time of the calls and then put back.
 */
#ifndef SPANLINE_THREADS_H
#define SPANLINE_THREADS_H
#ifdef __linux__

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    THREAD_CALLS_MOST = 96,
    THREAD_CALL_WORDS = 6,     /* number of the system call, five arguments */
    THREADS_SIGNAL = 33,       /* SIGSETXID of glibc, never blocked there; musl keeps it for itself, too */
    THREADS_WAITS = 20000,     /* times a tenth of a millisecond for one thread */
    KERNEL_SIGNAL_BYTES = 8,   /* of the kernel's sigset_t */
    KERNEL_ACTION_BYTES = 256, /* more than its sigaction has on any machine */
};

/* A signal handler has no argument of its own. Only one thread at a time may be in threads_call. */
static struct {
    int64_t calls[THREAD_CALLS_MOST][THREAD_CALL_WORDS];
    int32_t errors[THREAD_CALLS_MOST];
    uint32_t count;
    int32_t answered; /* the thread that made the calls */
} threads_work;

static void threads_on_signal(int number) {
    (void)number;
    const int before = errno;
    for (uint32_t n = 0; n < threads_work.count; n++) {
        const int64_t *call = threads_work.calls[n];
        if (syscall((long)call[0], (long)call[1], (long)call[2], (long)call[3], (long)call[4], (long)call[5]) < 0)
            threads_work.errors[n] = errno;
    }
    __atomic_store_n(&threads_work.answered, (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    errno = before;
}

/* Makes one thread do the calls. 0 when it did, or has ended; ETIMEDOUT when it does not answer. */
static int threads_ask(int32_t thread) {
    const struct timespec moment = {0, 100000};
    __atomic_store_n(&threads_work.answered, 0, __ATOMIC_RELEASE);
    if (syscall(SYS_tgkill, (long)getpid(), (long)thread, (long)THREADS_SIGNAL) < 0)
        return errno == ESRCH ? 0 : errno;
    for (int n = 0; n < THREADS_WAITS; n++) {
        if (__atomic_load_n(&threads_work.answered, __ATOMIC_ACQUIRE) == thread)
            return 0;
        if (syscall(SYS_tgkill, (long)getpid(), (long)thread, 0L) < 0 && errno == ESRCH)
            return 0;
        nanosleep(&moment, NULL);
    }
    return ETIMEDOUT;
}

/* Does `count` calls (at most THREAD_CALLS_MOST) in each of the threads, one thread after another, and puts into errors
 * the errno of each call that failed in one of them, else 0. Returns 0, or the errno of what could not be asked.
 *
 * After ETIMEDOUT the handler stays, as the signal may come yet: the process had better end.
 */
static inline int threads_call(const int64_t *calls, uint32_t count, const int32_t *threads, uint32_t thread_count,
                               int32_t *errors) {
    struct sigaction ours, theirs;
    unsigned char action[KERNEL_ACTION_BYTES], before[KERNEL_ACTION_BYTES];
    int fault = 0;
    if (count > THREAD_CALLS_MOST)
        return E2BIG;
    memcpy(threads_work.calls, calls, count * sizeof threads_work.calls[0]);
    memset(threads_work.errors, 0, sizeof threads_work.errors);
    threads_work.count = count;
    /* libc refuses to set its own signal. What it tells the kernel of another one is what the kernel wants of this. */
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = threads_on_signal;
    ours.sa_flags = SA_RESTART;
    sigfillset(&ours.sa_mask);
    if (sigaction(SIGURG, &ours, &theirs) < 0)
        return errno;
    if (syscall(SYS_rt_sigaction, (long)SIGURG, NULL, action, (long)KERNEL_SIGNAL_BYTES) < 0)
        fault = errno;
    if (sigaction(SIGURG, &theirs, NULL) < 0 || fault)
        return fault ? fault : errno;
    if (syscall(SYS_rt_sigaction, (long)THREADS_SIGNAL, action, before, (long)KERNEL_SIGNAL_BYTES) < 0)
        return errno;
    for (uint32_t n = 0; n < thread_count && !fault; n++)
        fault = threads_ask(threads[n]);
    if (fault != ETIMEDOUT && syscall(SYS_rt_sigaction, (long)THREADS_SIGNAL, before, NULL, (long)KERNEL_SIGNAL_BYTES) < 0)
        fault = errno;
    memcpy(errors, threads_work.errors, count * sizeof errors[0]);
    return fault;
}

#endif
#endif
