"""A display filter with a meaning: fields, constants of the right kind, and what is asked of them.

tshark's rules hold (4.0): a test of something whose field the frame does not have fails. Of several values one has to
pass, or with `every` none may fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spanline.fields import Field, Kind
from spanline.filters.syntax import Span

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import generic
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Reference:
    """All occurrences of a field, or those in some layers of its protocol (1 is the outermost)."""

    field: Field
    layers: tuple[Span, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.field.kind


@dataclass(frozen=True, slots=True)
class Constant:
    """One value: an int, or bytes; None is the result of a division by zero, which equals nothing.

    prefix  of an address, how many bits are compared; None is all
    """

    kind: Kind
    value: int | bytes | None
    prefix: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Parts of the bytes of something, put together."""

    of: Value
    ranges: tuple[Span, ...]
    kind: Kind = field(default=Kind.BYTES, init=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """+ - * / % or & of each pair of values in a frame; what overflows 32 bits has no result."""

    operator: str
    left: Value
    right: Value

    @property
    def kind(self) -> Kind:
        return self.left.kind


@dataclass(frozen=True, slots=True)
class Negative:
    of: Value

    @property
    def kind(self) -> Kind:
        """Unsigned numbers stay unsigned by name, whatever their value: as in tshark."""
        return self.of.kind


@dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments' values."""

    name: str
    arguments: tuple[Value, ...]
    kind: Kind


Value = Reference | Constant | Slice | Arithmetic | Negative | Call


@dataclass(frozen=True, slots=True)
class Present:
    """A field occurs."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Nonzero:
    """Arithmetic is not zero, a slice is not empty."""

    value: Value


@dataclass(frozen=True, slots=True)
class Comparison:
    """A relation: one of == != < <= > >= contains."""

    left: Value
    operator: str
    right: Value
    every: bool = False


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression in RE2's syntax is found, whatever the case of letters."""

    left: Value
    pattern: bytes
    every: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """low <= value <= high."""

    value: Value
    low: Value
    high: Value
    every: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Values to look up, as relations.known_values() makes them: of addresses those with a prefix of this length."""

    prefix: int | None
    values: NDArray[generic] | pa.Array


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of those known: what many == with or between them come to."""

    value: Reference
    known: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Not:
    test: Test


@dataclass(frozen=True, slots=True)
class All:
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Any:
    tests: tuple[Test, ...]


Test = Present | Nonzero | Comparison | Matches | Between | OneOf | Not | All | Any
