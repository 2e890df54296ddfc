"""Plaintext on the wire: accounts and secrets that anybody on the way can read, and services without encryption."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _decode, _payloads
from spanline.batch import Batch
from spanline.errors import Problem, UsageError
from spanline.plaintext import model
from spanline.plaintext.beginnings import Beginnings
from spanline.plaintext.findings import Found, findings_table
from spanline.plaintext.following import BYTES_PER_PARSER, Followed, Following
from spanline.plaintext.parsers import protocols as all_protocols
from spanline.plaintext.redaction import Shows
from spanline.plaintext.rules import NO_RULES, Rules
from spanline.plaintext.scanning import Scanner
from spanline.schema import PAYLOAD_CONVERSATION_DTYPE, PAYLOAD_HEAD_DTYPE, PAYLOAD_PIECE_DTYPE

MEMORY = 256 << 20
HEAD_BYTES = 4096
CLAIMED_BYTES = 1 << 20

_PARSERS_SHARE = 4
"""Parsers may take this part of the memory."""


@dataclass(slots=True)
class _Turn:
    """What a batch brought: who is followed from now on, and the pieces of all who are."""

    begun: list[tuple[int, Followed]]
    pieces: npt.NDArray[np.void]
    octets: npt.NDArray[np.uint8]


class Plaintext:
    """Follows conversations in the clear; its Table is "findings" (schema.FINDING), by time.

    shows          how secrets are written into the Table: redaction.Redactor or Revealer
    rules          what the user looks for beside what is built in
    protocols      those that are known: all, unless given
    by_vlan        frames of different VLANs are different conversations
    by_vni         frames of different tunnels (VNI or GRE key) are different conversations
    memory         bytes that conversations may take; beyond, the least recently used are given up
    head_bytes     of each side of a conversation, in which patterns and rules are looked for
    claimed_bytes  of each side of one that is followed
    shard          (n, of): take only the conversations of the n-th, from 0, of so many parts; merge() joins the parts

    However the work is divided, the findings are the same, as long as no conversation is given up.
    """

    def __init__(
        self,
        shows: Shows,
        *,
        rules: Rules = NO_RULES,
        protocols: Sequence[model.Plaintext] | None = None,
        by_vlan: bool = False,
        by_vni: bool = True,
        memory: int = MEMORY,
        head_bytes: int = HEAD_BYTES,
        claimed_bytes: int = CLAIMED_BYTES,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        number, of = shard
        if not 0 <= number < of:
            raise UsageError(f"shard {number} of {of}: there are no such conversations")
        self._shows = shows
        self._options: dict[str, Any] = {
            "key_vlan": by_vlan,
            "key_vni": by_vni,
            "head_bytes": head_bytes,
            "claimed_bytes": claimed_bytes,
        }
        for_parsers = memory // _PARSERS_SHARE
        self._payloads = _payloads.Payloads(
            memory=memory - for_parsers, seed=_decode.SEED, shard=number, shards=of, **self._options
        )
        known = all_protocols() if protocols is None else tuple(protocols)
        scanner = Scanner(known, rules)
        self._beginnings = Beginnings(known, scanner, head_bytes if rules else 0)
        self._following = Following(scanner, max(1, for_parsers // BYTES_PER_PARSER))
        # From _collect() to _follow(), which another thread may do while _collect() goes on with the next batch.
        self._turns: deque[_Turn] = deque()
        # drain() may be called meanwhile.
        self._lock = threading.Lock()
        self._found: list[Found] = []
        self.steps = [self._collect, self._follow]
        """update() in parts, for several threads: each takes all batches in order."""

    def update(self, batch: Batch) -> None:
        for step in self.steps:
            step(batch)

    def _collect(self, batch: Batch) -> None:
        """All that has to do with payload that is not anybody's yet."""
        self._release()
        self._payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        self._turns.append(self._turn())

    def _turn(self) -> _Turn:
        heads, octets = self._payloads.heads()
        heads = heads.view(PAYLOAD_HEAD_DTYPE)
        begun: list[tuple[int, Followed]] = []
        if len(heads):
            ends = self._payloads.conversations(heads["slot"]).view(PAYLOAD_CONVERSATION_DTYPE)
            begun = self._beginnings.look(heads, octets, ends)
            self._payloads.claim(np.array([slot for slot, _ in begun], np.uint32))
        pieces, octets = self._payloads.pieces()
        return _Turn(begun, pieces.view(PAYLOAD_PIECE_DTYPE), octets)

    def _release(self) -> None:
        """Payload of which nothing more is wanted; a slot may be another conversation's by now."""
        over = self._following.over
        if not over:
            return
        slots, serials = np.array([over.popleft() for _ in range(len(over))]).T
        slots = slots.astype(np.uint32)
        now = self._payloads.conversations(slots).view(PAYLOAD_CONVERSATION_DTYPE)["serial"]
        self._payloads.release(slots[now == serials.astype(np.uint64)])

    def _follow(self, _: Batch) -> None:
        self._take(self._turns.popleft())

    def _take(self, turn: _Turn) -> None:
        found = [one for slot, followed in turn.begun for one in self._following.begin(slot, followed)]
        found += self._following.feed(turn.pieces, turn.octets)
        with self._lock:
            self._found += found

    def drain(self) -> Mapping[str, pa.Table]:
        """What was found since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return {"findings": findings_table(found, self._shows)}

    def tables(self) -> Mapping[str, pa.Table]:
        self._payloads.finish()
        self._take(self._turn())
        self._found += self._following.finish()
        return self.drain()

    def merge(self, other: Plaintext) -> None:
        """Joins the conversations of another part of the same traffic, which saw the same time pass; `other` is over
        then.

        No conversation may be in both. Raises UsageError when they do not follow conversations in the same way.
        """
        if self._options != other._options:
            raise UsageError("these findings were made with other options", hint="merge parts of one analysis")
        slots = self._payloads.adopt(other._payloads.state())
        self._following.merge(other._following, slots)
        self._found += other._found

    def state(self) -> dict[str, Any]:
        """All that is known, as plain values and bytes: restore() in another process goes on exactly from here.

        The bytes hold payload, and parsers with the secrets that they have read, as Python pickles them.
        """
        return {
            **self._options,
            "payloads": self._payloads.state(),
            "found": pickle.dumps(self._found),
            **self._following.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where state() was taken: for a new stage. Raises UsageError when its options are others.

        Only for states of this user's own spanline: Python does what a pickle says.
        """
        if any(state[name] != value for name, value in self._options.items()):
            raise UsageError("this state is of findings made with other options")
        self._payloads.restore(state["payloads"])
        self._found = pickle.loads(state["found"])
        self._following.restore(state)

    @property
    def pending(self) -> int:
        """Findings that drain() would give."""
        return len(self._found)

    @property
    def problems(self) -> list[Problem]:
        """Faults of parsers, whose conversations were given up."""
        return self._following.problems

    @property
    def followed(self) -> int:
        """Conversations that were followed so far."""
        return self._following.followed
