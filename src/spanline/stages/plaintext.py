"""Plaintext on the wire: accounts and secrets that anybody on the way can read, and services without encryption."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from spanline.plaintext.dormant import Dormant, Woken, is_behind
from spanline.plaintext.findings import Found, findings_table
from spanline.plaintext.following import BYTES_PER_PARSER, Followed, Following
from spanline.plaintext.parsers import listed
from spanline.plaintext.redaction import Shows
from spanline.plaintext.rules import NO_RULES, Rules, WatchedRules
from spanline.plaintext.scanning import Scanner
from spanline.schema import PAYLOAD_PIECE_FLAGS

MEMORY = 256 << 20
HEAD_BYTES = 4096
BEGINNING_BYTES = 1024
"""Of each side of a conversation, without rules: the patterns of protocols are about less."""

CLAIMED_BYTES = 1 << 20
ROWS_AT_ONCE = 1 << 13
"""Findings that wait for drain(): as Python objects they take more memory than in a Table."""

HEADS_AT_ONCE = 1 << 12
"""Heads that are looked at together: what is made of those that are followed takes some kB each."""

_PARSERS_SHARE = 4
"""Parsers may take this part of the memory."""

LEAST_MEMORY = _payloads.LEAST_MEMORY * _PARSERS_SHARE // (_PARSERS_SHARE - 1) + _PARSERS_SHARE
_MOST_BYTES = 1 << 30
_ENDED = 1 << PAYLOAD_PIECE_FLAGS.index("ended")
_PACKETS_AT_ONCE = 1 << 14
_TIME_AT_ONCE = 10**9
"""ns. Conversations are looked at after so many packets or so much time in the capture, whatever comes first."""


class Plaintext:
    """Follows conversations in the clear; its Table is "findings" (schema.FINDING), by time.

    shows          how secrets are written into the Table: redaction.Redactor or Revealer
    rules          what the user looks for beside what is built in; WatchedRules are renewed when their files change, of
                   which wrong ones are among `problems` and change nothing
    protocols      those that are known: all, unless given
    by_vlan        frames of different VLANs are different conversations
    by_vni         frames of different tunnels (VNI, GRE key, ERSPAN session) are different conversations
    memory         bytes that conversations may take; beyond, the least recently used are given up
    head_bytes     of each side of a conversation, in which patterns and rules are looked for; patterns in
                   BEGINNING_BYTES of them where there are no rules
    claimed_bytes  of each side of one that is followed
    shard          (n, of): take only the conversations of the n-th, from 0, of so many parts; merge() joins the parts

    However the work is divided, the findings are the same, as long as no conversation is given up. Raises UsageError
    for numbers of bytes that make no sense.
    """

    def __init__(
        self,
        shows: Shows,
        *,
        rules: Rules | WatchedRules = NO_RULES,
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
        if memory < LEAST_MEMORY:
            raise UsageError(f"{memory:,} bytes of memory are too few", hint=f"give at least {LEAST_MEMORY:,}")
        if not 0 < head_bytes <= claimed_bytes <= _MOST_BYTES:
            raise UsageError(
                f"heads of {head_bytes:,} bytes in {claimed_bytes:,} that are read of each side make no sense",
                hint=f"give at least 1, and at most {_MOST_BYTES:,}; of a head no more than is read",
            )
        known = listed() if protocols is None else tuple(protocols)
        self._shows = shows
        self._options: dict[str, Any] = {
            "by_vlan": by_vlan,
            "by_vni": by_vni,
            "head_bytes": head_bytes,
            "claimed_bytes": claimed_bytes,
        }
        self._known = known
        self._watched = rules if isinstance(rules, WatchedRules) else None
        self._own_problems: list[Problem] = []
        # Conversations followed, given up and cut: in other processes, and as told to another one.
        self._elsewhere = [0, 0, 0]
        self._told = [0, 0, 0]
        self._problems_told = 0
        scanner = Scanner(known, rules.rules if isinstance(rules, WatchedRules) else rules)
        # A rule may be about a server's name in TLS, and about web pages in which nobody logs in.
        all_is_looked_at = self._watched is not None or bool(rules)
        beginnings = Beginnings(known, scanner, head_bytes if all_is_looked_at else 0)
        for_parsers = memory // _PARSERS_SHARE
        payloads = _payloads.Payloads(
            memory - for_parsers,
            seed=_decode.SEED,
            skip_silent=not all_is_looked_at,
            shard=shard,
            **{**self._options, "head_bytes": head_bytes if all_is_looked_at else min(head_bytes, BEGINNING_BYTES)},
        )
        following = Following(scanner, max(1, for_parsers // BYTES_PER_PARSER))
        self._shards = [_Shard(payloads, beginnings, Dormant(known), following, (memory - for_parsers) // 4)]

    def update(self, batch: Batch) -> None:
        for step in self.steps:
            step(batch)

    @property
    def steps(self) -> list[Callable[[Batch], None]]:
        """update() in parts, for several threads: each takes all batches in order."""
        first: list[Callable[[Batch], None]] = [self._renew_rules] if self._watched else []
        return first + [step for shard in self._shards for step in (shard.collect, shard.follow)]

    def _renew_rules(self, _: Batch) -> None:
        assert self._watched is not None
        try:
            if self._watched.changed():
                scanner = Scanner(self._known, self._watched.rules)
                for shard in self._shards:
                    shard.look_with(scanner)
        except UsageError as error:
            what = f"{error.message}; the rules stay as they were"
            self._own_problems.append(Problem("--rules", "rules", what, hint=error.hint))

    def drain(self) -> Mapping[str, pa.Table]:
        """What was found since the last call."""
        return {"findings": findings_table(self.take(), self._shows)}

    def take(self) -> list[Found]:
        """What drain() would give, as objects, of which it is then over, too."""
        return [one for shard in self._shards for one in shard.take()]

    def tables(self) -> Mapping[str, pa.Table]:
        for shard in self._shards:
            for _ in shard.finish():
                pass
        return self.drain()

    def rest(self) -> Iterator[pa.Table]:
        """tables() in parts, at least one, each by time: what all conversations still tell that end now may be much."""
        for shard in self._shards:
            for _ in shard.finish():
                if self.pending >= ROWS_AT_ONCE:
                    yield self.drain()["findings"]
        yield self.drain()["findings"]

    def merge(self, other: Plaintext) -> None:
        """Joins the conversations of another shard of the same traffic, which saw the same time pass; `other` is over
        then.

        Raises UsageError when it does not follow conversations in the same way.
        """
        if self._options != other._options:
            raise UsageError("these findings were made with other options", hint="merge parts of one analysis")
        self._shards += other._shards

    @property
    def share(self) -> Plaintext:
        """What of it several processes do: see workers.worker.Divided."""
        return self

    def hand_over(self, over: bool) -> tuple[int, tuple[list[Found], list[int], list[Problem]] | None]:
        """0, as frames are not counted here, and what was found since the last time, what there is to count since, and
        problems; None when there is nothing. All that there is when the traffic is `over`.
        """
        if over:
            for shard in self._shards:
                for _ in shard.finish():
                    pass
        found, counts, problems = self.take(), [self.followed, self.evicted, self.cut], self.problems
        since = [now - before for now, before in zip(counts, self._told, strict=True)]
        new = problems[self._problems_told :]
        self._told, self._problems_told = counts, len(problems)
        return 0, (found, since, new) if found or any(since) or new else None

    def forget(self) -> None:
        """What was found is for another process to tell."""
        self.hand_over(over=False)

    def take_over(self, finished: tuple[list[Found], list[int], list[Problem]]) -> None:
        """What another process's hand_over() gave: drain() gives it here."""
        found, counts, problems = finished
        self._shards[0].add(found)
        self._elsewhere = [here + there for here, there in zip(self._elsewhere, counts, strict=True)]
        # All processes read the same rules.
        self._own_problems += [problem for problem in problems if problem not in self._own_problems]

    def state(self) -> dict[str, Any]:
        """All that is known, as plain values and bytes: restore() in another process goes on exactly from here.

        The bytes hold payload, and parsers as Python pickles them, with the secrets that they have read.
        """
        return {**self._options, "shards": [shard.state() for shard in self._shards]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where state() was taken: for a new stage. Raises UsageError when its options are others.

        Only for states of this user's own spanline: Python does what a pickle says.
        """
        if any(state[name] != value for name, value in self._options.items()) or len(state["shards"]) != 1:
            raise UsageError("this state is of findings made with other options")
        self._shards[0].restore(state["shards"][0])

    @property
    def pending(self) -> int:
        """Findings that drain() would give."""
        return sum(shard.pending for shard in self._shards)

    @property
    def problems(self) -> list[Problem]:
        """Rules that became wrong; faults of parsers, whose conversations were given up."""
        return self._own_problems + [problem for shard in self._shards for problem in shard.following.problems]

    @property
    def followed(self) -> int:
        """Conversations that were followed so far."""
        return self._elsewhere[0] + sum(shard.following.followed for shard in self._shards)

    @property
    def evicted(self) -> int:
        """Conversations that were given up to stay within memory."""
        here = sum(shard.payloads.counters.evicted + shard.following.evicted for shard in self._shards)
        return self._elsewhere[1] + here

    @property
    def cut(self) -> int:
        """Conversations of which more came than claimed_bytes."""
        return self._elsewhere[2] + sum(shard.following.cut for shard in self._shards)


def _parts(slots: npt.NDArray[np.uint32]) -> Iterator[slice]:
    """Slices of about HEADS_AT_ONCE heads; both of a conversation, which follow one another, are in one."""
    start = 0
    while start < len(slots):
        end = min(start + HEADS_AT_ONCE, len(slots))
        end += int(end < len(slots) and slots[end] == slots[end - 1])
        yield slice(start, end)
        start = end


@dataclass(slots=True)
class _Turn:
    """What some conversations brought: who is followed from now on, the pieces of all who are, who was woken by them,
    and what these say then."""

    begun: list[tuple[int, Followed]]
    pieces: npt.NDArray[np.void]
    octets: npt.NDArray[np.uint8]
    woken: list[Woken]
    then: npt.NDArray[np.void]
    then_octets: npt.NDArray[np.uint8]


class _Shard:
    """Conversations with their payload and their parsers.

    most_unseen  bytes of payload that may wait until anybody looks
    """

    def __init__(
        self,
        payloads: _payloads.Payloads,
        beginnings: Beginnings,
        dormant: Dormant,
        following: Following,
        most_unseen: int,
    ) -> None:
        self.payloads = payloads
        self._dormant = dormant
        self.following = following
        self._beginnings = beginnings
        # From collect() to follow(), which another thread may do while collect() goes on with the next batch.
        self._turns: deque[list[_Turn]] = deque()
        self._unseen = 0
        self._looked = 0
        self._most_unseen = most_unseen
        # take() may be called meanwhile.
        self._lock = threading.Lock()
        self._found: list[Found] = []

    @property
    def pending(self) -> int:
        return len(self._found)

    def look_with(self, scanner: Scanner) -> None:
        """From now on: what was looked at is not looked at again."""
        self._beginnings.scanner = self.following.scanner = scanner

    def collect(self, batch: Batch) -> None:
        """All that is done with the payload of every conversation."""
        self._release()
        self.payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        self._unseen += len(batch)
        now = int(batch.packets["timestamp"][-1]) if len(batch) else self._looked
        if batch.clock is not None:
            self.payloads.advance(batch.clock)
            now = batch.clock
        # A look costs the same for few conversations as for many; but who waits for it wants to know, and takes memory.
        is_time = not 0 <= now - self._looked < _TIME_AT_ONCE
        if is_time or self._unseen >= _PACKETS_AT_ONCE or self.payloads.kept > self._most_unseen:
            self._unseen = 0
            self._looked = now
            self._turns.append(list(self._new()))
        else:
            self._turns.append([])

    def follow(self, _: Batch) -> None:
        """What is done with that of those that are followed."""
        for turn in self._turns.popleft():
            self._add(turn)

    def _new(self) -> Iterator[_Turn]:
        """Looks at what has begun, and takes what those that are followed say; in turns of some conversations."""
        while True:
            heads, octets = self.payloads.heads()
            ends = self.payloads.conversations(heads["slot"].copy())
            for at in _parts(heads["slot"]):
                begun = self._beginnings.look(heads[at], octets, ends[at])
                listened = [one.is_dormant * (one.client_end + 1) for _, one in begun]
                self.payloads.claim(np.array([slot for slot, _ in begun], np.uint32), np.array(listened, np.uint8))
                yield self._turn(begun)
            if not len(heads):
                yield self._turn([])
                return

    def _turn(self, begun: list[tuple[int, Followed]]) -> _Turn:
        pieces, octets = self.payloads.pieces()
        woken = self._dormant.listen(pieces, octets)
        if not woken:
            return _Turn(begun, pieces, octets, woken, pieces[:0], octets[:0])
        slots = np.array([one.slot for one in woken], np.uint32)
        self.payloads.wake(slots)
        then, then_octets = self.payloads.pieces()
        # Their ends, which were told already, are the last to be told.
        is_end = np.isin(pieces["slot"], slots) & (pieces["flags"] & _ENDED != 0)
        then = np.concatenate([then[is_behind(woken, then)], pieces[is_end]])
        return _Turn(begun, pieces[~is_end], octets, woken, then, then_octets)

    def _release(self) -> None:
        """Forgets payload of which nothing more is wanted; by now a slot may be another conversation's."""
        over = self.following.over
        if over:
            slots, serials = np.array([over.popleft() for _ in range(len(over))], np.uint64).T
            slots = slots.astype(np.uint32)
            for slot in slots.tolist():
                self._dormant.forget(slot)
            self.payloads.release(slots[self.payloads.conversations(slots)["serial"] == serials])

    def _add(self, turn: _Turn) -> None:
        for slot, followed in turn.begun:
            self.following.begin(slot, followed)
        found = self.following.feed(turn.pieces, turn.octets)
        for one in turn.woken:
            found += self.following.wake(one.slot, one.message)
        found += self.following.feed(turn.then, turn.then_octets)
        found += self.following.let_go()
        self.add(found)

    def add(self, found: list[Found]) -> None:
        with self._lock:
            self._found += found

    def finish(self) -> Iterator[None]:
        """Ends all conversations, some at each step."""
        self.payloads.finish()
        for turn in self._new():
            self._add(turn)
            yield
        self._found += self.following.finish()

    def take(self) -> list[Found]:
        with self._lock:
            found, self._found = self._found, []
        return found

    def state(self) -> dict[str, Any]:
        found = pickle.dumps(self._found)
        messages = pickle.dumps(self._dormant.messages)
        return {
            "payloads": self.payloads.state(),
            "following": self.following.state(),
            "messages": messages,
            "found": found,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.payloads.restore(state["payloads"])
        self.following.restore(state["following"])
        self._dormant.messages = pickle.loads(state["messages"])
        self._found = pickle.loads(state["found"])


def in_order(parts: Sequence[pa.Table]) -> pa.Table:
    """Findings of several Tables as one, by time."""
    if len(parts) == 1:
        return parts[0]
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("time", "client_port", "server_port")])
