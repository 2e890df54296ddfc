"""MongoDB: |length 4, least significant first|request 4|answers 4|operation 4|"""

from spanline.protocols.language import Application, le32

PROTOCOLS = (
    Application(
        "mongo",
        "MongoDB",
        framing="each",
        length=le32(0),
        foreign=(rb"^..\x00\x00.{8}(\xd4\x07|\xdc\x07|\xdd\x07)\x00\x00",),
    ),
)
