"""Which bytes a message may begin with for a condition to hold. Oracle: sets written here by hand."""

from __future__ import annotations

import pytest

from spanline.protocols.first_bytes import ALL, first_bytes
from spanline.protocols.language import Expression, be16, captured, find, one_of, size, starts_any_case, u8

FRONT = u8(0)


@pytest.mark.parametrize(
    ("condition", "begins"),
    [
        (FRONT == 22, {22}),
        (FRONT != 22, {*range(256)} - {22}),
        (FRONT.among({20, 21, 300}), {20, 21}),
        (FRONT >= 0x80, {*range(128, 256)}),
        (FRONT >> 6 == 2, {*range(128, 192)}),
        (FRONT.bits(0x30) == 0x10, {byte for byte in range(256) if byte & 0x30 == 0x10}),
        (be16(0) == 0x1603, {0x16}),
        (be16(0).bits(0xFC00) == 0, {0, 1, 2, 3}),
        (be16(0).bits(0xFC01) == 0, None),
        (be16(0) + 2 <= size, None),
        (u8(1) == 3, None),
        (captured <= 4, None),
        (find(b"x") >= 0, None),
        (one_of(b"GET ", b"HTTP/"), {*b"GH"}),
        (starts_any_case(b"sip/"), {*b"sS"}),
        ((FRONT == 1) & (u8(1) == 3), {1}),
        ((FRONT == 1) | (FRONT == 2), {1, 2}),
        ((FRONT == 1) | (u8(1) == 3), None),
        ((FRONT == 1) & 68, {1}),
    ],
)
def test_what_a_condition_says_of_the_first_byte(condition: Expression, begins: set[int] | None) -> None:
    expected = ALL if begins is None else sum(1 << byte for byte in begins)
    assert first_bytes(condition) == expected
