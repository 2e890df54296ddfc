"""Modbus. Messaging on TCP/IP, section 3.1.3: |transaction 2|protocol 2|length 2|unit 1|function 1|"""

from spanline.protocols.language import Application, Inside, be16, captured

PROTOCOLS = (
    Application(
        "mbtcp",
        "Modbus over TCP",
        tcp_ports=(502,),
        accept=(be16(2) == 0) & (be16(4) >= 2),
        framing="each",
        length=be16(4) + 6,
    ),
    Application("modbus", "Modbus", inside=(Inside("mbtcp", 7, captured > 7),)),
)
