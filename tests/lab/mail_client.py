"""Logs in by IMAP's LOGIN and POP3's USER and PASS, once each, which the curl of Debian 12 cannot.

Its input is [SERVER, NAME, PASSWORD], in JSON.
"""

from __future__ import annotations

import imaplib
import json
import poplib
import sys
from contextlib import suppress


def log_in(server: str, name: str, password: str) -> None:
    with imaplib.IMAP4(server, timeout=30) as imap, suppress(imaplib.IMAP4.error):
        imap.login(name, password)
    pop = poplib.POP3(server, timeout=30)
    with suppress(poplib.error_proto):
        pop.user(name)
        pop.pass_(password)
    pop.quit()


if __name__ == "__main__":
    log_in(*json.load(sys.stdin))
