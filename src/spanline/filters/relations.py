"""Comparisons of values in bulk. Each gives what holds, and what cannot be told (None: everything can)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spanline.fields import Kind, Octets
from spanline.filters import tree
from spanline.filters.values import LARGEST, NUMBERS, Integers, Mask, Values, take

if TYPE_CHECKING:
    import pyarrow as pa

Result = tuple[Mask, Mask | None]
_NUMPY: dict[str, np.ufunc] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_ARROW = {
    "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip
_FIXED = (Kind.IPV4, Kind.IPV6, Kind.ETHER)


def relate(values: Values, operator: str, constant: tree.Constant) -> Result:
    """Values with a constant."""
    if constant.value is None:
        return np.zeros(len(values), np.bool_), np.ones(len(values), np.bool_)
    if operator == "contains":
        return _contains(values.octets, _octets(constant)), None
    if values.kind in NUMBERS:
        assert isinstance(constant.value, int)
        return _NUMPY[operator](values.numbers, constant.value), _doubt(values, constant.value)
    if values.kind in _FIXED and values.kind is constant.kind:
        data, octets = values.fixed, _octets(constant)
        if constant.prefix is not None:
            data, octets = _cleared(data, octets, constant.prefix)
        return _fixed(operator, data, np.frombuffer(octets, np.uint8).reshape(1, -1)), None
    return _bytes(operator, values.kind, values.octets, _octets(constant)), None


def relate_pairs(left: Values, operator: str, right: Values) -> Result:
    """Values with values, one by one."""
    if left.kind in NUMBERS:
        return _NUMPY[operator](left.numbers, right.numbers), _doubt(left, right.numbers)
    if operator == "contains":
        return _contains_pairs(left.octets, right.octets), None
    if left.kind in _FIXED and left.kind is right.kind:
        return _fixed(operator, left.fixed, right.fixed), None
    one, other = left.octets, right.octets
    return _ordered(operator, left.kind, one, binary(other), np.diff(other.offsets)), None


def known_values(kind: Kind, constants: Iterable[tree.Constant]) -> tuple[tree.Known, ...]:
    """What one_of() looks up, sorted: for each length of prefixes the values that have it."""
    by_prefix: dict[int | None, list[tree.Constant]] = {}
    for constant in constants:
        by_prefix.setdefault(constant.prefix, []).append(constant)
    return tuple(tree.Known(prefix, _sorted(kind, some, prefix)) for prefix, some in by_prefix.items())


def _sorted(kind: Kind, constants: list[tree.Constant], prefix: int | None) -> npt.NDArray[np.generic] | pa.Array:
    if kind in NUMBERS:
        return np.unique(np.array([constant.value for constant in constants], np.int64))
    octets = [_octets(constant) for constant in constants]
    if kind not in _FIXED:
        import pyarrow as pa

        return pa.array(octets, pa.large_binary())
    data = np.frombuffer(b"".join(octets), np.uint8).reshape(len(octets), -1)
    return np.unique(_keys(data if prefix is None else data & _bits(prefix, data.shape[1])))


def one_of(values: Values, known: tuple[tree.Known, ...]) -> Mask:
    """Which values are among known ones."""
    found = np.zeros(len(values), np.bool_)
    for one in known:
        if isinstance(one.values, np.ndarray):
            keys = _lookup_keys(values, one.prefix)
            place = np.searchsorted(one.values, keys)
            place[place == len(one.values)] = 0
            found |= one.values[place] == keys
        else:
            import pyarrow.compute as pc

            found |= _mask(pc.is_in(binary(values.octets), one.values))
    return found


def _lookup_keys(values: Values, prefix: int | None) -> npt.NDArray[np.generic]:
    if values.kind in NUMBERS:
        return values.numbers
    data = values.fixed
    return _keys(data if prefix is None else data & _bits(prefix, data.shape[1]))


def search(values: Values, pattern: bytes) -> Mask:
    """Which values a regular expression is found in."""
    import pyarrow.compute as pc

    return _mask(pc.match_substring_regex(binary(values.octets), pattern, ignore_case=True))


def is_nonzero(values: Values) -> Mask:
    """Arithmetic is not zero; bytes have a bit set."""
    if isinstance(values.data, Octets):
        set_before = np.concatenate([[0], np.cumsum(values.data.data != 0)])
        nonzero: Mask = np.diff(set_before[values.data.offsets]) > 0
    elif values.data.ndim == 1:
        nonzero = np.not_equal(values.data, 0)
    else:
        nonzero = np.count_nonzero(values.data, axis=1) > 0
    return nonzero


def is_there(values: Values) -> Mask:
    """Bytes have at least one."""
    return np.diff(values.octets.offsets) > 0


def _doubt(left: Values, right: int | Integers) -> Mask | None:
    """tshark does not compare an unsigned number with a negative one, nor a negative one with what is above 2³¹-1."""
    if left.kind is not Kind.UNSIGNED:
        return None
    if isinstance(right, int):
        if 0 <= right <= LARGEST:
            return None
        return left.numbers >= 0 if right < 0 else left.numbers < 0
    return ((left.numbers >= 0) & (right < 0)) | ((left.numbers < 0) & (right > LARGEST))


def _octets(constant: tree.Constant) -> bytes:
    return constant.value.to_bytes(4) if isinstance(constant.value, int) else constant.value or b""


def _bits(prefix: int, width: int) -> npt.NDArray[np.uint8]:
    """The mask of a prefix, uint8[width]."""
    return np.frombuffer(((1 << 8 * width) - (1 << 8 * width - prefix)).to_bytes(width), np.uint8)


def _cleared(data: npt.NDArray[np.uint8], octets: bytes, prefix: int) -> tuple[npt.NDArray[np.uint8], bytes]:
    bits = _bits(prefix, len(octets))
    return data & bits, (np.frombuffer(octets, np.uint8) & bits).tobytes()


def _keys(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
    """Addresses as something that can be compared and sorted in one go; text of fixed width for the longest."""
    data = np.ascontiguousarray(data)
    count, width = data.shape
    if width == 4:
        return data.view(">u4").reshape(count).astype(np.uint32)
    if width == 6:
        padded = np.zeros((count, 8), np.uint8)
        padded[:, 2:] = data
        return padded.view(">u8").reshape(count).astype(np.uint64)
    return data.view(f"S{width}").reshape(count)


def _fixed(operator: str, left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> Mask:
    result: Mask = _NUMPY[operator](_keys(left), _keys(right))
    return result


def _ordered(operator: str, kind: Kind, left: Octets, right: pa.Array | pa.Scalar, lengths: int | Integers) -> Mask:
    """Texts by their first different letter, bytes by their length before that."""
    import pyarrow.compute as pc

    found: Mask = getattr(pc, _ARROW[operator])(binary(left), right).to_numpy(zero_copy_only=False)
    if kind is Kind.STRING:
        return found
    of_left = np.diff(left.offsets)
    longer: Mask = np.where(of_left == lengths, found, _NUMPY[operator](of_left, lengths))
    return longer


def _bytes(operator: str, kind: Kind, octets: Octets, constant: bytes) -> Mask:
    if operator not in ("==", "!="):
        import pyarrow as pa

        return _ordered(operator, kind, octets, pa.scalar(constant, pa.large_binary()), len(constant))
    equal: Mask = np.diff(octets.offsets) == len(constant)
    starts = octets.offsets[:-1][equal]
    data = octets.data[starts[:, None] + np.arange(len(constant))]
    equal[equal] = (data == np.frombuffer(constant, np.uint8)).all(axis=1)
    return equal if operator == "==" else ~equal


def _contains(octets: Octets, constant: bytes) -> Mask:
    if not constant:  # tshark finds nothing in anything
        return np.zeros(len(octets), np.bool_)
    import pyarrow.compute as pc

    return _mask(pc.match_substring(binary(octets), constant))


def _contains_pairs(left: Octets, right: Octets) -> Mask:
    """Distinct searched-for values are few, or the pairs are: each is searched for once."""
    wanted = binary(right).dictionary_encode()
    which = wanted.indices.to_numpy(zero_copy_only=False)
    found = np.zeros(len(left), np.bool_)
    texts = wanted.dictionary.to_pylist()
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(texts) + 1))
    for number, text in enumerate(texts):
        some = order[ends[number] : ends[number + 1]]
        part = take(left, some)
        assert isinstance(part, Octets)
        found[some] = _contains(part, text)
    return found


def binary(octets: Octets) -> pa.Array:
    """Octets as an Arrow array, without a copy."""
    import pyarrow as pa

    offsets = np.ascontiguousarray(octets.offsets, np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(octets.data))]
    return pa.Array.from_buffers(pa.large_binary(), len(octets), buffers)


def _mask(found: pa.BooleanArray) -> Mask:
    mask: Mask = found.to_numpy(zero_copy_only=False)
    return mask
