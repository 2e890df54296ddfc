"""TFTP requests. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 1350 section 5, RFC 2347."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.model import Severity
from spanline.plaintext.parsers.tftp import Tftp
from tests import tshark
from tests.attempts import attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import written
from tests.pieces import CLIENT, SERVER

READ, WRITE = b"\0\1%s\0octet\0", b"\0\2%s\0NetASCII\0blksize\0001428\0"


@pytest.mark.parametrize(
    ("request_bytes", "scheme", "detail", "severity"),
    [
        (READ % b"menu.c32", "read request", "file menu.c32", Severity.LOW),
        (READ % b"router1-confg", "read request", "file router1-confg", Severity.MEDIUM),
        (WRITE % b"startup-config", "write request", "file startup-config", Severity.MEDIUM),
        (READ % "für.txt".encode(), "read request", "file für.txt", Severity.LOW),
        (READ % b"", "read request", "no file name", Severity.LOW),
        (b"\0\1" + bytes(9), "read request", "no file name", Severity.LOW),
    ],
)
def test_a_request(request_bytes: bytes, scheme: str, detail: str, severity: Severity, tmp_path: Path) -> None:
    dialogue = [(CLIENT, request_bytes), (CLIENT, request_bytes), (SERVER, b"\0\3\0\1data"), (CLIENT, b"\0\4\0\1")]
    [finding] = attempts(Tftp, dialogue, "udp")
    assert (finding.scheme, finding.account, finding.detail, finding.severity) == (scheme, "", detail, severity)
    assert finding.frames == (1,)
    if not detail.isascii():
        return
    shown = tshark.fields(written(tmp_path / "tftp.pcap", dialogue[:1], 69, "udp"), "tftp", "tftp.source_file")
    names = tshark.fields(tmp_path / "tftp.pcap", "tftp", "tftp.destination_file")
    name = shown[0][0] or names[0][0]
    assert (f"file {name}" if name else "no file name") == detail


@pytest.mark.parametrize("datagram", [b"\0\1name\0octet", b"\0\1", b"\0\1name\0binary\0", b"\0\7\0\0x", b""])
def test_what_is_no_request(datagram: bytes) -> None:
    assert attempts(Tftp, [(CLIENT, datagram), (CLIENT, datagram)], "udp") == []


@pytest.mark.parametrize("capture", ["arkime__tftp_rrq.pcap", "nDPI__tftp.pcap", "nfstream__tftp.pcap"])
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: tshark's names of files in requests, of which one is empty."""
    path = captures / "plaintext" / f"tftp__{capture}"
    found = captured(path, Tftp, on_ports(69))
    requests = tshark.fields(path, "tftp.opcode == 1 or tftp.opcode == 2", "tftp.source_file", "tftp.destination_file")
    assert {finding.detail for finding in found} == {
        f"file {read or write}" if read or write else "no file name" for read, write in requests
    }
