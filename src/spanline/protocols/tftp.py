"""TFTP. RFC 1350: |operation 2|name|0|mode|0|; the server answers from another port."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("tftp", "TFTP", udp_ports=(69,), announces="itself"),)
