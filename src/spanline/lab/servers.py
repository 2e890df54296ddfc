"""The lab's servers: HTTP on port 80, and telnet on 23 where there is a telnetd. Run as a program on the server.

It writes a line when they listen, and ends with its input.
"""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

from spanline.lab.network import SERVER

TELNETD = "telnetd"
PAGE_BYTES = 200_000


class _Page(http.server.BaseHTTPRequestHandler):
    """One page, whatever is asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(PAGE_BYTES))
        self.end_headers()
        self.wfile.write(bytes(PAGE_BYTES))

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


def find_telnetd() -> str | None:
    """Debian has it where only root's path leads."""
    return shutil.which(TELNETD) or shutil.which(TELNETD, path="/usr/sbin:/usr/libexec")


def _serve_telnet(listener: socket.socket, telnetd: str) -> None:
    """As inetd does."""
    login = f"{sys.executable} -I {Path(__file__).with_name('login.py')}"
    while True:
        session, _ = listener.accept()
        with session:
            fd = session.fileno()
            subprocess.Popen([telnetd, "-h", "-E", login], stdin=fd, stdout=fd, stderr=fd)


def main() -> None:
    web = http.server.ThreadingHTTPServer((SERVER, 80), _Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    if telnetd := find_telnetd():
        listener = socket.create_server((SERVER, 23))
        threading.Thread(target=_serve_telnet, args=(listener, telnetd), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
