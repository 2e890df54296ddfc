"""HTTP/1. RFC 9112 section 2.1; the methods are those that Wireshark knows. Bodies are named by their Content-Type."""

from spanline.protocols.language import (
    Application,
    Expression,
    Inside,
    captured,
    find,
    header,
    one_of,
    starts,
    starts_any_case,
)

METHODS = (
    b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH ", b"PROPFIND ",
    b"NOTIFY ", b"M-SEARCH ", b"SUBSCRIBE ", b"UNSUBSCRIBE ", b"REPORT ", b"MKCOL ", b"COPY ", b"MOVE ", b"LOCK ",
    b"UNLOCK ", b"PROPPATCH ", b"SEARCH ", b"BPROPFIND ", b"RPC_IN_DATA ", b"RPC_OUT_DATA ", b"SOURCE ", b"POLL ",
    b"BCOPY ", b"BMOVE ", b"BDELETE ", b"BPROPPATCH ", b"LABEL ", b"MERGE ", b"CCM_POST ",
)  # fmt: skip
_BEGINS = one_of(b"HTTP/", *METHODS)
_BODY = find(b"\r\n\r\n") + 4


_SWITCHES = starts(b" 101", 8) & (header(b"upgrade") > 0)


def _typed(*types: bytes) -> Expression:
    value = header(b"content-type")
    same = starts_any_case(types[0], value)
    for other in types[1:]:
        same = same | starts_any_case(other, value)
    return (captured > _BODY) & (value > 0) & same


def _body(name: str, title: str, when: Expression) -> Application:
    return Application(name, title, inside=(Inside("http", _BODY, _BEGINS & when),))


PROTOCOLS = (
    Application(
        "http",
        "HTTP",
        tcp_ports=(80, 8080, 8088, 2710, 1900, 5985, 11371, 3128, 3132, 3689, 631, 2869),
        foreign=(rb"^(HTTP/1\.[01] \d{3} |(GET|POST|HEAD|PUT|OPTIONS|CONNECT) [^\r\n]{1,2000} HTTP/1\.[01]\r\n)",),
        tcp_content=_BEGINS & (find(b" HTTP/1.") < find(b"\n")) & (find(b"HTTP/1.") >= 0),
        framing="http",
        length=_BEGINS,
        wraps=starts(b"CONNECT "),
        data=~_BEGINS | ((_BODY > 3) & (captured > _BODY)),
        data_at=_BEGINS * _BODY,
        becomes=(
            ("websocket", _SWITCHES & starts_any_case(b"websocket", header(b"upgrade"))),
            ("http2", _SWITCHES & starts_any_case(b"h2c", header(b"upgrade"))),
        ),
    ),
    _body("xml", "XML", _typed(b"text/xml", b"application/xml", b"application/soap+xml", b"application/xhtml+xml")),
    _body("data-text-lines", "Text", _typed(b"text/", b"application/javascript", b"application/x-javascript")),
    _body("json", "JSON", _typed(b"application/json")),
    _body("image-gif", "GIF", _typed(b"image/gif")),
    _body("image-jfif", "JPEG", _typed(b"image/jpeg", b"image/jpg")),
    _body("png", "PNG", _typed(b"image/png")),
    _body("urlencoded-form", "Form", _typed(b"application/x-www-form-urlencoded")),
    _body("mime_multipart", "Multipart", _typed(b"multipart/")),
    _body("ocsp", "OCSP", _typed(b"application/ocsp-")),
    _body("media", "Other content", (captured > _BODY) & (header(b"content-type") > 0)),
)  # fmt: skip
