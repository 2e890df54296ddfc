"""SASL in protocols that carry its tokens as they are, inside records."""

from __future__ import annotations

from spanline.plaintext.model import Finding
from spanline.plaintext.records import Record
from spanline.plaintext.sasl import Exchange


def attempt(record: Record, mechanism: str, start: int, end: int, remedy: str) -> Finding | None:
    """What the token in record.data[start:end] tells.

    None of tokens that tell nobody's name, and of one that was not kept whole.
    """
    if not mechanism or end > len(record.data):
        return None
    line = record.line()
    finding = Exchange(mechanism, f"SASL {mechanism}", remedy, line).respond(record.data[start:end], line)
    if finding is None:
        return None
    finding.frames, finding.spans = record.frames, ()
    if finding.secret is not None:
        # PLAIN ends with the password; of other tokens all is secret.
        secret = finding.secret.reveal()
        if record.data[start:end].endswith(secret):
            start = end - len(secret)
        finding.spans = record.span(start, end)
    return finding
