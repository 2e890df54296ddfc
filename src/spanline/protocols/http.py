"""HTTP/1. RFC 9112 section 2.1; the methods are those that Wireshark knows."""

from spanline.protocols.language import Application, one_of

_METHODS = (
    b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH ", b"PROPFIND ",
    b"NOTIFY ", b"M-SEARCH ", b"SUBSCRIBE ", b"UNSUBSCRIBE ", b"REPORT ", b"MKCOL ", b"COPY ", b"MOVE ", b"LOCK ",
    b"UNLOCK ", b"PROPPATCH ", b"SEARCH ", b"BPROPFIND ", b"RPC_IN_DATA ", b"RPC_OUT_DATA ",
)  # fmt: skip

PROTOCOLS = (
    Application(
        "http",
        "HTTP",
        tcp_ports=(80, 8080, 8088, 2710, 1900, 5985, 11371, 3128, 3132, 3689, 631, 2869),
        tcp_content=one_of(b"HTTP/1.", *_METHODS),
        framing="http",
    ),
)
