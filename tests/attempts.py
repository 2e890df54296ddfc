"""What a parser has to tell of a dialogue, in whatever pieces it comes."""

from __future__ import annotations

from spanline.plaintext.model import Finding, Parser
from tests.pieces import TCP, UDP, Dialogue, at, fed, pieces, told

Told = tuple[str, str, bytes | None, str]
CUTS = ([], [1], [2, 5, 3])


def attempts(parser: type[Parser], dialogue: Dialogue, transport: str = "tcp") -> list[Finding]:
    """The findings, which are the same in any cut; a datagram is never cut."""
    one, *others = [
        fed(parser(UDP if transport == "udp" else TCP), pieces(dialogue, cut))
        for cut in (CUTS if transport == "tcp" else CUTS[:1])
    ]
    assert all(other == one for other in others)
    return one


def assert_tells(parser: type[Parser], dialogue: Dialogue, expected: list[Told], transport: str = "tcp") -> None:
    """(scheme, account, secret, outcome) of each attempt; and its span is of the secret, and of nothing else."""
    found = attempts(parser, dialogue, transport)
    assert [told(finding) for finding in found] == expected
    for finding in found:
        if finding.secret is not None and len(finding.spans) == 1:
            secret = finding.secret.reveal()
            assert at(dialogue, finding.spans[0]) in (secret, secret.decode().encode("utf-16-le"))
