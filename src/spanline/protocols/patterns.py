"""Protocols on ports where nobody expects them: the patterns of all of them, looked for at once."""

from __future__ import annotations

import re
import threading
from functools import cache

import hyperscan
import numpy as np
import numpy.typing as npt

from spanline.matching import compiled
from spanline.protocols.tables import foreign_patterns

HEAD_BYTES = 64


class Patterns:
    """What says of the first bytes of a conversation which protocol it is: Application.foreign of all protocols."""

    def __init__(self) -> None:
        pairs = foreign_patterns()
        self._names = [name for name, _ in pairs]
        self._exact = [pattern for _, pattern in pairs]
        # Each head begins with a newline: "^" finds it with MULTILINE, and all heads are one text.
        flags = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE
        self._database = compiled([pattern for _, pattern in pairs], [flags] * len(pairs))
        self._scratch = threading.local()

    def __call__(self, heads: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The number of the name of each head, uint8[n], 0 for none; `heads` is uint8[n, 64]: a newline, 63 bytes, and
        zeros behind the last one that there was."""
        found = np.zeros(len(heads), np.uint8)
        text = heads.tobytes()

        def note(number: int, _: int, end: int, __: int, ___: object) -> None:
            head = (end - 1) // HEAD_BYTES
            # The payload may have a newline of its own, and a match may have begun in the head before.
            if not found[head] and re.match(
                self._exact[number], text[head * HEAD_BYTES + 1 : (head + 1) * HEAD_BYTES], re.DOTALL
            ):
                found[head] = self._names[number]

        self._database.scan(text, match_event_handler=note, scratch=self._own_scratch())
        return found

    def _own_scratch(self) -> hyperscan.Scratch:
        """Threads scan at the same time, each with its own."""
        scratch: hyperscan.Scratch | None = getattr(self._scratch, "own", None)
        if scratch is None:
            scratch = self._scratch.own = hyperscan.Scratch(self._database)
        return scratch


@cache
def patterns() -> Patterns:
    """Those of all protocols."""
    return Patterns()
