"""A login to each binary protocol that shows its secret, for any account and secret of ASCII letters."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Literal, NamedTuple

from tests import craft_logins as craft
from tests.pieces import CLIENT, SERVER, Dialogue


class Login(NamedTuple):
    """Its dialogue by account and secret, and the port of the server. Some protocols have no account."""

    transport: Literal["tcp", "udp"]
    port: int
    dialogue: Callable[[bytes, bytes], Dialogue]


def _ldap(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, craft.ldap_simple(1, account, secret)), (SERVER, craft.ldap_answer(1, 0))]


def _snmp(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, craft.snmp(secret)), (SERVER, craft.snmp(secret, 0xA2))]


def _rlogin(account: bytes, secret: bytes) -> Dialogue:
    begin = [(CLIENT, b"\0desk\0" + account + b"\0xterm/38400\0"), (SERVER, b"\0Password: ")]
    return [
        *begin,
        *((CLIENT, bytes((key,))) for key in secret),
        (CLIENT, b"\r"),
        (SERVER, b"\r\nLast login: Mon\r\n$ "),
    ]


def _exec(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, b"0\0" + account + b"\0" + secret + b"\0uptime\0"), (SERVER, b"\0ok")]


def _pgsql(account: bytes, secret: bytes) -> Dialogue:
    return [
        (CLIENT, craft.pgsql_startup(user=account, database=b"shop")),
        (SERVER, craft.pgsql_asks(3)),
        (CLIENT, craft.pgsql(b"p", secret + b"\0")),
        (SERVER, craft.pgsql_asks(0)),
    ]


def _mysql(account: bytes, secret: bytes) -> Dialogue:
    plugin = b"mysql_clear_password"
    return [
        (SERVER, craft.mysql_greeting(plugin)),
        (CLIENT, craft.mysql_login(account, secret + b"\0", plugin)),
        (SERVER, craft.mysql_ok(2)),
    ]


def _socks(account: bytes, secret: bytes) -> Dialogue:
    return [
        (CLIENT, b"\x05\x01\x02"),
        (SERVER, b"\x05\x02"),
        (CLIENT, craft.socks_password(account, secret)),
        (SERVER, b"\x01\0"),
    ]


def _smb(account: bytes, secret: bytes) -> Dialogue:
    return [
        (SERVER, craft.smb1_negotiated(1)),
        (CLIENT, craft.smb1_setup(account.decode(), "CORP", secret + b"\0", b"")),
    ]


def _mqtt(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, craft.mqtt_connect(4, account, secret)), (SERVER, b"\x20\2\0\0")]


def _amqp(account: bytes, secret: bytes) -> Dialogue:
    token = b"\0" + account + b"\0" + secret
    tune = craft.amqp_frame(pack(">HHHIH", 10, 30, 0, 131072, 60))
    return [(CLIENT, b"AMQP\0\0\x09\1"), (CLIENT, craft.amqp_start_ok(b"PLAIN", token)), (SERVER, tune)]


def _mongo(account: bytes, secret: bytes) -> Dialogue:
    command = craft.bson(saslStart=1, mechanism="PLAIN", payload=b"\0" + account + b"\0" + secret)
    return [(CLIENT, craft.mongo(5, 0, command)), (SERVER, craft.mongo(9, 5, craft.bson(done=True, ok=1.0)))]


def _tds(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, craft.tds_login7(account.decode(), secret.decode())), (SERVER, craft.tds_answer(0xAD))]


def _memcache(account: bytes, secret: bytes) -> Dialogue:
    token = b"\0" + account + b"\0" + secret
    return [(CLIENT, craft.memcache(0x21, b"PLAIN", token)), (SERVER, craft.memcache(0x21, b"", b"", magic=0x81))]


def _x11(account: bytes, secret: bytes) -> Dialogue:
    return [(CLIENT, craft.x11("<", b"MIT-MAGIC-COOKIE-1", secret)), (SERVER, b"\1")]


LOGINS: dict[str, Login] = {
    "ldap": Login("tcp", 389, _ldap),
    "snmp": Login("udp", 161, _snmp),
    "rlogin": Login("tcp", 513, _rlogin),
    "exec": Login("tcp", 512, _exec),
    "pgsql": Login("tcp", 5432, _pgsql),
    "mysql": Login("tcp", 3306, _mysql),
    "socks": Login("tcp", 1080, _socks),
    "smb": Login("tcp", 445, _smb),
    "mqtt": Login("tcp", 1883, _mqtt),
    "amqp": Login("tcp", 5672, _amqp),
    "mongo": Login("tcp", 27017, _mongo),
    "tds": Login("tcp", 1433, _tds),
    "memcache": Login("tcp", 11211, _memcache),
    "x11": Login("tcp", 6000, _x11),
}
