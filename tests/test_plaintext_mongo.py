"""MongoDB's authentication. Oracles: tshark 4.0 on the same bytes; MongoDB's wire protocol, bsonspec.org, RFC 5802."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.mongo import Mongo
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import bson, mongo, mongo_query, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

SASL = bson(saslStart=1, mechanism="PLAIN", payload=b"\0alice\0S3cret!")
SCRAM = bson(saslStart=1, mechanism="SCRAM-SHA-256", payload=b"n,,n=alice,r=nonce")
NEXT = bson(saslContinue=1, conversationId=1, payload=b"c=biws,r=nonce2,p=proof")
GOES_ON, DONE, FAILED = bson(done=False, ok=1.0), bson(done=True, ok=1.0), bson(ok=0.0, code=18)
OLD = bson(authenticate=1, user="alice", nonce="0123456789abcdef", key="0123456789abcdef" * 2)

LOGIN: Dialogue = [(CLIENT, mongo(5, 0, SASL)), (SERVER, mongo(90, 5, DONE))]

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "PLAIN": (LOGIN, [("SASL PLAIN", "alice", b"S3cret!", "accepted")]),
    "PLAIN, only the client": (one_side(LOGIN, CLIENT), [("SASL PLAIN", "alice", b"S3cret!", "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "SCRAM": (
        [
            (CLIENT, mongo(5, 0, SCRAM)),
            (SERVER, mongo(90, 5, GOES_ON)),
            (CLIENT, mongo(6, 0, NEXT)),
            (SERVER, mongo(91, 6, DONE)),
        ],
        [("SASL SCRAM-SHA-256", "alice", None, "accepted")],
    ),
    "SCRAM refused": (
        [
            (CLIENT, mongo(5, 0, SCRAM)),
            (SERVER, mongo(90, 5, GOES_ON)),
            (CLIENT, mongo(6, 0, NEXT)),
            (SERVER, mongo(91, 6, FAILED)),
        ],
        [("SASL SCRAM-SHA-256", "alice", None, "refused")],
    ),
    "MONGODB-CR": (
        [(CLIENT, mongo_query(5, OLD)), (SERVER, mongo(90, 5, bson(ok=1.0)))],
        [("MONGODB-CR", "alice", None, "accepted")],
    ),
    "other commands": ([(CLIENT, mongo(5, 0, bson(hello=1))), (SERVER, mongo(90, 5, DONE))], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello" + bytes(9))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_authentication(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Mongo, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "mongo.pcap", [(CLIENT, mongo_query(5, OLD))], 27017)
    shown = tshark.fields(capture, "mongo", "mongo.element.value.string", decode_as="tcp.port==27017,mongo")
    assert shown[0][0].split(",")[0] == "alice"


def test_a_real_capture_without_authentication(captures: Path) -> None:
    """Oracle: no command in it begins with sasl, or is authenticate."""
    path = captures / "plaintext" / "mongo__arkime__mongo.pcap"
    assert b"saslStart" not in path.read_bytes()
    assert captured(path, Mongo, on_ports(27017)) == []
