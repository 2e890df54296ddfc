"""Who logs in where, with what, and what comes of it, at the prompts of many systems.

Truth: dialogues as the systems print them (their manuals, and the captures of ../shared), written down by hand with
what a person reads in them.
"""

from __future__ import annotations

import pytest

from spanline.plaintext.model import Kind, Severity
from tests.craft_telnet import CLIENT, SERVER, Said, hides, pieces, prints, sends, tell, tell_of, types

ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"
WILL_ECHO = b"\xff\xfb\x01"

Logins = list[tuple[str, str | None, str]]

DIALOGUES: dict[str, tuple[list[list[Said]], Logins, list[str]]] = {
    "Debian": (
        [
            prints("Debian GNU/Linux 12\r\nserver login: "), types("alice"), prints("Password: "),
            hides("opensesame"),
            prints("Linux server 6.1.0\r\nLast login: Mon Nov 20 10:00:00 UTC 2023 on pts/0\r\nalice@server:~$ "),
            types("ls /"), prints("bin  etc\r\nalice@server:~$ "), types("exit"), prints("logout\r\n"),
        ],
        [("alice", "opensesame", ACCEPTED)],
        ["ls /", "exit"],
    ),
    "Debian, wrong first": (
        [
            prints("server login: "), types("alice"), prints("Password: "), hides("wrong"),
            prints("\r\nLogin incorrect\r\nserver login: "), types("alice"), prints("Password: "), hides("right"),
            prints("alice@server:~$ "), types("id"),
        ],
        [("alice", "wrong", REFUSED), ("alice", "right", ACCEPTED)],
        ["id"],
    ),
    "BusyBox": (
        [
            prints("\r\n(none) login: "), types("root"), prints("Password: "), hides(""),
            prints("\r\n\r\nBusyBox v1.19.4 (2016-01-01) built-in shell (ash)\r\n\r\n# "), types("cat /etc/passwd"),
        ],
        [("root", "", ACCEPTED)],
        ["cat /etc/passwd"],
    ),
    "OpenBSD, one field after another": (
        [
            prints("\r\nOpenBSD/i386 (oof) (ttyp1)\r\n\r\nlogin: "), types("fake"), prints("Password:"),
            hides("user"),
            prints("Last login: Thu Dec  2 21:32:59 on ttyp1\r\n$ "), types("ls"),
        ],
        [("fake", "user", ACCEPTED)],
        ["ls"],
    ),
    "Cisco IOS": (
        [
            prints("\r\n\r\nUser Access Verification\r\n\r\nUsername: "), types("netop"), prints("Password: "),
            hides("c1sc0"), prints("\r\nRouter>"), types("enable"), prints("Password: "), hides("bad"),
            prints("Password: "), hides("s3cret"), prints("Router#"), types("show version"),
            prints("Cisco IOS Software\r\nRouter#"), types("exit"),
        ],
        [("netop", "c1sc0", ACCEPTED), ("enable", "bad", REFUSED), ("enable", "s3cret", ACCEPTED)],
        ["enable", "show version", "exit"],
    ),
    "Cisco IOS, a password alone": (
        [
            prints("\r\n\r\nUser Access Verification\r\n\r\nPassword: "), hides("one"), prints("Password: "),
            hides("two"), prints("Password: "), hides("three"), prints("% Bad passwords\r\n"),
        ],
        [("", "one", REFUSED), ("", "two", REFUSED), ("", "three", REFUSED)],
        [],
    ),
    "Cisco IOS, invalid": (
        [
            prints("Username: "), types("netop"), prints("Password: "), hides("x"),
            prints("% Login invalid\r\n\r\nUsername: "),
        ],
        [("netop", "x", REFUSED)],
        [],
    ),
    "Cisco IOS, not enabled": (
        [
            prints("Password: "), hides("line"), prints("Switch>"), types("en"), prints("Password: "), hides("x"),
            prints("% Access denied\r\n\r\nSwitch>"),
        ],
        [("", "line", ACCEPTED), ("enable", "x", REFUSED)],
        ["en"],
    ),
    "Cisco Nexus": (
        [prints("nexus login: "), types("admin"), prints("Password: "), hides("x"),
         prints("Login incorrect\r\n\r\nnexus login: ")],
        [("admin", "x", REFUSED)],
        [],
    ),
    "Juniper": (
        [
            prints("\r\nmx80 (ttyp0)\r\n\r\nlogin: "), types("lab"), prints("Password:"), hides("lab123"),
            prints("\r\n--- JUNOS 12.1X46 built 2013-12-14\r\n{master:0}\r\nlab@mx80> "), types("show chassis"),
        ],
        [("lab", "lab123", ACCEPTED)],
        ["show chassis"],
    ),
    "Huawei": (
        [
            prints("\r\nLogin authentication\r\n\r\n\r\nUsername:"), types("huawei"), prints("Password:"),
            hides("Admin@1"), prints("Error: Local authentication is rejected\r\n\r\nUsername:"), types("huawei"),
            prints("Password:"), hides("Admin@2"),
            prints("Info: The max number of VTY users is 10, and the number\r\n"
                   "      of current VTY users on line is 1.\r\n<Quidway>"),
            types("super"), prints("Password:"), hides("sup"), prints("<Quidway>"), types("display version"),
        ],
        [("huawei", "Admin@1", REFUSED), ("huawei", "Admin@2", ACCEPTED), ("super", "sup", ACCEPTED)],
        ["super", "display version"],
    ),
    "H3C": (
        [
            prints("Login authentication\r\n\r\n\r\nUsername:"), types("h3c"), prints("Password:"), hides("h3c"),
            prints("<H3C>"), types("system-view"), prints("System View: return to User View with Ctrl+Z.\r\n[H3C]"),
            types("quit"),
        ],
        [("h3c", "h3c", ACCEPTED)],
        ["system-view", "quit"],
    ),
    "Windows": (
        [
            prints("Welcome to Microsoft Telnet Service \r\n\nlogin: "), types("CORP\\bob"), prints("password: "),
            hides("Winter1"),
            prints("\n\r\n\rThe operation completed successfully.\r\n\n\rLogin Failed\n\r\n\rlogin: "),
            types("CORP\\bob"), prints("password: "), hides("Winter2"),
            prints("\r\n*===============\r\nMicrosoft Telnet Server.\r\n*===============\r\nC:\\Users\\bob>"),
            types("dir"),
        ],
        [("CORP\\bob", "Winter1", REFUSED), ("CORP\\bob", "Winter2", ACCEPTED)],
        ["dir"],
    ),
    "MikroTik": (
        [
            prints("MikroTik v6.49.6 (stable)\r\nLogin: "), types("admin"), prints("Password: "),
            hides("tik", shown=b"*"),
            prints("Login failed, incorrect username or password\r\n\r\nLogin: "), types("admin"),
            prints("Password: "),
            hides("tok", shown=b"*"), prints("\r\n  MMM      MMM\r\n\r\n[admin@MikroTik] > "),
            types("/ip address print"),
        ],
        [("admin", "tik", REFUSED), ("admin", "tok", ACCEPTED)],
        ["/ip address print"],
    ),
    "Zyxel": (
        [
            prints("\r\nUser name: "), types("admin"), prints("Password: "), hides("1234", shown=b"*"),
            prints("Copyright (c) 1994 - 2010 ZyXEL Communications Corp.\r\nGS2200# "), types("show vlan"),
        ],
        [("admin", "1234", ACCEPTED)],
        ["show vlan"],
    ),
    "Zyxel, a password alone": (
        [
            prints("\r\nPassword: "), hides("1234", shown=b"*"),
            prints("Bad Password!!!\r\nPassword: "), hides("4321", shown=b"*"), prints("\r\nras> "),
            types("sys version"),
        ],
        [("", "1234", REFUSED), ("", "4321", ACCEPTED)],
        ["sys version"],
    ),
    "Fortinet": (
        [prints("FGT60D login: "), types("admin"), prints("Password: "), hides("forti"),
         prints("Welcome !\r\n\r\nFGT60D # ")],
        [("admin", "forti", ACCEPTED)],
        [],
    ),
    "HP ProCurve": (
        [
            prints("\x1b[1;13r\x1b[1;1HPress any key to continue"), [(CLIENT, b" ")],
            prints("\x1b[2J\x1b[?7h\x1b[1;1H\x1b[24;1HUsername: "), types("manager"), prints("\x1b[24;1HPassword: "),
            hides("hpe"), prints("\x1b[24;1HInvalid password\r\n"),
        ],
        [("manager", "hpe", REFUSED)],
        [],
    ),
    "Alcatel": (
        [prints("Username : "), types("Administrator"), prints("Password : "), hides("pw", shown=b"*"),
         prints("{Administrator}=>"), types("help")],
        [("Administrator", "pw", ACCEPTED)],
        ["help"],
    ),
    "APC, a menu": (
        [prints("User Name : "), types("apc"), prints("Password  : "), hides("apc", shown=b"*"),
         prints("1- Device Manager\r\n2- Network\r\nYour choice: ")],
        [("apc", "apc", ACCEPTED)],
        [],
    ),
    "AIX": (
        [
            prints("AIX Version 5\r\nlogin: "), types("root"), prints("root's Password: "), hides("x"),
            prints("You entered an invalid login name or password.\r\nlogin: "),
        ],
        [("root", "x", REFUSED)],
        [],
    ),
    "VMS": (
        [prints("\r\nUsername: "), types("SYSTEM"), prints("Password: "), hides("MANAGER"),
         prints("\r\nUser authorization failure\r\n")],
        [("SYSTEM", "MANAGER", REFUSED)],
        [],
    ),
    "Solaris, locked": (
        [prints("SunOS 5.10\r\n\r\nlogin: "), types("oper"), prints("Password: "), hides("x"),
         prints("Account is locked, see the administrator\r\n")],
        [("oper", "x", REFUSED)],
        [],
    ),
    "German": (
        [
            prints("Benutzername: "), types("jürgen"), prints("Kennwort: "), hides("geheim"),
            prints("Anmeldung fehlgeschlagen.\r\nBenutzername: "), types("jürgen"), prints("Passwort: "),
            hides("offen"),
            prints("Willkommen\r\nAuswahl: "),
        ],
        [("jürgen", "geheim", REFUSED), ("jürgen", "offen", ACCEPTED)],
        [],
    ),
    "French": (
        [prints("Identifiant : "), types("marie"), prints("Mot de passe : "), hides("secret"),
         prints("Mot de passe incorrect\r\nIdentifiant : ")],
        [("marie", "secret", REFUSED)],
        [],
    ),
    "Spanish": (
        [prints("Usuario: "), types("pepe"), prints("Contraseña: "), hides("toro"), prints("Acceso denegado\r\n")],
        [("pepe", "toro", REFUSED)],
        [],
    ),
    "Spanish in Latin-1": (
        [prints("Usuario: "), types("pepe"), prints(b"Contrase\xf1a: "), hides(b"a\xf1o"),
         prints("Bienvenido\r\n> ")],
        [("pepe", "a\ufffdo", ACCEPTED)],
        [],
    ),
    "Portuguese": (
        [prints("Usuário: "), types("ana"), prints("Senha: "), hides("x"), prints("Senha inválida\r\nUsuário: ")],
        [("ana", "x", REFUSED)],
        [],
    ),
    "Italian": (
        [prints("Nome utente: "), types("anna"), prints("Password: "), hides("x"), prints("Accesso negato\r\n")],
        [("anna", "x", REFUSED)],
        [],
    ),
    "Chinese": (
        [prints("请输入用户名:"), types("admin"), prints("请输入密码:"), hides("mima", shown=b"*"),
         prints("登录失败\r\n请输入用户名:")],
        [("admin", "mima", REFUSED)],
        [],
    ),
    "Japanese": (
        [prints("ログイン: "), types("taro"), prints("パスワード: "), hides("himitsu"),
         prints("前回のログイン: 月曜日\r\n$ "), types("date")],
        [("taro", "himitsu", ACCEPTED)],
        ["date"],
    ),
    "Russian": (
        [prints("Введите логин: "), types("иван"), prints("Пароль: "), hides("тайна"),
         prints("Неверный пароль\r\nВведите логин: ")],
        [("иван", "тайна", REFUSED)],
        [],
    ),
    "a language that nobody here knows": (
        [
            prints(WILL_ECHO + b"Jina lako: "), types("juma"), prints("Neno la siri: "), hides("fungua"),
            prints("Karibu\r\njuma$ "), types("ls"),
        ],
        [("juma", "fungua", ACCEPTED)],
        ["ls"],
    ),
    "that language, in whole lines": (
        [
            prints("Jina lako: "), sends("juma"), prints(WILL_ECHO + b"Neno la siri: "), sends("fungua"),
            prints(b"\xff\xfc\x01\r\nKaribu\r\njuma$ "), sends("ls"), prints("a\r\njuma$ "),
        ],
        [("juma", "fungua", ACCEPTED)],
        ["ls"],
    ),
    "su, sudo and passwd": (
        [
            prints("login: "), types("bob"), prints("Password: "), hides("one"), prints("Last login: today\r\n$ "),
            types("su -"), prints("Password: "), hides("two"), prints("su: Authentication failure\r\n$ "),
            types("sudo id"), prints("[sudo] password for bob: "), hides("three"),
            prints("Sorry, try again.\r\n[sudo] password for bob: "),
            hides("one"), prints("uid=0(root)\r\n$ "), types("passwd"), prints("Current password: "), hides("one"),
            prints("New password: "), hides("four"), prints("Retype new password: "), hides("four"),
            prints("passwd: password updated successfully\r\n$ "), types("exit"),
        ],
        [
            ("bob", "one", ACCEPTED), ("root", "two", REFUSED), ("bob", "three", REFUSED), ("bob", "one", ACCEPTED),
            ("bob", "one", ACCEPTED), ("bob", "four", ACCEPTED), ("bob", "four", ACCEPTED),
        ],
        ["su -", "sudo id", "passwd", "exit"],
    ),
    "another host from there": (
        [
            prints("login: "), types("bob"), prints("Password: "), hides("one"), prints("Last login: today\r\n$ "),
            types("ssh carol@db"), prints("carol@db's password: "), hides("two"), prints("carol@db:~$ "), types("ls"),
        ],
        [("bob", "one", ACCEPTED), ("carol@db", "two", ACCEPTED)],
        ["ssh carol@db", "ls"],
    ),
    "a prompt that is not known, and commands with answers": (
        [prints("login: "), types("x"), prints("Password: "), hides("y"), prints("cmd= "), types("go"),
         prints("gone\r\ncmd= ")],
        [("x", "y", ACCEPTED)],
        ["go"],
    ),
    "cut off behind the password": (
        [prints("login: "), types("x"), prints("Password: "), hides("y")],
        [("x", "y", UNKNOWN)],
        [],
    ),
    "cut off in the password": (
        [prints("login: "), types("x"), prints("Password: "), [(CLIENT, b"y"), (CLIENT, b"z")]],
        [("x", "yz", UNKNOWN)],
        [],
    ),
    "given up with Ctrl-C": (
        [prints("login: "), types("x"), prints("Password: "), [(CLIENT, b"yz"), (CLIENT, b"\3")],
         prints("\r\nlogin: ")],
        [("x", "yz", UNKNOWN)],
        [],
    ),
    "Enter at the prompt for an account": (
        [prints("login: "), types(""), prints("login: "), types("x"), prints("Password: "), hides("y"), prints("$ ")],
        [("x", "y", ACCEPTED)],
        [],
    ),
    "Windows, drawn by places on the screen": (
        [
            prints("Welcome to Microsoft Telnet Service \r\n\nlogin: "), types("bob"), prints("password: "),
            hides("Winter2"),
            prints("\x1b[2J\x1b[1;1H*===\x1b[2;1HMicrosoft Telnet Server.\x1b[4;1HC:\\Users\\bob>\x1b[K"),
            [
                (CLIENT, b"d"), (SERVER, b"\x1b[4;14Hd"), (CLIENT, b"i"), (SERVER, b"\x1b[4;15Hi"), (CLIENT, b"r"),
                (SERVER, b"\x1b[4;16Hr"), (CLIENT, b"\r\n"),
            ],
            prints("\x1b[5;1H Volume in drive C\x1b[7;1HC:\\Users\\bob>"), sends("exit"),
        ],
        [("bob", "Winter2", ACCEPTED)],
        ["dir", "exit"],
    ),
    "stars drawn elsewhere on the screen": (
        [
            prints("\x1b[10;5HLogin: "), types("bob", answer=b""), prints("\x1b[12;5HPassword: "),
            [(CLIENT, b"pw"), (SERVER, b"\x1b[13;20H*"), (CLIENT, b"d\r"), (SERVER, b"\x1b[20;5HAccess denied")],
        ],
        [("bob", "pwd", REFUSED)],
        [],
    ),
    "echoes that were captured before their keys": (
        [
            prints("login: "), [(SERVER, b"b"), (CLIENT, b"b"), (SERVER, b"o"), (CLIENT, b"o"), (CLIENT, b"\r\0")],
            prints("\r\nPassword: "), hides("pw"),
            prints("$ "), [(SERVER, b"l"), (CLIENT, b"l"), (SERVER, b"s"), (CLIENT, b"s\r\0")], prints("\r\na\r\n$ "),
        ],
        [("bo", "pw", ACCEPTED)],
        ["ls"],
    ),
    "whole lines": (
        [
            prints("login: "), sends("alice"), prints("Password: "), sends("pw"),
            prints("\r\nLogin incorrect\r\nlogin: "),
            sends("alice"), prints("Password: "), sends("pw2"), prints("\r\n$ "), sends("ls"), prints("a b\r\n$ "),
        ],
        [("alice", "pw", REFUSED), ("alice", "pw2", ACCEPTED)],
        ["ls"],
    ),
    "all at once, before anything is asked": (
        [prints("\r\n"), sends("alice\r\npw\r\nls"),
         prints("login: alice\r\nPassword: \r\nLast login: today\r\n$ ls\r\na b\r\n$ ")],
        [("alice", "pw", ACCEPTED)],
        ["ls"],
    ),
    "all at once, without an echo": (
        [prints("\r\n"), sends("alice\npw\nls", b"\n"), prints("login: Password: Welcome\r\n$ a b\r\n$ ")],
        [("alice", "pw", ACCEPTED)],
        ["ls"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str) -> None:
    said, logins, commands = DIALOGUES[name]
    told = tell_of(*said)
    assert told.logins == logins
    in_bytes = tell(pieces([part for parts in said for part in parts], range(1, 4096)))
    assert (in_bytes.findings, in_bytes.commands, in_bytes.text) == (told.findings, told.commands, told.text)
    assert told.commands == commands
    assert all(finding.kind is Kind.CREDENTIAL and finding.severity is Severity.HIGH for finding in told.findings)
    for _, secret, _ in logins:
        assert not secret or len(secret) < 4 or secret not in told.text
