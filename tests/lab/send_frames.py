"""Sends frames on an interface, one a line of its input, in hexadecimal, a fraction of a millisecond apart."""

from __future__ import annotations

import socket
import sys
import time


def main(interface: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
        line.bind((interface, 0))
        for frame in sys.stdin:
            line.send(bytes.fromhex(frame))
            time.sleep(0.0003)


if __name__ == "__main__":
    main(sys.argv[1])
