"""Frames as they are made of datagrams, and how a privileged process becomes nobody."""

from __future__ import annotations

import ipaddress

import numpy as np

from tests.craft import ipv4, ipv6, udp


def packed(address: str) -> bytes:
    one = ipaddress.ip_address(address)
    return one.packed if one.version == 6 else bytes(10) + b"\xff\xff" + one.packed


def crafted(source: str, destination: str, data: bytes, ports: tuple[int, int] = (50000, 4789)) -> bytes:
    if ":" in source:
        return bytes(ipv6(source, destination) / udp(*ports) / data)
    around = ipv4(source, destination, identification=0, dont_fragment=True)
    return bytes(around / udp(*ports, datagram_checksum=0) / data)


def frame(buffer: np.ndarray, record: np.void) -> bytes:
    return buffer[record["offset"] : record["offset"] + record["captured_length"]].tobytes()


# Nobody may be able to read the interpreter's own files: what is needed is imported before.
BECOME_NOBODY = """
import os
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
assert "CapEff:\\t0000000000000000" in open("/proc/self/status").read()
"""
