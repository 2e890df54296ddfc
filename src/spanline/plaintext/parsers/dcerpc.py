"""DCE/RPC over TCP, as Windows speaks it. [C706] section 12.6; [MS-RPCE] section 2.2.2: NTLMSSP in its authentication.

|version 5|0|type 1|flags 1|data representation 4|length 2|length of authentication 2|call 4|…|
"""

from __future__ import annotations

from spanline.plaintext import ntlm
from spanline.plaintext.model import Outcome, Pattern, Plaintext, Sender
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue

_HEAD = 16
_VERSION = b"\x05\x00"
_LITTLE_ENDIAN = 0x10
_RESPONSE, _FAULT, _AUTHENTICATES = 2, 3, (14, 16)


class DceRpc(RecordDialogue):
    """Nothing answers the last message of NTLMSSP: the next response or fault says whether it was enough."""

    def client_length(self, data: Octets) -> int:
        if data[:2] != _VERSION[: len(data)]:
            return WRONG
        if len(data) < _HEAD:
            return UNDECIDED
        size = int.from_bytes(data[8:10], "little" if data[4] & _LITTLE_ENDIAN else "big")
        return size if size >= _HEAD else WRONG

    def from_client(self, record: Record) -> None:
        if record.data[2] in _AUTHENTICATES and (said := ntlm.authenticate(ntlm.find(record.data))):
            self.wait(said.finding(record.time, record.frames))

    def from_server(self, record: Record) -> None:
        if record.data[2] in (_RESPONSE, _FAULT):
            self.answer(Outcome.ACCEPTED if record.data[2] == _RESPONSE else Outcome.REFUSED, record.frames)


PROTOCOLS = (
    Plaintext(
        "dcerpc",
        "DCE/RPC",
        DceRpc,
        tcp_ports=(135,),
        patterns=(Pattern(rb"^\x05\x00\x0b[\x00-\x07\x13\x17]\x10\x00\x00\x00.{4}.\x00..", Sender.CLIENT),),
    ),
)
