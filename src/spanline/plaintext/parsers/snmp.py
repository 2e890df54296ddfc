"""SNMP communities, and users. RFC 1901 and RFC 3416; RFC 3412 section 6 and RFC 3414 section 2.4.

In BER |version|community|operation|. The community is everybody's password: each one is told once a conversation, with
its first frames and the first answer to it, as hundreds of requests an hour with the same one are no attempts.
"""

from __future__ import annotations

from collections import OrderedDict

from spanline.plaintext import ber
from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Secret, Severity
from spanline.plaintext.records import Octets, Record, RecordDialogue

_COMMUNITY_VERSIONS = {0: "v1", 1: "v2c"}
_USER_BASED = 3
_OPERATIONS = {
    0xA0: "GetRequest",
    0xA1: "GetNextRequest",
    0xA2: "GetResponse",
    0xA3: "SetRequest",
    0xA4: "Trap",
    0xA5: "GetBulkRequest",
    0xA6: "InformRequest",
    0xA7: "Trap",
}
_RESPONSE, _SET = 0xA2, 0xA3
# Nobody answers these; and an answer without its request tells that the agent took the community.
_ONE_WAY = {0xA2: Outcome.ACCEPTED, 0xA4: Outcome.UNKNOWN, 0xA7: Outcome.UNKNOWN}
_AUTHENTICATED, _PRIVATE = 1, 2
_MOST_KNOWN = 64
_MOST_REQUESTS = 16
_LONGEST_USER = 32
_REMEDY = "Use SNMPv3 with authentication and privacy, and allow only the management stations."
_UNSAFE = "no authentication, no privacy", Severity.MEDIUM, _REMEDY
_NAMED = "Everybody on the way can read the user's name; let it tell nothing of its passwords."
# By flags. Privacy without authentication is not allowed.
_LEVELS = {
    0: _UNSAFE,
    _AUTHENTICATED: ("authentication, no privacy", Severity.LOW, _REMEDY),
    _PRIVATE: _UNSAFE,
    _AUTHENTICATED | _PRIVATE: ("authentication, privacy", Severity.LOW, _NAMED),
}


class Snmp(RecordDialogue):
    """Tells a community when an answer has it, too, when MOST_REQUESTS had none, or at the end."""

    datagrams = True

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._requests: OrderedDict[bytes, int] = OrderedDict()

    def client_length(self, data: Octets) -> int:
        return ber.sequence_length(data)

    def from_client(self, record: Record) -> None:
        data = record.data
        message = ber.whole(data)
        if len(message) < 3 or message[0].tag != ber.INTEGER:
            return
        version = ber.number(data, message[0])
        if version == _USER_BASED:
            self._user(record, message)
        elif version in _COMMUNITY_VERSIONS and message[1].tag == ber.OCTETS and message[2].tag in _OPERATIONS:
            self._community(record, _COMMUNITY_VERSIONS[version], message[1], message[2].tag)

    def from_server(self, record: Record) -> None:
        """Agents send traps from any port, and who is the client is a guess."""
        self.from_client(record)

    def _community(self, record: Record, version: str, place: ber.Element, operation: int) -> None:
        community = ber.content(record.data, place)
        seen = self._count(community)
        if operation == _RESPONSE and self.waits(community):
            self.answer(Outcome.ACCEPTED, record.frames, community)
        elif seen == _MOST_REQUESTS:
            self.answer(Outcome.UNKNOWN, record.frames, community)
        elif seen == 1:
            severity = Severity.HIGH if operation == _SET else Severity.MEDIUM
            finding = Finding(Kind.CREDENTIAL, record.time, record.frames, f"community of {version}", severity, _REMEDY)
            finding.secret, finding.spans = Secret(community), record.span(place.start, place.end)
            finding.detail = _OPERATIONS[operation]
            self.wait(finding, community)
            if operation in _ONE_WAY:
                self.answer(_ONE_WAY[operation], (), community)

    def _user(self, record: Record, message: tuple[ber.Element, ...]) -> None:
        data = record.data
        header = ber.children(data, message[1])
        if ber.tags(header) != b"\x02\x02\x04\x02" or header[2].end == header[2].start:
            return
        flags = data[header[2].start]
        security = [part for outer in ber.children(data, message[2])[:1] for part in ber.children(data, outer)]
        if len(security) < 4 or security[3].tag != ber.OCTETS:
            return
        user = ber.content(data, security[3])[:_LONGEST_USER]
        level, severity, remedy = _LEVELS[flags & (_AUTHENTICATED | _PRIVATE)]
        if user and self._count(level.encode() + user) == 1:
            self.tell(Finding(Kind.SERVICE, record.time, record.frames, f"v3, {level}", severity, remedy, text(user)))

    def _count(self, name: bytes) -> int:
        """How often this one was seen until now, as far as it is remembered."""
        seen = self._requests.pop(name, 0) + 1
        self._requests[name] = seen
        if len(self._requests) > _MOST_KNOWN:
            self._requests.popitem(last=False)
        return seen


PROTOCOLS = (
    Plaintext(
        "snmp",
        "SNMP",
        Snmp,
        patterns=(
            Pattern(
                rb"^\x30([\x10-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]\x04[\x01-\x40][\x20-\x7e]{1,64}"
                rb"[\xa0-\xa8]([\x08-\x7f]|\x81.|\x82..)"
            ),
        ),
    ),
)
