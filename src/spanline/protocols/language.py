"""What a protocol file says of an application protocol, and the expressions over a message's bytes that say it.

An expression is about the message that begins at byte 0. Reading behind its end makes a condition false, and a length
unknown until more of the message has come. `&` and `|` go from left to right and stop when the result is known:
`(u8(0) == 22) & length | size`, with a number on the right, is "the length if so, else the size".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Number = "Expression | int"


class Expression:
    """A number, or a condition (1 or 0), that is known when a message has come."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return Operation("equal", (self, _expression(other)))

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return Operation("unequal", (self, _expression(other)))

    def __lt__(self, other: Expression | int) -> Expression:
        return Operation("less", (self, _expression(other)))

    def __le__(self, other: Expression | int) -> Expression:
        return Operation("less-equal", (self, _expression(other)))

    def __gt__(self, other: Expression | int) -> Expression:
        return Operation("less", (_expression(other), self))

    def __ge__(self, other: Expression | int) -> Expression:
        return Operation("less-equal", (_expression(other), self))

    def __add__(self, other: Expression | int) -> Expression:
        return Operation("add", (self, _expression(other)))

    def __radd__(self, other: int) -> Expression:
        return Operation("add", (_expression(other), self))

    def __sub__(self, other: Expression | int) -> Expression:
        return Operation("subtract", (self, _expression(other)))

    def __mul__(self, other: Expression | int) -> Expression:
        return Operation("multiply", (self, _expression(other)))

    def __rshift__(self, other: int) -> Expression:
        return Operation("shift-right", (self, _expression(other)))

    def __and__(self, other: Expression | int) -> Expression:
        return Operation("and", (self, _expression(other)))

    def __or__(self, other: Expression | int) -> Expression:
        return Operation("or", (self, _expression(other)))

    def __invert__(self) -> Expression:
        return Operation("not", (self,))

    def __bool__(self) -> bool:
        raise TypeError("an expression is known only when a message has come: write &, | and ~")

    def bits(self, mask: int) -> Expression:
        """The number with only these bits."""
        return Operation("bit-and", (self, Constant(mask)))

    def among(self, numbers: Iterable[int]) -> Expression:
        """Whether it is one of some numbers below 256."""
        return Among(self, frozenset(numbers))


@dataclass(frozen=True, eq=False)
class Constant(Expression):
    value: int


@dataclass(frozen=True, eq=False)
class Operation(Expression):
    """`name` of its operands; the names are those of compiling.CODES."""

    name: str
    operands: tuple[Expression, ...] = ()
    width: int = 0


@dataclass(frozen=True, eq=False)
class Text(Expression):
    """A literal that `name` ("text", "text-any-case", "find") looks for."""

    name: str
    at: Expression
    text: bytes


@dataclass(frozen=True, eq=False)
class Among(Expression):
    number: Expression
    numbers: frozenset[int]


def _expression(number: object) -> Expression:
    if isinstance(number, Expression):
        return number
    if isinstance(number, int):
        return Constant(number)
    raise TypeError(f"{number!r} is neither an expression nor a number")


def _read(name: str, at: Expression | int, width: int) -> Expression:
    return Operation(name, (_expression(at),), width)


def u8(at: Expression | int) -> Expression:
    """The byte at `at`."""
    return _read("read", at, 1)


def be16(at: Expression | int) -> Expression:
    """The 16-bit number at `at`, in network order; be24 and be32 alike."""
    return _read("read", at, 2)


def be24(at: Expression | int) -> Expression:
    return _read("read", at, 3)


def be32(at: Expression | int) -> Expression:
    return _read("read", at, 4)


def le16(at: Expression | int) -> Expression:
    """The 16-bit number at `at`, least significant byte first; le24 and le32 alike."""
    return _read("read-little", at, 2)


def le24(at: Expression | int) -> Expression:
    return _read("read-little", at, 3)


def le32(at: Expression | int) -> Expression:
    return _read("read-little", at, 4)


def starts(text: bytes, at: Expression | int = 0) -> Expression:
    """Whether `text` stands at `at`."""
    return Text("text", _expression(at), text)


def starts_any_case(text: bytes, at: Expression | int = 0) -> Expression:
    """The same, whatever the case of its letters."""
    return Text("text-any-case", _expression(at), text.lower())


def one_of(*texts: bytes, at: Expression | int = 0) -> Expression:
    """Whether one of `texts` stands at `at`."""
    found = starts(texts[0], at)
    for text in texts[1:]:
        found = found | starts(text, at)
    return found


def find(text: bytes, start: Expression | int = 0) -> Expression:
    """Where `text` first stands from `start` on; -1 where it does not."""
    return Text("find", _expression(start), text)


def header(name: bytes) -> Expression:
    """Where the value begins of the header line of this name, in the lines up to the first empty one; -1 without it."""
    return Text("header", Constant(0), name.lower())


def ber_end(at: Expression | int) -> Expression:
    """Where the BER element at `at` ends (ITU-T X.690 section 8.1.3); -1 when its length is indefinite."""
    return _read("ber", at, 0)


def varint(at: Expression | int) -> Expression:
    """The number at `at` of 7 bits a byte, least significant first (MQTT 5.0 section 1.5.5)."""
    return _read("varint", at, 0)


def varint_end(at: Expression | int) -> Expression:
    """Where that number ends."""
    return _read("varint-end", at, 0)


def quic_number(at: Expression | int) -> Expression:
    """The variable-length integer at `at` (RFC 9000 section 16)."""
    return _read("quic", at, 0)


def quic_number_end(at: Expression | int) -> Expression:
    """Where that number ends."""
    return _read("quic-end", at, 0)


captured: Expression = Operation("captured")
"""How many bytes of the message are there."""

size: Expression = Operation("wire")
"""How many bytes of it there were on the wire."""

source_port: Expression = Operation("source-port")
destination_port: Expression = Operation("destination-port")


Framing = Literal["whole", "each", "records", "lines", "http"]
Announcement = Literal["", "sdp", "transport", "ftp", "itself"]


@dataclass(frozen=True)
class Inside:
    """The protocol stands `at` bytes inside a message of `protocol` for which `when` holds."""

    protocol: str
    at: Expression | int
    when: Expression


@dataclass(frozen=True)
class Application:
    """An application protocol, named as tshark names it: a module in spanline.protocols has one or more.

    ports       where tshark expects it, TCP and UDP; and what tells it right above IP or a link layer
    accept      whether a message on such a port is one; always, without it
    content     whether a message is one on any port; tcp_content and udp_content where the transports differ
    framing     how messages follow one another in a TCP stream:
                "whole" each segment is one · "each" each says its `length` · "records" the same, those that come
                together are shown as one · "lines" each segment, with the next when its first line does not end in it ·
                "http" lines, an empty one, and a body as long as they say
    length      of a message in bytes, with its header; 0 or less when it contradicts itself. With "http": whether it
                begins like a message
    next        where in a message another one of the same protocol begins; 0 for none
    becomes     what the conversation goes on with after a message for which a condition holds: (name, condition)
    wraps       the message behind which another conversation follows inside this protocol
    silent      messages that it has and tshark does not show
    inside      what it is carried by
    answer      when it carries what was carried last in its conversation: an answer that does not say what it answers
    announces   conversations that its messages tell of: "sdp" RTP and RTCP · "transport" the same, also in the words of
                RTSP · "ftp" FTP's data connections · "itself" the port that it came from
    data        when what it carries is shown as data, if nothing better is known of it
    data_at     where that begins
    foreign     patterns (regular expressions over the first bytes that one side sends) by which it is found on ports
                where tshark does not expect it
    """

    name: str
    title: str
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    ip_protocols: tuple[int, ...] = ()
    ether_types: tuple[int, ...] = ()
    llc_services: tuple[int, ...] = ()
    snap_protocols: tuple[int, ...] = ()
    accept: Expression | None = None
    content: Expression | None = None
    tcp_content: Expression | None = None
    udp_content: Expression | None = None
    framing: Framing = "whole"
    length: Expression | None = None
    next: Expression | None = None
    wraps: Expression | None = None
    becomes: tuple[tuple[str, Expression], ...] = ()
    silent: Expression | None = None
    inside: tuple[Inside, ...] = ()
    answer: Expression | None = None
    announces: Announcement = ""
    data: Expression | None = None
    data_at: Expression | int = 0
    foreign: tuple[bytes, ...] = field(default=())
