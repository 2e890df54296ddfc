"""Policies: what they object to, and what is wrong with a file.

Oracle: the hierarchy of frames that we made, by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.errors import UsageError
from spanline.policy import EXAMPLE, Policy, read_policy
from spanline.stages.hierarchy import Hierarchy
from tests.craft import arp, ethernet, ipv4, tcp, udp
from tests.rows import decode

ETH, IP, TCP, UDP, ARP = ("eth",), ("eth", "ip"), ("eth", "ip", "tcp"), ("eth", "ip", "udp"), ("eth", "arp")
WAYS = [ETH, IP, TCP, (*TCP, "telnet"), (*TCP, "tls"), UDP, (*UDP, "dns"), (*UDP, "dns", "_ws.malformed"), ARP]


def policy_of(folder: Path, text: str | bytes) -> Policy:
    path = folder / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_policy(str(path))


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [
        ('[unwanted]\ntelnet = "in the clear"\n', {"telnet": "in the clear"}),
        ('[unwanted]\ntelnet = ""\narp = ""\n', {"telnet": "", "arp": ""}),
        ('[unwanted]\n"tcp.segments" = ""\n', {}),
        ('allowed = ["tls", "dns"]\n', {"telnet": "not allowed", "arp": "not allowed"}),
        ('allowed = ["ip"]\n', {"arp": "not allowed"}),
        ('allowed = ["ip"]\n[unwanted]\ndns = "names"\n', {"arp": "not allowed", "dns": "names"}),
        (EXAMPLE, {"telnet": "passwords in the clear"}),
    ],
)
def test_what_is_unwanted(tmp_path: Path, text: str, unwanted: dict[str, str]) -> None:
    """What is around or inside an allowed protocol is not objected to."""
    reasons = policy_of(tmp_path, text).reasons(WAYS)
    assert {way[-1]: reason for way, reason in zip(WAYS, reasons, strict=True) if reason is not None} == unwanted


def test_the_table_has_the_reasons(tmp_path: Path) -> None:
    stage = Hierarchy(policy_of(tmp_path, '[unwanted]\narp = "who asks?"\nudp = ""\n'))
    stage.update(decode(ethernet() / arp(), ethernet() / ipv4() / udp() / b"1", ethernet() / ipv4() / tcp()))
    rows = stage.tables()["hierarchy"].select(["path", "unwanted"]).to_pylist()
    assert {row["path"]: row["unwanted"] for row in rows} == {
        "eth": None, "eth:arp": "who asks?", "eth:ip": None, "eth:ip:udp": "", "eth:ip:tcp": None,
    }  # fmt: skip


WRONG: dict[str | bytes, str] = {
    "": 'nothing in it is a policy; begin with [unwanted] and lines as telnet = "why not"',
    "unwanted = ": 'line 1: invalid value; a line of a policy is telnet',
    "[unwanted\n": "line 1, column 10: expected ']' at the end of a table declaration",
    '[unwanted]\ntelnet = "x\n': "line 2, column 12: illegal character",
    '[unwanted]\ntelnet "x"\n': "line 2, column 8: expected '='",
    '[unwanted]\ntelnet = ""\ntelnet = ""\n': "line 3, column 12: cannot overwrite a value",
    '[unwanted]\n# telnt\n  telnt = ""\n': "line 3, column 3: no protocol is called 'telnt'; did you mean telnet?",
    '[unwanted]\nBitTorrent = ""\n': "line 2, column 1: no protocol is called 'BitTorrent'; did you mean bittorrent",
    '[unwanted]\nqqqqqq = ""\n': "no protocol is called 'qqqqqq'; spanline stats hierarchy shows the names there are",
    '[unwnted]\ntelnet = ""\n': "line 1, column 2: no setting is called 'unwnted'; did you mean unwanted?",
    'allow = ["tls"]\n': "line 1, column 1: no setting is called 'allow'; did you mean allowed?",
    'unwanted = ["telnet"]\n': "line 1, column 1: unwanted is not a table; write [unwanted], and below it telnet",
    "[unwanted]\ntelnet = 5\n": 'line 2, column 1: the reason for telnet is not text; write telnet = "why not"',
    '[unwanted]\ntcp.segments = ""\n': "tcp has a table and not a reason; quote names that have points",
    'allowed = "tls"\n': 'line 1, column 1: allowed is not a list; write allowed = ["dns", "tls"]',
    "allowed = [1]\n": "line 1, column 1: allowed has something that is not a name",
    "allowed = []\n": "line 1, column 1: allowed is empty",
    'allowed = ["tls"]\n[unwanted]\ntls = ""\n': "line 1, column 13: tls is allowed and unwanted",
    b'[unwanted]\ntelnet = "\xff"\n': "line 2: not UTF-8 text; save it as UTF-8",
    b"#" * (1 << 20) + b"#": "larger than 1 MiB; is this a policy?",
    "a = " + "[" * 100_000: "lists inside lists without end",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(UsageError) as raised:
        policy_of(tmp_path, text)
    told = str(raised.value)
    assert WRONG[text] in told
    assert told.startswith(str(tmp_path / "policy.toml"))
    assert "\n" not in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none.toml: No such file or directory"):
        read_policy(str(tmp_path / "none.toml"))
