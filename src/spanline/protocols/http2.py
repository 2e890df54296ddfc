"""HTTP/2. RFC 9113 sections 3.4 and 4.1: |length 3|type 1|flags 1|stream 4|"""

from spanline.protocols.language import Application, be24, starts

_PREFACE = starts(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

PROTOCOLS = (
    Application("http2", "HTTP/2", tcp_content=_PREFACE, framing="each", length=(_PREFACE & 24) | (be24(0) + 9)),
)
