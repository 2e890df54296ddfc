"""Accounts and secrets in real captures, by the whole stage.

Oracles: `tshark -q -z credentials` and what telnet clients typed, as the captures' lists have them, and the protocols
that tshark shows. Nothing may be found where everything is encrypted.
"""

from __future__ import annotations

import base64
import codecs
import csv
import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import spanline
from spanline.errors import CaptureError
from spanline.plaintext.model import Plaintext as Protocol
from spanline.plaintext.parsers import protocols as all_protocols
from spanline.plaintext.redaction import Revealer
from spanline.stages.plaintext import Plaintext
from tests.test_every_capture import FOLDERS, files_of

ENCRYPTED = {"tls", "ssh", "quic", "gquic", "dtls", "esp", "isakmp", "udpencap", "wg", "openvpn", "ah"}
CARRIERS = {
    "eth", "sll", "sll2", "null", "raw", "ethertype", "vlan", "ip", "ipv6", "tcp", "udp", "icmp", "icmpv6", "arp",
    "dns", "mdns", "ntp", "dhcp", "data", "x509sat", "x509ce", "x509af", "pkcs1", "pkix1explicit", "pkix1implicit",
    "cms", "pkcs10", "ocsp", "tcp.segments", "igmp", "llc", "stp", "llmnr", "vxlan", "gre",
}  # fmt: skip
"""What may stand beside what is encrypted: it carries it, or logs nobody in."""

PROTOCOLS = {"FTP": "ftp", "POP3": "pop", "IMAP": "imap", "SMTP": "smtp", "HTTP": "http"}


def told(path: Path, known: tuple[Protocol, ...]) -> list[dict[str, Any]]:
    stage = Plaintext(Revealer(), protocols=known)
    for _ in spanline.open(path).run(stage):
        pass
    assert stage.problems == []
    rows: list[dict[str, Any]] = stage.tables()["findings"].to_pylist()
    return rows


@cache
def findings(path: Path) -> list[dict[str, Any]]:
    return told(path, all_protocols())


def listed(path: Path) -> Iterator[dict[str, str]]:
    with open(path, newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")


def account_of(protocol: str, said: str) -> str | None:
    """The account in tshark's words; None where it gives none."""
    name = said.partition(" Username in packet")[0]
    if protocol == "SMTP":
        return base64.b64decode(name).decode()
    return (name.removeprefix("basic auth").strip() or None) if protocol == "HTTP" else name


def test_everything_that_tshark_finds(captures: Path) -> None:
    """Each of its credentials: protocol, account, and the packets of the account and of the secret."""
    missing = []
    for row in listed(captures / "EXPECTED_tshark_credentials.tsv"):
        said = row["username_and_info(tshark -z credentials)"]
        account = account_of(row["protocol"], said)
        packets = {int(row["packet"]), *map(int, re.findall(r"packet:? (\d+)", said))}
        if not any(
            found["protocol"] == PROTOCOLS[row["protocol"]]
            and account in (None, found["account"])
            and packets <= set(found["frames"])
            and found["secret"] is not None
            for found in findings(captures / row["path"])
        ):
            missing.append((row["path"], row["packet"], said))
    assert missing == []


def test_what_telnet_clients_typed(captures: Path) -> None:
    """The first two lines are account and password."""
    rows = list(listed(captures / "EXPECTED_telnet_client_text.tsv"))
    assert len(rows) == 5
    for row in rows:
        typed = codecs.decode(row["first_client_bytes(options_removed)"], "unicode_escape")
        account, secret = re.split(r"\r[\n\0]", typed)[:2]
        told = [
            (found["account"], found["secret"])
            for found in findings(captures / row["path"])
            if found["protocol"] == "telnet" and found["client_port"] == int(row["client_port"])
        ]
        assert told == [(account, secret)], row["path"]


def test_dormant_conversations_are_told_as_if_they_were_parsed(captures: Path) -> None:
    """Of every capture, also of those that are cut or damaged: HTTP with its triggers, and without any."""
    eager = tuple(replace(one, triggers=()) for one in all_protocols())
    assert eager != all_protocols()
    wrong = []
    for folder in FOLDERS:
        for path in files_of(captures / folder):
            try:
                asleep, awake = (told(path, known) for known in (all_protocols(), eager))
            except CaptureError:
                continue
            if asleep != awake:
                wrong.append((str(path.relative_to(captures)), asleep, awake))
    assert wrong == []


def application_stacks(oracle: Path, capture: str) -> set[str]:
    """The protocols that tshark shows in any frame, without those that carry others."""
    shown: set[str] = set()
    with gzip.open(oracle / f"{capture}.fields.tsv.gz", "rt", errors="replace") as lines:
        at = next(lines).rstrip("\n").split("\t").index("frame.protocols")
        for line in lines:
            shown.update(line.split("\t")[at].split(":"))
    return shown - CARRIERS


def encrypted_captures(captures: Path, oracle: Path) -> Iterable[str]:
    for folder in FOLDERS:
        for path in files_of(captures / folder):
            name = str(path.relative_to(captures))
            try:
                shown = application_stacks(oracle, name)
            except (OSError, StopIteration, ValueError, IndexError):
                continue
            if shown and shown <= ENCRYPTED:
                yield name


def test_nothing_is_found_where_all_is_encrypted(captures: Path, oracle: Path) -> None:
    names = list(encrypted_captures(captures, oracle))
    assert len(names) > 50
    found = {}
    for name in names:
        try:
            found[name] = [(row["protocol"], row["scheme"], row["frames"]) for row in findings(captures / name)]
        except CaptureError:
            continue
    assert {name: rows for name, rows in found.items() if rows} == {}
