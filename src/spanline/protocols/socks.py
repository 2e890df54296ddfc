"""SOCKS. RFC 1928 section 6: |version 5|reply 1|reserved 0|address type 1|…; version 4: |0|90 for granted|port 2|…"""

from spanline.protocols.language import Application, size, source_port, u8

_PORT = 1080
_GRANTED = ((u8(0) == 5) & (u8(1) == 0) & (u8(2) == 0) & u8(3).among({1, 3, 4})) | (
    (size == 8) & (u8(0) == 0) & (u8(1) == 90)
)

PROTOCOLS = (Application("socks", "SOCKS", tcp_ports=(_PORT,), wraps=(source_port == _PORT) & _GRANTED),)
