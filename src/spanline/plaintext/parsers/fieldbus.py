"""Field buses and control systems over IP. Who reaches them commands: none of these asks for an account.

modbus     Modbus Messaging on TCP/IP section 3.1.3: |transaction 2|0 2|length 2|unit 1|function 1|
s7comm     Siemens S7 in TPKT and COTP (RFC 1006, RFC 905 section 13.7): |3|0|length 2|2|0xF0|0x80|0x32|kind 1|
dnp3       IEEE 1815 section 9.2.4: |0x05 0x64|length 1|control 1|destination 2|source 2|
enip       EtherNet/IP, volume 2 section 2-3: |command 2|length 2|session 4|status 4|context 8|options 4|
iec60870_104  IEC 60870-5-104 section 5: |0x68|length 1|control 4|
bacnet     ASHRAE 135 annex J: |0x81|function 1|length 2|…|version 1|
opcua      OPC 10000-6 section 7.1.2: "HEL" and then "OPN" with the security policy, which may be none
"""

from __future__ import annotations

import re

from spanline.plaintext.model import Pattern, Plaintext, Sender, Severity
from spanline.plaintext.services import Service

_ZONE = "Keep it in a zone of its own behind a firewall"


class Modbus(Service):
    begins = re.compile(rb"..\x00\x00\x00[\x02-\xfe].[\x01-\x2b\x5a]", re.DOTALL)
    scheme = "Modbus/TCP"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, or use Modbus/TCP Security (TLS, port 802)."


class S7(Service):
    begins = re.compile(rb"\x03\x00.{0,96}?\x03\x00..\x02\xf0\x80\x32[\x01-\x03\x07]", re.DOTALL)
    most = 256
    scheme = "S7comm"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, and set a protection level with TLS (TIA Portal V17 or later)."


class Dnp3(Service):
    begins = re.compile(rb"\x05\x64[\x05-\xff][\x00-\x0f\x40-\x4f\x80-\x8f\xc0-\xff].{4}..", re.DOTALL)
    scheme = "DNP3"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, and use DNP3 Secure Authentication inside TLS."


class EtherNetIp(Service):
    begins = re.compile(rb"[\x04\x63-\x66\x6f\x70]\x00..(.{4})\x00{4}.{8}\x00{4}", re.DOTALL)
    scheme = "EtherNet/IP"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, and use CIP Security."


class Iec104(Service):
    begins = re.compile(
        rb"\x68(\x04[\x07\x0b\x13\x23\x43\x83]\x00\x00\x00|\x04\x01\x00.[\x00-\xff]|[\x0c-\xfd].{4}[\x01-\x7f])",
        re.DOTALL,
    )
    scheme = "IEC 60870-5-104"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, and use IEC 62351-3 (TLS)."


class Bacnet(Service):
    begins = re.compile(rb"\x81[\x00-\x0b]..(.{6})?\x01", re.DOTALL)
    scheme = "BACnet/IP"
    severity = Severity.MEDIUM
    remedy = f"{_ZONE}, or use BACnet/SC."


class OpcUa(Service):
    begins = re.compile(
        rb"HELF.{28,284}?OPNF.{8}\x2f\x00\x00\x00http://opcfoundation\.org/UA/SecurityPolicy#None", re.DOTALL
    )
    most = 512
    scheme = "security policy None"
    severity = Severity.MEDIUM
    remedy = "Offer only endpoints with a security policy and SignAndEncrypt."


PROTOCOLS = (
    Plaintext("modbus", "Modbus", Modbus, tcp_ports=(502,)),
    Plaintext(
        "s7comm",
        "Siemens S7",
        S7,
        tcp_ports=(102,),
        patterns=(Pattern(rb"^\x03\x00\x00.{1,32}\x03\x00\x00.\x02\xf0\x80\x32[\x01\x07]\x00\x00", Sender.CLIENT),),
    ),
    Plaintext("dnp3", "DNP3", Dnp3, tcp_ports=(20000,), udp_ports=(20000,)),
    Plaintext(
        "enip",
        "EtherNet/IP",
        EtherNetIp,
        tcp_ports=(44818,),
        udp_ports=(44818,),
        patterns=(Pattern(rb"^\x65\x00\x04\x00\x00{8}.{8}\x00{4}\x01\x00\x00\x00", Sender.CLIENT),),
    ),
    Plaintext(
        "iec60870_104",
        "IEC 60870-5-104",
        Iec104,
        tcp_ports=(2404,),
        patterns=(Pattern(rb"^\x68\x04\x07\x00\x00\x00\x68", Sender.CLIENT),),
    ),
    Plaintext("bacnet", "BACnet/IP", Bacnet, udp_ports=(47808,)),
    Plaintext(
        "opcua",
        "OPC UA",
        OpcUa,
        tcp_ports=(4840,),
        patterns=(Pattern(rb"^HELF.{24}\x20?.?.{0,3}opc\.tcp://", Sender.CLIENT),),
    ),
)
