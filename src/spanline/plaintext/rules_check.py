"""Compiling foreign patterns with bounds: in a child process that may be as slow, greedy or broken as they make it.

The child runs this file as a program. It reads jobs from its standard input and answers on its standard output, job by
job; so of a child that is stopped or dies it is known which job it worked on.

An answer is a letter, the number of the job (u4), a length (u4), and as many bytes: `b` begun, `d` done (the database),
`e` hyperscan's error (text).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import hyperscan

ALL_SECONDS = 60.0
"""By the clock, that all jobs of one call may take before the rest is refused: the machine may be busy."""

ADDRESS_SPACE = 1 << 30
"""Bytes that the child may have."""

_PATIENCE = 5.0
# Times as many seconds by the clock as a job may take of the processor: the machine may be busy.

_FRAME = struct.Struct("<cII")


@dataclass(frozen=True, slots=True)
class Job:
    """Expressions to compile into one database for block mode, numbered in their order, with hyperscan's flags.

    seconds  of the processor that it may take
    largest  bytes that the database may have
    """

    expressions: tuple[bytes, ...]
    flags: tuple[int, ...]
    seconds: float = 2.0
    largest: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no database: hyperscan's own words, or which bound the job broke."""

    why: str


def compile_bounded(jobs: Sequence[Job]) -> list[bytes | Refusal]:
    """For each job the serialised database, or why there is none. Takes little more than ALL_SECONDS at most."""
    if not hasattr(signal, "setitimer"):
        return [Refusal("not compiled: only Unix can bound what that takes")] * len(jobs)
    results: list[bytes | Refusal | None] = [None] * len(jobs)
    deadline = time.monotonic() + ALL_SECONDS
    while None in results:
        left = [number for number, result in enumerate(results) if result is None]
        if time.monotonic() >= deadline:
            for number in left:
                results[number] = Refusal("not compiled, as those before it took too long")
            break
        _run_child(jobs, left, results, deadline)
    return [result for result in results if result is not None]


def _run_child(
    jobs: Sequence[Job], left: Sequence[int], results: list[bytes | Refusal | None], deadline: float
) -> None:
    """One child works on the jobs `left` until it is ready, dies or has to be stopped; the job that did that is
    refused, so that each child settles one job at least."""
    asked = [
        ([one.decode("latin-1") for one in jobs[n].expressions], jobs[n].flags, jobs[n].seconds, jobs[n].largest)
        for n in left
    ]
    child = subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the parent, which then stops the child
        bufsize=0,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        try:
            with contextlib.suppress(BrokenPipeError):
                _write_all(child.stdin.fileno(), json.dumps(asked).encode())
            child.stdin.close()
            answers = _Answers(child.stdout.fileno())
            begun, why = left[0], ""
            while True:
                try:
                    answer = answers.next(min(deadline, time.monotonic() + jobs[begun].seconds * _PATIENCE))
                except TimeoutError:
                    why = _too_long(jobs[begun])
                    break
                if answer is None:
                    break
                letter, number, content = answer
                if letter == b"b":
                    begun = left[number]
                elif letter == b"d":
                    results[left[number]] = content
                else:
                    results[left[number]] = Refusal(content.decode(errors="replace"))
        finally:
            child.kill()
            status = child.wait()
    if results[begun] is None:
        results[begun] = Refusal(why or _why_it_died(status, jobs[begun]))


_TOO_BIG = f"takes more than {ADDRESS_SPACE >> 30} GiB to compile"


def _too_long(job: Job) -> str:
    return f"takes more than {job.seconds:g} seconds to compile"


def _why_it_died(status: int, job: Job) -> str:
    if status in (-signal.SIGPROF, -signal.SIGXCPU):
        return _too_long(job)
    if status == 0:
        return "not compiled: the compiler ended too early"
    return "the compiler breaks down on it, or needs more memory than it may have"


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


class _Answers:
    """Reads what a child writes, with a deadline."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._octets = bytearray()

    def next(self, deadline: float) -> tuple[bytes, int, bytes] | None:
        """(letter, number, content); None when the child is gone. Raises TimeoutError."""
        while True:
            if len(self._octets) >= _FRAME.size:
                letter, number, length = _FRAME.unpack_from(self._octets)
                end = _FRAME.size + length
                if len(self._octets) >= end:
                    content = bytes(self._octets[_FRAME.size : end])
                    del self._octets[:end]
                    return letter, number, content
            ready, _, _ = select.select([self._file], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            octets = os.read(self._file, 1 << 20)
            if not octets:
                return None
            self._octets += octets


def _child() -> None:
    """The program of the child. It takes its bounds before it looks at anything."""
    import resource

    _limit(resource.RLIMIT_AS, ADDRESS_SPACE)
    _limit(resource.RLIMIT_CPU, int(ALL_SECONDS))
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    for number, (expressions, flags, seconds, largest) in enumerate(json.loads(sys.stdin.buffer.read())):
        _answer(b"b", number, b"")
        # What hyperscan does is one call that no handler interrupts: the signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            database.compile(
                expressions=[one.encode("latin-1") for one in expressions],
                ids=list(range(len(expressions))),
                flags=flags,
            )
            hyperscan.Scratch(database)
            serialised = hyperscan.dumpb(database)
            if len(serialised) > largest:
                _answer(b"e", number, f"more than {largest >> 20} MiB when compiled".encode())
            else:
                _answer(b"d", number, serialised)
        except (MemoryError, hyperscan.NoMemoryError):
            _answer(b"e", number, _TOO_BIG.encode())
        except hyperscan.error as error:
            _answer(b"e", number, str(error).encode())


def _limit(which: int, most: int) -> None:
    """No more than `most`, and not more than there is now."""
    import resource

    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def _answer(letter: bytes, number: int, content: bytes) -> None:
    _write_all(sys.stdout.fileno(), _FRAME.pack(letter, number, len(content)) + content)


if __name__ == "__main__":
    _child()
