"""ONC RPC (RFC 5531 section 9) and the programs that are called with it.

|transaction 4|call or reply 4|version 4|program 4|; over TCP |last fragment and length 4| before it (section 11).
"""

from spanline.protocols.language import Application, Expression, Inside, be32, destination_port, source_port, u8

# The numbers that IANA gave to programs (RFC 5531 section 13).
_PROGRAMS = (
    ("portmap", "Port mapper", 100000),
    ("rstat", "Remote statistics", 100001),
    ("nfs", "NFS", 100003),
    ("ypserv", "NIS", 100004),
    ("mount", "NFS mount", 100005),
    ("rquota", "Remote quotas", 100011),
    ("nlm", "NFS locks", 100021),
    ("stat", "NFS status", 100024),
    ("nfsacl", "NFS access lists", 100227),
    ("sadmind", "Solaris administration", 100232),
)


def _call(at: int) -> Expression:
    return (be32(at + 4) == 0) & (be32(at + 8) == 2) & (be32(at + 12) >= 100000)


def _reply(at: int) -> Expression:
    return (be32(at + 4) == 1) & (be32(at + 8) <= 1)


_IN_STREAM: Expression = u8(0).among({0, 0x80})

PROTOCOLS = (
    Application(
        "rpc",
        "RPC",
        tcp_ports=(111,),
        udp_ports=(111,),
        accept=(source_port == 111)
        | (destination_port == 111)
        | _call(0)
        | _reply(0)
        | (_IN_STREAM & (_call(4) | _reply(4))),
        framing="each",
        length=be32(0).bits(0x7FFFFFFF) + 4,
        tcp_content=_IN_STREAM & _call(4),
        udp_content=_call(0),
        answer=_reply(0) | _reply(4),
    ),
    *(
        Application(
            name,
            title,
            inside=(
                Inside("rpc", 16, _call(0) & (be32(12) == number)),
                Inside("rpc", 20, _call(4) & (be32(16) == number)),
            ),
        )
        for name, title, number in _PROGRAMS
    ),
)
