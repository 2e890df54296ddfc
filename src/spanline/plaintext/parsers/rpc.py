"""ONC RPC with AUTH_SYS: the client says which user it speaks for. RFC 5531 sections 9 and 11, appendix A.

|transaction 4|0 4|2 4|program 4|version 4|procedure 4|1 4|length 4|stamp 4|length 4|machine|user 4|group 4|…|;
over TCP |last fragment 1 bit|length 31 bits| before it.
"""

from __future__ import annotations

from collections import deque

from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Sender, Severity
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue

_MARK = 4
_CALL, _REPLY, _VERSION, _AUTH_SYS = 0, 1, 2, 1
_FIRST_PROGRAM, _LAST_PROGRAM = 100000, 399999
_NAMES = {100000: "port mapper", 100003: "NFS", 100005: "NFS mount", 100021: "NFS locks", 100227: "NFS access lists"}
_LONGEST_MACHINE = 255
_LONGEST_CALL = 4 << 20
_MOST_KNOWN = 64
_REMEDY = "Use Kerberos with privacy (sec=krb5p), or RPC over TLS."


class Rpc(RecordDialogue):
    """Tells each user of each machine and program once, with the answer to the first call."""

    datagrams = True

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._known: deque[tuple[int, bytes, int]] = deque(maxlen=_MOST_KNOWN)
        self._mark = 0 if conversation.transport == "udp" else _MARK

    def client_length(self, data: Octets) -> int:
        if len(data) < _MARK:
            return UNDECIDED
        size = int.from_bytes(data[:_MARK], "big") & 0x7FFFFFFF
        return _MARK + size if size <= _LONGEST_CALL else WRONG

    def from_client(self, record: Record) -> None:
        call = record.data[self._mark :]
        words = [int.from_bytes(call[at : at + 4], "big") for at in range(0, 40, 4)]
        if len(call) < 40 or words[1:3] != [_CALL, _VERSION] or not _FIRST_PROGRAM <= words[3] <= _LAST_PROGRAM:
            if self._by_datagram:
                self.stop()
            return
        size = words[9]
        if words[6] != _AUTH_SYS or size > _LONGEST_MACHINE:
            return
        at = 40 + -(-size // 4) * 4
        machine, user = call[40 : 40 + size], int.from_bytes(call[at : at + 4], "big")
        key = words[3], machine, user
        if len(call) < at + 8 or key in self._known:
            return
        self._known.append(key)
        finding = Finding(Kind.SERVICE, record.time, record.frames, "AUTH_SYS", Severity.MEDIUM, _REMEDY)
        finding.account = f"uid={user}"
        finding.detail = f"{_NAMES.get(words[3], f'program {words[3]}')}, machine {text(machine) or 'unnamed'}"
        self.wait(finding, words[0])

    def from_server(self, record: Record) -> None:
        if self.idle:
            return
        reply = record.data[self._mark :]
        if len(reply) >= 12 and int.from_bytes(reply[4:8], "big") == _REPLY:
            denied = int.from_bytes(reply[8:12], "big")
            outcome = Outcome.REFUSED if denied else Outcome.ACCEPTED
            self.answer(outcome, record.frames, int.from_bytes(reply[:4], "big"))


PROTOCOLS = (
    Plaintext(
        "rpc",
        "RPC",
        Rpc,
        tcp_ports=(2049,),
        udp_ports=(2049,),
        patterns=(
            Pattern(
                rb"^(\x80\x00..)?.{4}\x00{4}\x00\x00\x00\x02\x00\x01[\x86-\x8f].\x00\x00\x00.\x00\x00\x00.\x00\x00\x00\x01",
                Sender.CLIENT,
            ),
        ),
    ),
)
