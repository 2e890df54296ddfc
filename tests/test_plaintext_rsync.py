"""rsync's daemon. Truth: dialogues as rsync 3.2 has them with its daemon, protocol 31."""

from __future__ import annotations

import pytest

from spanline.plaintext.parsers.rsync import Rsync
from tests.attempts import Told, assert_tells, attempts
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

HELLO: Dialogue = [(SERVER, b"@RSYNCD: 31.0 md5 md4\n"), (CLIENT, b"@RSYNCD: 31.0 md5 md4\n"), (CLIENT, b"backup\n")]
ASKS = (SERVER, b"@RSYNCD: AUTHREQD tW2rLbHGnDIDOR5AwRyNfg\n")
ANSWER = (CLIENT, b"alice kZmUjV2rBTTd9ffsdbwc4A\n")
OK, FAILED = (SERVER, b"@RSYNCD: OK\n"), (SERVER, b"@ERROR: auth failed on module backup\n")
LOGIN: Dialogue = [*HELLO, ASKS, ANSWER, OK, (CLIENT, b"--server\0--sender\0")]

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [("rsync", "alice", None, "accepted")]),
    "refused": ([*HELLO, ASKS, ANSWER, FAILED], [("rsync", "alice", None, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [("rsync", "alice", None, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "nobody asks": ([*HELLO, OK], [("no password", "", None, "accepted")]),
    "no such module": ([*HELLO, (SERVER, b"@ERROR: Unknown module 'backup'\n")], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello\n")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Rsync, dialogue, expected)


def test_the_module_is_told() -> None:
    assert [finding.detail for finding in attempts(Rsync, LOGIN)] == ["module backup"]
