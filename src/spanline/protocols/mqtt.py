"""MQTT 5.0 section 2.1: |type and flags 1|length 1 to 4|"""

from spanline.protocols.language import Application, varint, varint_end

PROTOCOLS = (
    Application(
        "mqtt",
        "MQTT",
        tcp_ports=(1883,),
        framing="each",
        length=varint_end(1) + varint(1),
        foreign=(rb"^\x10[\x00-\x7f]?.{1,3}\x00(\x04MQTT[\x03-\x05]|\x06MQIsdp\x03)",),
    ),
)
