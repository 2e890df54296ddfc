"""What a parser of a plaintext protocol is told, and what it tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal


class Sender(IntEnum):
    CLIENT = 0
    SERVER = 1


class Kind(StrEnum):
    CREDENTIAL = "credential"
    """A secret that anybody on the way can read."""
    CHALLENGE = "challenge"
    """An answer to a challenge that can be guessed from what was captured; neither of them is kept."""
    SERVICE = "service"
    """A service that encrypts nothing, or that is not protected."""
    RULE = "rule"
    """Something that a rule of the user looks for."""


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Secret:
    """Bytes that leave memory only by reveal(): neither text, nor repr, nor a traceback shows them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"<secret of {len(self)} bytes>"

    def __str__(self) -> str:
        return repr(self)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The two ends of a flow. Addresses are text.

    first_seen  time of its first packet, ns since the epoch
    vlan, vni   the innermost VLAN and tunnel's id; None without
    """

    transport: Literal["tcp", "udp"]
    client: str
    client_port: int
    server: str
    server_port: int
    first_seen: int = 0
    vlan: int | None = None
    vni: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one side sent next: bytes of its TCP stream in order, once each; of UDP a whole datagram.

    offset  of the first byte in what this side sent, with what is missing
    time    when it was captured, ns since the epoch
    frame   number of the frame in the capture, from 1, that brought the last of these bytes
    gap     bytes that are missing right before it, because nobody captured them
    """

    sender: Sender
    data: bytes = field(repr=False)
    offset: int
    time: int
    frame: int
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a stream that are a secret, or tell it: from `start` up to `end`, counted as Piece.offset."""

    sender: Sender
    start: int
    end: int


@dataclass(slots=True)
class Finding:
    """One attempt to log in, one service, or one match of a rule.

    time      when the attempt was made, ns since the epoch
    frames    numbers of the frames that show it: the account's, the secret's, the answer's
    scheme    how the secret is told, in the protocol's own words: "USER and PASS", "Basic", "CRAM-MD5"
    account   who, as text; "" when nobody says
    secret    None where nothing can be read, and always for a challenge
    inferred  told from one direction only, or from what usually follows
    spans     where in the streams the secret stands, for transcripts to leave out
    remedy    what to do about it, a short sentence
    detail    what else is worth a few words; never a secret
    """

    kind: Kind
    time: int
    frames: tuple[int, ...]
    scheme: str
    severity: Severity
    remedy: str
    account: str = ""
    secret: Secret | None = None
    outcome: Outcome = Outcome.UNKNOWN
    inferred: bool = False
    spans: tuple[Span, ...] = ()
    detail: str = ""


class Parser(ABC):
    """Follows one conversation. Whatever arrives, it raises nothing and keeps a bounded number of bytes.

    done  nothing more of the conversation is wanted
    """

    done = False

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation

    @abstractmethod
    def feed(self, piece: Piece) -> Iterable[Finding]:
        """Takes the next piece of either side, in order of time; gives the attempts whose outcome is known by now."""

    @abstractmethod
    def finish(self) -> Iterable[Finding]:
        """The conversation is over, or no more of it is kept: gives the attempts that are left."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression in hyperscan's language over the first bytes that one side sends (DOTALL; `^` is the first
    byte).

    sender  None: either side
    """

    expression: bytes
    sender: Sender | None = None


@dataclass(frozen=True)
class Plaintext:
    """A protocol that tells secrets, or everything, in the clear.

    name       as tshark names the protocol; where spanline.protocols has it, ports are those it has there, too
    tcp_ports  a conversation on these is followed, unless its content is another protocol's
    patterns   a conversation that begins like this is followed on any port
    triggers   where a client has to send one of these, in upper or lower case, before there is anything to find: until
               then its conversation is not parsed, and then from the message on that has it. Only for messages as
               HTTP's are: a method, headers, and a body behind an empty line
    """

    name: str
    title: str
    parser: Callable[[Conversation], Parser]
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    triggers: tuple[bytes, ...] = ()
