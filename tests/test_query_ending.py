"""Queries that a signal ends, in processes of their own. Oracle: the folder of temporary files, and the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

SPILLING = """
import sys
from spanline.cli.signals import end_on_signals
end_on_signals()
from spanline.query.running import Limits, Session
with Session({}, Limits(memory=64 << 20, threads=2)) as session, session.limited():
    session.connection.execute("CREATE TABLE t AS SELECT hash(range) a, hash(range + 1) b FROM range(8000000)")
    print("spilled", flush=True)
    session.connection.execute("CREATE TABLE u AS SELECT max(xor(x.a, y.b)) FROM t x, t y")
"""
"""A table that is larger than the memory, and then one without end."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_query_that_spills_ends_at_once_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", SPILLING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as query:
        assert query.stdout is not None
        assert query.stdout.readline() == b"spilled\n"
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) > 10 << 20
        time.sleep(0.2)
        query.send_signal(number)
        assert query.wait(20) == 128 + number
        assert query.stderr is not None
        assert query.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_ends_leaves_nothing(tmp_path: Path) -> None:
    """Also when it needs more memory than it may have."""
    command = [sys.executable, "-c", SPILLING.replace("max(xor(x.a, y.b))", "x.a")]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert b"UsageError: the query needs more than the 64 MiB of memory" in ended.stderr
    assert list(tmp_path.iterdir()) == []
