"""MQTT connections. Oracles: tshark 4.0 on the same bytes and on real captures; MQTT 3.1.1 and 5.0 section 3.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.mqtt import Mqtt
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import mqtt_connect, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

OK, SUBSCRIBE = b"\x20\2\0\0", b"\x82\5\0\1\0\0\0"
ATTEMPT = ("user name and password", "alice", b"S3cret!")


def login(level: int, answer: bytes, *, will: bool = False) -> Dialogue:
    return [(CLIENT, mqtt_connect(level, b"alice", b"S3cret!", will=will)), (SERVER, answer)]


CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "version 3.1": (login(3, OK), [(*ATTEMPT, "accepted")]),
    "version 3.1.1": (login(4, OK, will=True), [(*ATTEMPT, "accepted")]),
    "version 5": (login(5, b"\x20\3\0\0\0", will=True), [(*ATTEMPT, "accepted")]),
    "refused": (login(4, b"\x20\2\0\4"), [(*ATTEMPT, "refused")]),
    "refused by version 5": (login(5, b"\x20\3\0\x86\0"), [(*ATTEMPT, "refused")]),
    "going on before it is accepted": (
        [login(4, OK)[0], (CLIENT, SUBSCRIBE), (SERVER, OK)],
        [(*ATTEMPT, "accepted")],
    ),
    "only the client": ([*one_side(login(4, OK), CLIENT), (CLIENT, SUBSCRIBE)], [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(login(4, OK), SERVER), []),
    "only a name": (
        [(CLIENT, mqtt_connect(4, b"alice", None)), (SERVER, OK)],
        [("user name only", "alice", None, "accepted")],
    ),
    "nobody": ([(CLIENT, mqtt_connect(4, None, None)), (SERVER, OK)], [("anonymous", "", None, "accepted")]),
    "another protocol's name": ([(CLIENT, b"\x10\x0c\0\4MQQT\4\2\0\x3c\0\0")], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_connections(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Mqtt, dialogue, expected)


def test_a_long_password_is_whole() -> None:
    password = b"token" * 100
    [finding] = attempts(Mqtt, [(CLIENT, mqtt_connect(4, b"alice", password))])
    assert finding.secret is not None
    assert finding.secret.reveal() == password


@pytest.mark.parametrize("level", [3, 4, 5])
@pytest.mark.parametrize("will", [False, True])
def test_tshark_reads_the_same(tmp_path: Path, level: int, will: bool) -> None:
    capture = written(tmp_path / "mqtt.pcap", login(level, OK, will=will), 1883)
    assert tshark.fields(capture, "mqtt.username", "mqtt.username", "mqtt.passwd") == [("alice", "S3cret!")]


@pytest.mark.parametrize(
    "capture",
    [
        "arkime__mqtt_big",
        "arkime__mqtt_synthetic",
        "bro__mqtt",
        "nDPI__mqtt",
        "suricata-verify__mqtt31-pub-userpass__input",
        "suricata-verify__mqtt311-pub-userpass-auto-clientid__input",
        "suricata-verify__mqtt311-unsub-qos2__input",
        "suricata-verify__mqtt5-unsub-userpass__input",
    ],
)
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: users and passwords of tshark's CONNECT packets."""
    path = captures / "plaintext" / f"mqtt__{capture}.pcap"
    found = captured(path, Mqtt, on_ports(1883))
    told = [(one.account, one.secret.reveal().decode() if one.secret is not None else "") for one in found]
    assert told == tshark.fields(path, "mqtt.msgtype == 1", "mqtt.username", "mqtt.passwd")
