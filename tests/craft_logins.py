"""Logins of binary protocols in bytes, by the specifications that the parsers name; and captures of them for tshark."""

from __future__ import annotations

from pathlib import Path
from struct import pack

from tests.craft import ethernet, ipv4, tcp, udp
from tests.craft_files import START, Record, pcap
from tests.pieces import CLIENT, SERVER, Dialogue

STARTUP_3 = 0x00030000
SSL_REQUEST = 80877103


def written(path: Path, dialogue: Dialogue, port: int, transport: str = "tcp") -> Path:
    """A capture of the dialogue, without a handshake; frames count from 1 as in tests.pieces."""
    sent = {CLIENT: 1, SERVER: 1}
    frames = []
    for n, (sender, data) in enumerate(dialogue):
        client = sender == CLIENT
        other = SERVER if client else CLIENT
        ends = ("10.0.0.5", "10.0.1.2") if client else ("10.0.1.2", "10.0.0.5")
        ports = (50000, port) if client else (port, 50000)
        over = tcp(*ports, seq=sent[sender], ack=sent[other], flags="PA") if transport == "tcp" else udp(*ports)
        frames.append(Record(START + n * 10**6, ethernet() / ipv4(*ends) / over / data))
        sent[sender] += len(data)
    path.write_bytes(pcap(frames))
    return path


def ber(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def integer(value: int) -> bytes:
    return ber(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def ldap_bind(number: int, name: bytes, credentials: bytes) -> bytes:
    """RFC 4511 section 4.2, with credentials of any choice."""
    return ber(0x30, integer(number), ber(0x60, integer(3), ber(4, name), credentials))


def ldap_simple(number: int, name: bytes, password: bytes) -> bytes:
    return ldap_bind(number, name, ber(0x80, password))


def ldap_sasl(number: int, mechanism: bytes, token: bytes) -> bytes:
    return ldap_bind(number, b"", ber(0xA3, ber(4, mechanism), ber(4, token)))


def ldap_answer(number: int, code: int, tag: int = 0x61) -> bytes:
    return ber(0x30, integer(number), ber(tag, ber(0x0A, bytes((code,))), ber(4), ber(4)))


def snmp(community: bytes, operation: int = 0xA0, version: int = 1, request: int = 7) -> bytes:
    """RFC 3416 section 3, sysDescr.0"""
    name = ber(0x30, ber(6, b"\x2b\x06\x01\x02\x01\x01\x01\x00"), ber(5))
    return ber(
        0x30,
        integer(version),
        ber(4, community),
        ber(operation, integer(request), integer(0), integer(0), ber(0x30, name)),
    )


def snmp_user(user: bytes, flags: int) -> bytes:
    """RFC 3412 section 6 and RFC 3414 section 2.4"""
    security = ber(0x30, ber(4, b"\x80\x00\x1f\x88\x80"), integer(3), integer(900), ber(4, user), ber(4), ber(4))
    scoped = ber(
        0x30, ber(4, b"\x80\x00\x1f\x88\x80"), ber(4), ber(0xA0, integer(7), integer(0), integer(0), ber(0x30))
    )
    header = ber(0x30, integer(9), integer(65507), ber(4, bytes((flags,))), integer(3))
    return ber(0x30, integer(3), header, ber(4, security), scoped)


def pgsql(kind: bytes, content: bytes) -> bytes:
    return kind + pack(">I", len(content) + 4) + content


def pgsql_startup(**words: bytes) -> bytes:
    content = b"".join(name.encode() + b"\0" + value + b"\0" for name, value in words.items()) + b"\0"
    return pack(">II", len(content) + 8, STARTUP_3) + content


def pgsql_asks(code: int, more: bytes = b"") -> bytes:
    return pgsql(b"R", pack(">I", code) + more)


def pgsql_error(code: bytes) -> bytes:
    return pgsql(b"E", b"SFATAL\0C" + code + b"\0Mpassword authentication failed\0\0")


def mysql(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((number,)) + body


def mysql_greeting(plugin: bytes = b"mysql_native_password") -> bytes:
    """HandshakeV10; abilities have PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH."""
    rest = pack("<HBHHB", 0x8200, 33, 2, 0x0008, 21) + bytes(10) + b"b" * 12 + b"\0" + plugin + b"\0"
    return mysql(0, b"\x0a8.0.33\0" + pack("<I", 11) + b"a" * 8 + b"\0" + rest)


def mysql_login(user: bytes, answer: bytes, plugin: bytes = b"mysql_native_password", number: int = 1) -> bytes:
    """HandshakeResponse41 with CONNECT_WITH_DB"""
    head = pack("<IIB", 0x8 | 0x200 | 0x8000 | 0x80000, 1 << 24, 33) + bytes(23)
    return mysql(number, head + user + b"\0" + bytes((len(answer),)) + answer + b"shop\0" + plugin + b"\0")


def mysql_ok(number: int) -> bytes:
    return mysql(number, b"\0\0\0\2\0\0\0")


def mysql_denied(number: int) -> bytes:
    return mysql(number, b"\xff\x15\x04#28000Access denied")


def socks_password(user: bytes, password: bytes) -> bytes:
    return b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password


def nbss(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(3, "big") + message


def smb1(
    command: int, words: bytes, content: bytes, *, status: int = 0, answer: bool = False, flags: int = 0xC001
) -> bytes:
    head = b"\xffSMB" + pack("<BIBH", command, status, 0x98 if answer else 0x18, flags)
    head += bytes(12) + pack("<HHHH", 0, 100, 0, 5)
    return nbss(head + bytes((len(words) // 2,)) + words + pack("<H", len(content)) + content)


def smb1_negotiated(security: int) -> bytes:
    """[MS-CIFS] section 2.2.4.52.2"""
    return smb1(0x72, pack("<HBHHIIIIQHB", 0, security, 50, 1, 16644, 65536, 1, 0x40, 0, 0, 8), b"c" * 8, answer=True)


def smb1_setup(account: str, domain: str, short: bytes, long: bytes) -> bytes:
    """[MS-CIFS] section 2.2.4.53.1 in Unicode"""
    words = pack("<BBHHHHIHHII", 0xFF, 0, 0, 16644, 2, 1, 0, len(short), len(long), 0, 0x40)
    content = short + long
    content += bytes((32 + 1 + len(words) + 2 + len(content)) % 2)
    names = b"".join(name.encode("utf-16-le") + b"\0\0" for name in (account, domain, "Unix", "client"))
    return smb1(0x73, words, content + names)


def smb2_setup(token: bytes, *, status: int = 0, answer: bool = False, number: int = 3) -> bytes:
    """[MS-SMB2] sections 2.2.1.2, 2.2.5 and 2.2.6"""
    head = b"\xfeSMB" + pack("<HHIHHIIQIIQ", 64, 1, status, 1, 1, int(answer), 0, number, 0, 0, 0x11) + bytes(16)
    if answer:
        return nbss(head + pack("<HHHH", 9, 0, 72, len(token)) + token)
    return nbss(head + pack("<HBBIIHHQ", 25, 0, 1, 1, 0, 88, len(token), 0) + token)


def ntlm_authenticate(domain: str, user: str, response: bytes) -> bytes:
    """[MS-NLMP] section 2.2.1.3"""
    parts = [bytes(24), response, *(word.encode("utf-16-le") for word in (domain, user, "PC")), b""]
    at, fields = 64, b""
    for part in parts:
        fields += pack("<HHI", len(part), len(part), at)
        at += len(part)
    return b"NTLMSSP\0" + pack("<I", 3) + fields + pack("<I", 0x00008201) + b"".join(parts)


def radius(code: int, identifier: int, *attributes: tuple[int, bytes]) -> bytes:
    content = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    return pack(">BBH", code, identifier, 20 + len(content)) + bytes((identifier,)) * 16 + content


def mqtt_word(value: bytes) -> bytes:
    return pack(">H", len(value)) + value


def mqtt_connect(level: int, user: bytes | None, password: bytes | None, *, will: bool = False) -> bytes:
    """MQTT 3.1.1 section 3.1, 5.0 the same with properties: a session that expires after 16 seconds."""
    flags = 0x02 | 0x04 * will | 0x80 * (user is not None) | 0x40 * (password is not None)
    body = mqtt_word(b"MQIsdp" if level == 3 else b"MQTT") + bytes((level, flags, 0, 60))
    body += b"\x05\x11\0\0\0\x10" if level == 5 else b""
    body += mqtt_word(b"sensor")
    if will:
        body += (b"\0" if level == 5 else b"") + mqtt_word(b"gone") + mqtt_word(b"yes")
    body += b"".join(mqtt_word(word) for word in (user, password) if word is not None)
    digits = bytes((len(body),)) if len(body) < 128 else bytes((0x80 | len(body) & 0x7F, len(body) >> 7))
    return b"\x10" + digits + body


def amqp_frame(body: bytes) -> bytes:
    return b"\x01\0\0" + pack(">I", len(body)) + body + b"\xce"


def amqp_start_ok(mechanism: bytes, answer: bytes) -> bytes:
    """AMQP 0-9-1, class 10 method 11"""
    table = b"\x07productS" + pack(">I", 4) + b"test"
    body = pack(">HHI", 10, 11, len(table)) + table + bytes((len(mechanism),)) + mechanism
    return amqp_frame(body + pack(">I", len(answer)) + answer + b"\x05en_US")


def amqp1_frame(code: int, fields: bytes, count: int) -> bytes:
    """AMQP 1.0 part 5.3: a described list in a frame of SASL"""
    body = b"\0\x53" + bytes((code, 0xC0, len(fields) + 1, count)) + fields
    return pack(">IBBH", len(body) + 8, 2, 1, 0) + body


def bson(**values: object) -> bytes:
    """bsonspec.org, as far as authentication needs it"""
    content = b""
    for name, value in values.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            content += b"\x08" + key + bytes((value,))
        elif isinstance(value, int):
            content += b"\x10" + key + pack("<i", value)
        elif isinstance(value, float):
            content += b"\x01" + key + pack("<d", value)
        elif isinstance(value, str):
            content += b"\x02" + key + pack("<I", len(value.encode()) + 1) + value.encode() + b"\0"
        elif isinstance(value, bytes):
            content += b"\x05" + key + pack("<IB", len(value), 0) + value
    return pack("<I", len(content) + 5) + content + b"\0"


def mongo(request: int, answers: int, document: bytes) -> bytes:
    """OP_MSG with one section"""
    return pack("<IIIII", 21 + len(document), request, answers, 2013, 0) + b"\0" + document


def mongo_query(request: int, document: bytes) -> bytes:
    body = pack("<I", 0) + b"admin.$cmd\0" + pack("<ii", 0, -1) + document
    return pack("<IIII", 16 + len(body), request, 0, 2004) + body


def tds(kind: int, body: bytes) -> bytes:
    return pack(">BBHHBB", kind, 1, 8 + len(body), 0, 1, 0) + body


def tds_login7(user: str, password: str, token: bytes = b"") -> bytes:
    """[MS-TDS] section 2.2.6.4. Of the password every byte has its halves changed, then 0xA5 added without carry."""
    hidden = bytes(((n >> 4 | n << 4) & 0xFF) ^ 0xA5 for n in password.encode("utf-16-le"))
    words = ["CLIENT", user, None, "test", "server", None, "ODBC", "", "shop"]
    places, content, at = b"", b"", 94
    for n, word in enumerate(words):
        raw = hidden if n == 2 else b"" if word is None else word.encode("utf-16-le")
        places += pack("<HH", at, len(raw) // 2)
        content, at = content + raw, at + len(raw)
    places += bytes(6) + pack("<HHHH", at, len(token), at + len(token), 0) + pack("<HH", at + len(token), 0) + bytes(4)
    head = pack("<IIIII", 0x74000004, 4096, 7, 1234, 0) + bytes((0xE0, 3, 0, 0)) + pack("<ii", 0, 0x409)
    body = head + places + content + token
    return tds(16, pack("<I", len(body) + 4) + body)


def tds_answer(token: int) -> bytes:
    change = b"\xe3" + pack("<H", 3) + b"\x01\0\0"
    return tds(4, change + bytes((token,)) + pack("<H", 2) + b"\0\0")


def tns(kind: int, body: bytes) -> bytes:
    return pack(">HHBBH", 8 + len(body), 0, kind, 0, 0) + body


def tns_connect(text: bytes) -> bytes:
    head = pack(">HHHHHHHHHHI", 0x138, 0x12C, 0, 2048, 32767, 0x4F98, 0, 1, len(text), 58, 512) + b"\0\0" + bytes(24)
    return tns(1, head[:50] + text)


def memcache(operation: int, key: bytes, value: bytes, *, status: int = 0, magic: int = 0x80) -> bytes:
    return pack(">BBHBBHIIQ", magic, operation, len(key), 0, 0, status, len(key) + len(value), 0, 0) + key + value


def x11(order: str, name: bytes, data: bytes) -> bytes:
    head = (b"B\0" if order == ">" else b"l\0") + pack(f"{order}HHHHH", 11, 0, len(name), len(data), 0)
    return head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


def rpc_call(transaction: int, user: int, *, program: int = 100003, machine: bytes = b"web1") -> bytes:
    """RFC 5531 section 9, with AUTH_SYS and no verifier: procedure 0 of version 3"""
    padded = machine + bytes(-len(machine) % 4)
    credential = pack(">II", 1234, len(machine)) + padded + pack(">III", user, 100, 0)
    head = pack(">IIIIII", transaction, 0, 2, program, 3, 0)
    return head + pack(">II", 1, len(credential)) + credential + pack(">II", 0, 0)


def rpc_reply(transaction: int, denied: int = 0) -> bytes:
    return pack(">III", transaction, 1, denied) + pack(">III", 0, 0, 0)


def marked(message: bytes) -> bytes:
    """RFC 5531 section 11: the only fragment of a record"""
    return pack(">I", 0x80000000 | len(message)) + message
