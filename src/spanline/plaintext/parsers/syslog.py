"""Syslog: |<priority>|…|. RFC 5424 section 6, RFC 3164; over UDP RFC 5426, over TCP RFC 6587."""

from __future__ import annotations

import re

from spanline.plaintext.model import Pattern, Plaintext, Sender, Severity
from spanline.plaintext.services import Service


class Syslog(Service):
    begins = re.compile(rb"(?:[1-9][0-9]{0,5} )?<(?:[0-9]|[1-9][0-9]|1[0-8][0-9]|19[01])>", re.DOTALL)
    scheme = "syslog"
    severity = Severity.LOW
    remedy = "Send logs over TLS (RFC 5425, port 6514)."


PROTOCOLS = (
    Plaintext(
        "syslog",
        "Syslog",
        Syslog,
        tcp_ports=(601,),
        patterns=(
            Pattern(
                rb"^([1-9][0-9]{0,4} )?<[0-9]{1,3}>(1 [-0-9]|[A-Z][a-z]{2} [ 1-3][0-9] [0-9]{2}:[0-9]{2}:)",
                Sender.CLIENT,
            ),
        ),
    ),
)
