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
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import hyperscan

CPU_SECONDS = 2.0
"""That one job may take."""

ALL_SECONDS = 20.0
"""By the clock, that all jobs of one call may take before the rest is refused."""

ADDRESS_SPACE = 1 << 30
LARGEST_DATABASE = 16 << 20
"""Bytes of a compiled database."""

_PATIENCE = 5.0
# Times as many seconds by the clock as a job may take of the processor: the machine may be busy.

_FRAME = struct.Struct("<cII")


@dataclass(frozen=True, slots=True)
class Job:
    """Expressions to compile into one database for block mode, numbered in their order, with hyperscan's flags."""

    expressions: tuple[bytes, ...]
    flags: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no database: hyperscan's own words, or which bound the job broke."""

    why: str


def compile_bounded(jobs: Sequence[Job]) -> list[bytes | Refusal]:
    """For each job the serialised database, or why there is none. Takes ALL_SECONDS and a job's time at most."""
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
    asked = [[[one.decode("latin-1") for one in jobs[n].expressions], list(jobs[n].flags)] for n in left]
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
                    answer = answers.next(min(deadline, time.monotonic() + CPU_SECONDS * _PATIENCE))
                except TimeoutError:
                    why = _TOO_LONG
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
        results[begun] = Refusal(why or _why_it_died(status))


_TOO_LONG = f"takes more than {CPU_SECONDS:.0f} seconds to compile"
_TOO_BIG = f"takes more than {ADDRESS_SPACE >> 30} GiB to compile"
_TOO_LARGE = f"more than {LARGEST_DATABASE >> 20} MiB when compiled"


def _why_it_died(status: int) -> str:
    if status in (-signal.SIGPROF, -signal.SIGXCPU):
        return _TOO_LONG
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
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    seconds = int(ALL_SECONDS + CPU_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for number, (expressions, flags) in enumerate(json.loads(sys.stdin.buffer.read())):
        _answer(b"b", number, b"")
        # What hyperscan does is one call that no handler interrupts: the signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            database.compile(
                expressions=[one.encode("latin-1") for one in expressions],
                ids=list(range(len(expressions))),
                flags=flags,
            )
            hyperscan.Scratch(database)
            serialised = hyperscan.dumpb(database)
            if len(serialised) > LARGEST_DATABASE:
                _answer(b"e", number, _TOO_LARGE.encode())
            else:
                _answer(b"d", number, serialised)
        except (MemoryError, hyperscan.NoMemoryError):
            _answer(b"e", number, _TOO_BIG.encode())
        except hyperscan.error as error:
            _answer(b"e", number, str(error).encode())


def _answer(letter: bytes, number: int, content: bytes) -> None:
    _write_all(sys.stdout.fileno(), _FRAME.pack(letter, number, len(content)) + content)


if __name__ == "__main__":
    _child()
