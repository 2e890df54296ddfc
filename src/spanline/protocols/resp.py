"""Redis. RESP: lines that begin with what they are."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("resp", "Redis", tcp_ports=(6379,), foreign=(rb"^\*[1-9]\d?\r\n\$\d+\r\n[A-Za-z]+\r\n",)),)
