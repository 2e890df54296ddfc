"""ONC RPC (RFC 5531), its port mapper, and NFS: |transaction 4|call or reply 4|version 4|program 4|; over TCP |length 4| before it."""

from spanline.protocols.language import Application, Expression, Inside, be32


def _call(at: int, program: int) -> Expression:
    return (be32(at + 4) == 0) & (be32(at + 12) == program)


_CALL: Expression = (be32(4) == 0) & (be32(8) == 2)
_CALL_IN_STREAM: Expression = (be32(8) == 0) & (be32(12) == 2)

PROTOCOLS = (
    Application(
        "rpc",
        "RPC",
        tcp_ports=(111,),
        udp_ports=(111,),
        framing="each",
        length=be32(0).bits(0x7FFFFFFF) + 4,
        tcp_content=_CALL_IN_STREAM,
        udp_content=_CALL,
    ),
)
