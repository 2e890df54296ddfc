"""Display filters: tshark's -Y, evaluated over whole batches.

compile_filter("tcp.flags.syn == 1 && ip.addr == 10.0.0.0/8").mask(batch)     bool[n]
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields import Field
from spanline.filters import tree
from spanline.filters.errors import FilterError

__all__ = ["Filter", "FilterError", "compile_filter"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A display filter.

    text    as it was written
    fields  those that it asks about; Field.requires says what has to be found out before
    """

    text: str
    fields: frozenset[Field]
    _test: tree.Test | None = field(repr=False)

    def mask(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """The rows of `batch` that pass, bool[n]. An empty filter lets all of them."""
        from spanline.filters.evaluate import rows_of

        if self._test is None or not len(batch):
            return np.ones(len(batch), np.bool_)
        return rows_of(self._test, batch)


def compile_filter(text: str) -> Filter:
    """The filter that `text` is, in the language of tshark's display filters (docs/filters.md).

    Raises FilterError, a UsageError, with the place of what is wrong.
    """
    from spanline.filters.check import Checker
    from spanline.filters.grammar import parse
    from spanline.filters.optimise import optimise

    parsed = parse(text)
    if parsed is None:
        return Filter(text, frozenset(), None)
    checker = Checker(text)
    test = optimise(checker.test(parsed))
    return Filter(text, frozenset(checker.fields), test)
