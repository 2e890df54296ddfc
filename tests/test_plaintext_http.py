"""HTTP logins.

Oracles: the examples of RFC 7617 section 2, RFC 7616 section 3.9.1, RFC 6750 section 2, RFC 7519 section 3.1 and
RFC 7578; `tshark -z credentials`, and tshark's NTLMSSP fields.
"""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanline.plaintext.model import Kind, Piece, Severity
from spanline.plaintext.parsers.http import HttpParser
from tests.captured_pieces import captured
from tests.pieces import (
    CLIENT,
    CUTS,
    NOISE,
    QUICKLY,
    SERVER,
    TCP,
    Dialogue,
    assert_bounded,
    assert_harmless,
    assert_same_in_any_cut,
    expected_credentials,
    fed,
    findings,
    one_side,
    secrets_of,
    tells,
)


def asked(line: str = "GET /", *headers: str, body: bytes = b"") -> tuple[object, bytes]:
    length = [f"Content-Length: {len(body)}"] if body else []
    return CLIENT, "\r\n".join([f"{line} HTTP/1.1", "Host: x", *length, *headers, "", ""]).encode() + body


def answered(status: int = 200, body: bytes = b"", *headers: str) -> tuple[object, bytes]:
    return SERVER, "\r\n".join(
        [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers, "", ""]
    ).encode() + body


FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "content-type: application/json; charset=utf-8"
ALADDIN = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
IN = ("Basic", "Aladdin", b"open sesame", "accepted")
OUT = ("Basic", "Aladdin", b"open sesame", "refused")
DIGEST = (
    'Authorization: Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",'
    ' qop=auth, response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9"
    "pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
MULTIPART = (
    b'--AaB03x\r\nContent-Disposition: form-data; name="user"\r\n\r\nann\r\n--AaB03x\r\n'
    b'content-disposition: form-data; name="password"; filename="x"\r\n'
    b"Content-Type: text/plain\r\n\r\nfile\r\n--AaB03x\r\n"
    b'content-disposition: form-data; name="passwd"\r\n\r\np\r\nq\r\n--AaB03x--\r\n'
)
CHUNKED = (
    CLIENT,
    f"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{FORM}\r\n\r\n".encode()
    + b"9;x=y\r\nuser=ann&\r\n8\r\npass=s3c\r\nA\r\nret&next=/\r\n0\r\nTrailer: x\r\n\r\n",
)


def coded(octets: bytes) -> str:
    return b64encode(octets).decode()


def token_of(claims: bytes) -> str:
    return f"eyJhbGciOiJub25lIn0.{coded(claims).rstrip('=')}.x"


CLAIMS = token_of(b'{"sub":"17","email":"a@b.c"}')


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([asked("GET /", ALADDIN), answered()], [IN]),
        ([asked("GET /", ALADDIN), answered(401), asked("GET /", ALADDIN), answered(200)], [OUT, IN]),
        (
            [asked("GET /", ALADDIN), asked(), asked("GET /", ALADDIN), answered(403), answered(), answered(304)],
            [OUT, IN],
        ),
        ([asked("GET /", ALADDIN), answered(503)], [("Basic", "Aladdin", b"open sesame", "unknown")]),
        (
            [asked("GET /", "authorization:  bAsIc dGVzdDoxMjPCow=="), answered()],
            [("bAsIc", "test", "123£".encode(), "accepted")],
        ),
        (
            [
                asked("CONNECT x:443", "Proxy-Authorization: Basic YTpi"),
                answered(407),
                asked("CONNECT x:443", "Proxy-Authorization: Basic YTpjOmQ="),
                answered(200),
                asked("GET /", ALADDIN),
            ],
            [("Proxy Basic", "a", b"b", "refused"), ("Proxy Basic", "a", b"c:d", "accepted")],
        ),
        ([asked("GET /", DIGEST), answered()], [("Digest", "Mufasa", None, "accepted")]),
        (
            [asked("GET /", "Authorization: Bearer mF_9.B5f-4.1JqM"), answered()],
            [("Bearer", "", b"mF_9.B5f-4.1JqM", "accepted")],
        ),
        (
            [asked("GET /", f"Authorization: Bearer {TOKEN}"), answered(401)],
            [("Bearer", "", TOKEN.encode(), "refused")],
        ),
        (
            [asked("GET /?access_token=mF_9.B5f-4.1JqM"), answered()],
            [("query, token", "", b"mF_9.B5f-4.1JqM", "unknown")],
        ),
        (
            [asked("GET /l?user=a%40b.c&Password=x+%26y&z=1#pin"), answered(302)],
            [("query", "a@b.c", b"x &y", "unknown")],
        ),
        (
            [asked("POST /", FORM, body=b"log=ann&pwd=s3cret&rememberme=forever"), answered(302)],
            [("form", "ann", b"s3cret", "unknown")],
        ),
        (
            [
                asked("POST /", FORM, body=b"user%5Bemail%5D=ann&user%5Bpassword%5D=x&user[password_confirmation]=x"),
                answered(422),
            ],
            [("form", "ann", b"x", "refused")],
        ),
        ([asked("POST /", FORM, body=b"csrf_token=1&q=password&passwordhint=&savepassword=1&id=3"), answered()], []),
        (
            [asked("POST /", "Content-Type: multipart/form-data; boundary=AaB03x", body=MULTIPART), answered(401)],
            [("multipart form", "ann", b"p\r\nq", "refused")],
        ),
        (
            [
                asked("POST /", JSON, body=b'{"a": {"userName" : "\\u00e4nn", "password":"s\\"3\\ncret"}, "x": [1]}'),
                answered(401),
            ],
            [("JSON", "\u00e4nn", b's"3\ncret', "refused")],
        ),
        (
            [asked("POST /", JSON, body=b'{"login":"ann","pin": 1234}'), answered()],
            [("JSON", "ann", b"1234", "unknown")],
        ),
        ([asked("POST /", "Content-Type: text/plain", body=b"user=a&password=b"), answered()], []),
        ([CHUNKED, answered(403)], [("form", "ann", b"s3cret", "refused")]),
        (
            [
                asked("HEAD /", ALADDIN),
                (SERVER, b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\n"),
                asked("GET /", ALADDIN),
                answered(401),
            ],
            [IN, OUT],
        ),
        (
            [
                asked(
                    "PUT /",
                    ALADDIN,
                    "Expect: 100-continue",
                    body=b"GET / HTTP/1.1\r\n" + ALADDIN.encode() + b"\r\n\r\n",
                ),
                (SERVER, b"HTTP/1.1 100 Continue\r\n\r\n"),
                answered(401, ALADDIN.encode() * 9),
            ],
            [OUT],
        ),
        (
            [
                asked("GET /", ALADDIN, "Upgrade: websocket"),
                (SERVER, b"HTTP/1.1 101 x\r\n\r\n"),
                asked("GET /", ALADDIN),
            ],
            [IN],
        ),
        (
            [
                asked("GET /", ALADDIN),
                (SERVER, b"HTTP/1.0 200 x\r\n\r\nHTTP/1.1 401 x\r\n\r\n"),
                asked("GET /", ALADDIN),
            ],
            [IN, ("Basic", "Aladdin", b"open sesame", "unknown")],
        ),
        ([asked("PROPFIND /", ALADDIN), answered(207)], [IN]),
        ([asked("GET /", "Authorization: Basic dG9rZW4="), answered()], [("Basic", "", b"token", "accepted")]),
        ([(CLIENT, b"GET / HTTP/1.0\nAuthorization: Basic YTpi\n\n"), answered()], [("Basic", "a", b"b", "accepted")]),
        (
            [
                asked(
                    "GET /",
                    "Authorization: Basic !!",
                    "Authorization: Basic",
                    "Cookie: password=x; token=y",
                    "Authorization: Negotiate YII=",
                ),
                answered(),
            ],
            [],
        ),
        ([(CLIENT, b"\x16\x03\x01\x02\x00\x01\n\r\n\r\n"), asked("GET /", ALADDIN)], []),
        (
            [
                asked("GET /"),
                (SERVER, b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n\r\r\n0\r\n\r\n"),
                asked("GET /", ALADDIN),
                answered(401),
            ],
            [OUT],
        ),
        (
            [asked("GET /", f"Authorization: Bearer {CLAIMS}"), answered(500)],
            [("Bearer", "a@b.c", CLAIMS.encode(), "unknown")],
        ),
    ],
)
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(HttpParser, lines) == expected
    for lengths in ([1], [2, 5], [13], [90]):
        assert_same_in_any_cut(HttpParser, lines, lengths)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (asked("GET /", ALADDIN), [b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]),
        (asked("GET /", DIGEST), [DIGEST.removeprefix("Authorization: Digest ").encode()]),
        (asked("GET /?user=a&password=s3c&x&api_key=k"), [b"s3c", b"k"]),
        (asked("GET http://ann:s3c@x/"), [b"s3c"]),
        (asked("POST /", FORM, body=b"password=a%41&password2=b"), [b"a%41", b"b"]),
        (asked("POST /", JSON, body=b'{"password":"x\\n"}'), [b"x\\n"]),
        (asked("POST /", "Content-Type: multipart/form-data; boundary=AaB03x", body=MULTIPART), [b"p\r\nq"]),
        (CHUNKED, [b"s3c", b"ret"]),
    ],
)
def test_where_a_secret_stands(message: tuple[object, bytes], told: list[bytes]) -> None:
    lines = [asked(), message]
    for lengths in ((), [1], [3]):
        (finding,) = findings(HttpParser, lines, lengths)
        assert secrets_of(finding, lines) == told
        assert finding.frames == (2,)


def test_a_challenge_is_named_and_its_answer_not_kept() -> None:
    (finding,) = findings(HttpParser, [asked("GET /", DIGEST), answered()])
    assert (finding.kind, finding.secret, finding.severity) == (Kind.CHALLENGE, None, Severity.MEDIUM)
    assert "8ca523" not in repr(finding)
    assert "7ypf" not in repr(finding)


def test_the_client_alone_tells_each_attempt() -> None:
    lines = [asked("GET /", ALADDIN), answered()] * 100
    found = findings(HttpParser, one_side(lines, CLIENT))
    assert len(found) == 100
    assert all(one.inferred and one.outcome == "unknown" and one.account == "Aladdin" for one in found)


def test_either_end_may_be_the_client() -> None:
    turned = [(SERVER if who == CLIENT else CLIENT, octets) for who, octets in (asked("GET /", ALADDIN), answered(401))]
    assert tells(HttpParser, turned) == [OUT]


def test_a_body_that_is_missing_is_counted_down() -> None:
    head = asked("PUT /", "Content-Length: 100000")[1]
    request = asked("GET /", ALADDIN)[1]
    parts = [
        Piece(CLIENT, head, 0, 1, 1),
        Piece(CLIENT, b"a" * 10, len(head) + 99990, 2, 2, gap=99990),
        Piece(CLIENT, request, len(head) + 100000, 3, 3),
        Piece(SERVER, b"HTTP/1.1 401 x\r\n", 0, 4, 4),
        Piece(SERVER, b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", 200, 5, 5, gap=184),
    ]
    (finding,) = fed(HttpParser(TCP), parts)
    assert (finding.frames, finding.outcome) == ((3, 5), "accepted")


def test_bodies_that_nobody_wants_are_not_kept() -> None:
    parser = HttpParser(TCP)
    fed_bytes = b"a" * 65536
    for who, head in ((CLIENT, asked("PUT /", "Content-Length: 1000000")[1]), (SERVER, b"HTTP/1.1 200 x\r\n\r\n")):
        list(parser.feed(Piece(who, head, 0, 1, 1)))
        for n in range(15):
            list(parser.feed(Piece(who, fed_bytes, len(head) + n * 65536, 1, 1)))
    assert_bounded(
        HttpParser, [b"POST / HTTP/1.1\r\n" + FORM.encode() + b"\r\nContent-Length: 99999\r\n\r\npassword=x"]
    )
    assert all(not messages._bytes for messages in parser._messages)


@QUICKLY
@given(st.binary(max_size=40).filter(bool), st.text(max_size=20).filter(lambda text: ":" not in text), CUTS)
def test_whatever_the_password_is(password: bytes, account: str, lengths: list[int]) -> None:
    pair = coded(account.encode() + b":" + password)
    form = b"user=" + quote_from_bytes(account.encode()).encode() + b"&pass=" + quote_from_bytes(password).encode()
    lines = [
        asked("GET /", f"Authorization: Basic {pair}"),
        answered(),
        asked("POST /", FORM, body=form),
        answered(401),
    ]
    expected = [("Basic", account, password, "accepted"), ("form", account, password, "refused")]
    assert tells(HttpParser, lines, lengths) == expected


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    lines = [
        CHUNKED,
        answered(200, b"x" * 300),
        asked("POST /", JSON, body=b'{"pwd": "a"}'),
        answered(401),
        asked("GET /", DIGEST),
    ]
    assert_same_in_any_cut(HttpParser, lines, lengths)


@QUICKLY
@given(NOISE, CUTS)
@example([(CLIENT, b'{"":"\\ud800"}')] * 9, [40])
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [
        asked("POST /", FORM, "Content-Length: 99")[1],
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /?password=",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + JSON.encode() + b'\r\n\r\n19\r\n{"password":"',
        b"HTTP/1.1 999 \r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Negotiate TlRMTVNTUAADAAAA",
        b"Authorization: Digest username=",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer eyJ.",
    ]
    assert_harmless(HttpParser, noise, begins, lengths)


def test_endless_input_is_not_kept() -> None:
    form = asked("POST /", FORM, body=b"password=" + b"x" * 20000)[1]
    assert_bounded(HttpParser, [b"GET / HTTP/1.1\r\n", b"\xff", asked("GET /?password=x", ALADDIN)[1], CHUNKED[1]])
    assert_bounded(HttpParser, [form], most=600_000)


def test_captures_tell_what_tshark_finds(captures: Path) -> None:
    theirs = expected_credentials(captures, "HTTP")
    assert theirs
    for capture, rows in theirs.items():
        ours = captured(captures / capture, HttpParser, lambda conversation: conversation.transport == "tcp")
        # tshark's frame is the one where the body ends, of which the head is no later.
        assert len(ours) == len(rows)
        assert all(one.frames[0] <= frame < one.frames[-1] for one, (frame, _) in zip(ours, rows, strict=True))
        assert {one.account for one in ours} == {account.removeprefix("basic auth").strip() for _, account in rows}


def test_a_capture_of_ntlm_tells_whom_tshark_shows(captures: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = captures / "apps" / "http__BruteShark__HTTP_-_NTLM.pcapng"
    asked_for = ["-Y", "ntlmssp.messagetype == 3", "-T", "fields"]
    fields = ["-e", "ntlmssp.auth.domain", "-e", "ntlmssp.auth.username", "-e", "ntlmssp.ntlmv2_response"]
    ran = subprocess.run(
        ["tshark", "-n", "-r", str(path), *asked_for, *fields], capture_output=True, text=True, check=True
    )
    theirs = [row.split("\t") for row in ran.stdout.splitlines()]
    ours = captured(path, HttpParser, lambda _: True)
    assert [one.account for one in ours] == [f"{domain}\\{user}" for domain, user, _ in theirs]
    assert [one.scheme for one in ours] == [f"NTLM, NTLMSSP v{2 if response else 1}" for _, _, response in theirs]
