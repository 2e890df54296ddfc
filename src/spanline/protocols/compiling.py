"""From what protocol files say to the tables that ext/applications.h works with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline import _applications
from spanline.protocols.first_bytes import first_bytes
from spanline.protocols.language import Among, Application, Constant, Expression, Inside, Operation, Text

# As in ext/program.h, in this order.
CODES = (
    "end", "constant", "captured", "wire", "source-port", "destination-port", "read", "read-little", "text",
    "text-any-case", "find", "header", "ber", "varint", "varint-end", "quic", "quic-end", "add", "subtract", "multiply",
    "bit-and", "shift-right", "equal", "unequal", "less", "less-equal", "in", "not", "and-jump", "or-jump",
)  # fmt: skip
FRAMINGS = ("whole", "each", "records", "lines", "http")
# As in ext/announced.h: in which words a message announces, and the names of what is announced.
ANNOUNCEMENTS = ("", "sdp", "transport", "ftp", "itself")
ANNOUNCED = ("rtp", "rtcp", "ftp-data")
# Names that are no protocol's, as in ext/applications.h.
NAMES = ("", "data", "tcp.segments", "_ws.short")
NO_PROGRAM = 0xFFFFFFFF
MOST_DEEP = 16

INSTRUCTION = np.dtype([("code", "u2"), ("width", "u2"), ("value", "u4")])
APPLICATION = np.dtype(
    [
        ("accept", "u4"),
        ("length", "u4"),
        ("next", "u4"),
        ("wraps", "u4"),
        ("becomes", "u4"),
        ("silent", "u4"),
        ("confirm", "u4"),
        ("first_carried", "u4"),
        ("carried_count", "u2"),
        ("framing", "u1"),
        ("announces", "u1"),
    ]
)


class Compiler:
    """Programs one after another, with their literals."""

    def __init__(self) -> None:
        self.code: list[tuple[int, int, int]] = []
        self.texts: list[bytes] = []
        self.sets: list[frozenset[int]] = []

    def program(self, expression: Expression | None) -> int:
        """Where the program of `expression` begins."""
        if expression is None:
            return NO_PROGRAM
        start = len(self.code)
        if self._add(expression) > MOST_DEEP:
            raise ValueError("an expression needs more than the stack has")
        self._emit("end")
        self._shorten_jumps(start)
        return start

    def _shorten_jumps(self, start: int) -> None:
        """Where one condition is made of many, what is jumped to would jump on at once."""
        for at in reversed(range(start, len(self.code))):
            code, width, target = self.code[at]
            if CODES[code].endswith("-jump") and self.code[target][0] == code:
                self.code[at] = code, width, self.code[target][2]

    def _emit(self, name: str, value: int = 0, width: int = 0) -> None:
        self.code.append((CODES.index(name), width, value & 0xFFFFFFFF))

    def _add(self, expression: Expression) -> int:
        """Adds the instructions; returns how deep a stack they need."""
        if isinstance(expression, Constant):
            if not 0 <= expression.value < 1 << 32:
                raise ValueError(f"{expression.value} is no 32-bit number")
            self._emit("constant", expression.value)
            return 1
        if isinstance(expression, Text):
            deep = self._add(expression.at)
            self._emit(expression.name, self._text(expression.text))
            return deep
        if isinstance(expression, Among):
            deep = self._add(expression.number)
            self._emit("in", self._set(expression.numbers))
            return deep
        assert isinstance(expression, Operation)
        if expression.name in ("and", "or"):
            return self._jump(expression)
        deep = max((n + self._add(operand) for n, operand in enumerate(expression.operands)), default=1)
        self._emit(expression.name, width=expression.width)
        return deep

    def _jump(self, expression: Operation) -> int:
        left, right = expression.operands
        deep = self._add(left)
        at = len(self.code)
        self._emit(f"{expression.name}-jump")
        deep = max(deep, self._add(right))
        self.code[at] = (*self.code[at][:2], len(self.code))
        return deep

    def _text(self, text: bytes) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def _set(self, numbers: frozenset[int]) -> int:
        if numbers not in self.sets:
            self.sets.append(numbers)
        return self.sets.index(numbers)

    def tables(
        self,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
        """(instructions, literals, where each literal ends, sets)"""
        sets = np.zeros((len(self.sets) or 1, 4), np.uint64)
        for n, numbers in enumerate(self.sets):
            for number in numbers:
                sets[n, number >> 6] |= np.uint64(1 << (number & 63))
        texts = np.frombuffer(b"".join(self.texts) or b"\0", np.uint8)
        ends = np.cumsum([len(text) for text in self.texts] or [0]).astype(np.uint32)
        return np.array(self.code, INSTRUCTION).view(np.uint8), texts, ends, sets.ravel()


def compile_set(protocols: Iterable[Application]) -> _applications.ApplicationSet:
    """The tables of `protocols`. Raises ValueError when two claim one port, or one is inside what does not exist."""
    return _applications.ApplicationSet(*compile_tables(protocols))


def compile_tables(protocols: Iterable[Application]) -> tuple[Any, ...]:
    """What ApplicationSet takes, in its order. Raises ValueError as compile_set() does."""
    protocols = tuple(protocols)
    compiler = Compiler()
    names = (*NAMES, *(protocol.name for protocol in protocols))
    if len(set(names)) != len(names):
        raise ValueError("two protocols have one name")
    number = {name: n for n, name in enumerate(names)}
    rows = np.zeros(len(names), APPLICATION)
    for name in ("accept", "length", "next", "wraps", "becomes", "silent", "confirm"):
        rows[name] = NO_PROGRAM
    carried: list[tuple[int, int, int]] = []
    for protocol in protocols:
        row = rows[number[protocol.name]]
        row["accept"] = compiler.program(protocol.accept)
        row["length"] = compiler.program(protocol.length)
        row["next"] = compiler.program(protocol.next)
        row["wraps"] = compiler.program(protocol.wraps)
        row["becomes"] = compiler.program(_becomes(protocol, number))
        row["confirm"] = compiler.program(_confirm(protocol))
        row["silent"] = compiler.program(protocol.silent)
        row["framing"] = FRAMINGS.index(protocol.framing)
        row["announces"] = ANNOUNCEMENTS.index(protocol.announces)
        inner = [(rule, other.name) for other in protocols for rule in other.inside if rule.protocol == protocol.name]
        if protocol.answer is not None:
            inner.append((Inside(protocol.name, 0, protocol.answer), ""))
        if protocol.data is not None:
            inner.append((Inside(protocol.name, protocol.data_at, protocol.data), "data"))
        row["first_carried"], row["carried_count"] = len(carried), len(inner)
        for rule, name in inner:
            at = rule.at if isinstance(rule.at, Expression) else Constant(rule.at)
            carried.append((compiler.program(rule.when), compiler.program(at), number[name]))
        for rule in protocol.inside:
            if rule.protocol not in number:
                raise ValueError(f"{protocol.name} is inside {rule.protocol!r}, which is no protocol")
    heuristics = []
    for transport in ("tcp", "udp"):
        rules = [(rule, one) for one in protocols for rule in (one.content, getattr(one, f"{transport}_content"))]
        found = [
            (compiler.program(rule), number[one.name], *_words(first_bytes(rule)))
            for rule, one in rules
            if rule is not None
        ]
        heuristics.append(np.array(found, np.uint32).reshape(-1, 10))
    tables = {
        name: _numbers(name, size, protocols, number)
        for name, size in (
            ("tcp_ports", 65536), ("udp_ports", 65536), ("ip_protocols", 256), ("ether_types", 65536),
            ("llc_services", 256), ("snap_protocols", 65536),
        )
    }  # fmt: skip
    return (
        names,
        *compiler.tables(),
        rows.view(np.uint8),
        np.array(carried or [(0, 0, 0)], np.uint32),
        heuristics,
        (tables["tcp_ports"], tables["udp_ports"]),
        tables["ip_protocols"],
        tables["ether_types"],
        tables["llc_services"],
        tables["snap_protocols"],
        [number.get(name, 0) for name in ANNOUNCED],
    )


def _words(bits: int) -> list[int]:
    """256 bits as eight numbers, the lowest first."""
    return [bits >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)]


def _confirm(protocol: Application) -> Expression | None:
    """What settles that a message on one of its ports is the protocol's."""
    confirm: Expression | None = None
    for test in (protocol.content, protocol.tcp_content, protocol.udp_content, protocol.accept):
        if test is not None:
            confirm = test if confirm is None else confirm | test
    return confirm


def _becomes(protocol: Application, number: dict[str, int]) -> Expression | None:
    """The number of the protocol that the conversation goes on with."""
    after: Expression | None = None
    for name, when in protocol.becomes:
        if name not in number:
            raise ValueError(f"{protocol.name} becomes {name!r}, which is no protocol")
        this = when & number[name]
        after = this if after is None else after | this
    return after


def _numbers(name: str, size: int, protocols: Iterable[Application], number: dict[str, int]) -> npt.NDArray[np.uint8]:
    table = np.zeros(size, np.uint8)
    for protocol in protocols:
        for value in getattr(protocol, name):
            if table[value]:
                raise ValueError(f"{protocol.name}: another protocol has number {value} of the {name}")
            table[value] = number[protocol.name]
    return table
