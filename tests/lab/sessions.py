"""Sessions of real clients with the lab's servers, and what somebody who watches them has to find."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spanline.lab.network import SERVER, missing
from spanline.lab.terminal import DELETE, ENTER, ERASE_LINE, ERASE_WORD, LEFT, Terminal
from tests.lab.hosts import Host
from tests.lab.network import Lab
from tests.lab.servers import Account

PROGRAMS = ("telnet", "curl", "ldapwhoami", "snmpget", "redis-cli", "ssh", "logger", "setsid")


@dataclass(frozen=True)
class Attempt:
    """One login that was tried. The fields are a finding's; the protocol is as tshark names it.

    account  "" where the protocol has none
    secret   what was typed or sent; of a challenge nothing can be read
    outcome  "accepted", "refused", or "unknown" where the server says nothing
    """

    protocol: str
    server_port: int
    account: str
    secret: str | None = field(repr=False)
    outcome: str
    scheme: str = ""


@dataclass(frozen=True)
class Sessions:
    """What was done while the mirrors copied.

    commands  of telnet, after the login, as they were meant: by the server's port
    secrets   every password that was sent, readable on the wire or not
    """

    attempts: list[Attempt]
    commands: dict[int, list[str]]
    secrets: list[str] = field(repr=False)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def missing_clients() -> list[str]:
    """The clients that this machine has not."""
    return missing(*PROGRAMS)


def telnet(client: Host, account: Account, port: int = 23) -> tuple[list[Attempt], list[str]]:
    """Somebody logs in, wrongly first, with slips of the fingers, types commands and goes."""
    name, password = account.name, account.password
    with Terminal(client.command("telnet", SERVER, str(port))) as terminal:
        terminal.expect("login: ")
        terminal.type(name + ENTER)
        terminal.expect("Password: ")
        terminal.type(account.wrong + ENTER, echo=False)
        terminal.expect("Login incorrect")
        terminal.expect("login: ")
        terminal.type(name[:3] + "z" + DELETE + name[3:] + ENTER)
        terminal.expect("Password: ")
        terminal.type(password[:5] + "XY" + DELETE * 2 + password[5:] + ENTER, echo=False)
        commands = {
            "ls /": "ls /",
            "echo spanlime" + DELETE * 2 + "ne": "echo spanline",
            "rm -r " + ERASE_LINE + "echo again": "echo again",
            "echo one twx" + ERASE_WORD + "two": "echo one two",
            "echo spnline" + LEFT * 5 + "a": "echo spanline",
            "echo Grüße, 世界": "echo Grüße, 世界",
        }
        for keys in commands:
            terminal.expect("$ ")
            terminal.type(keys + ENTER)
        terminal.expect("$ ")
        terminal.type("exit" + ENTER)
        assert terminal.end() == 0, terminal.shown
    return [
        Attempt("telnet", port, name, account.wrong, "refused"),
        Attempt("telnet", port, name, password, "accepted"),
    ], [*commands.values(), "exit"]


def _curl(client: Host, account: Account, wrong: bool, *arguments: str) -> None:
    # 67: login denied. HTTP's 401 is no failure, and an empty mailbox no success, by curl's exit code.
    who = f"{account.name}:{account.wrong if wrong else account.password}"
    client.run("curl", "-s", "-S", "-m", "30", "-u", who, *arguments, codes=(67, 0) if wrong else (0,))


def _both(protocol: str, port: int, account: Account, scheme: str) -> list[Attempt]:
    return [
        Attempt(protocol, port, account.name, account.wrong, "refused", scheme),
        Attempt(protocol, port, account.name, account.password, "accepted", scheme),
    ]


def _challenges(protocol: str, port: int, account: Account, scheme: str) -> list[Attempt]:
    return [Attempt(protocol, port, account.name, None, outcome, scheme) for outcome in ("refused", "accepted")]


def ftp(client: Host, account: Account) -> list[Attempt]:
    for wrong in (True, False):
        _curl(client, account, wrong, f"ftp://{SERVER}/")
    return _both("ftp", 21, account, "USER and PASS")


def mail(client: Host, account: Account) -> list[Attempt]:
    """IMAP and POP3, by commands and every mechanism."""
    imap, pop = f"imap://{SERVER}/", f"pop3://{SERVER}/"
    for wrong in (True, False):
        logins = json.dumps([SERVER, account.name, account.wrong if wrong else account.password])
        client.run(sys.executable, Path(__file__).parent / "mail_client.py", feed=logins)
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
            for url in (imap, pop):
                _curl(client, account, wrong, url, "--login-options", f"AUTH={mechanism}")
        _curl(client, account, wrong, pop, "--login-options", "AUTH=+APOP")
    found = _both("imap", 143, account, "LOGIN") + _both("pop", 110, account, "USER and PASS")
    for protocol, port in (("imap", 143), ("pop", 110)):
        for mechanism in ("PLAIN", "LOGIN"):
            found += _both(protocol, port, account, mechanism)
        found += _challenges(protocol, port, account, "CRAM-MD5")
    return found + _challenges("pop", 110, account, "APOP")


def smtp(client: Host, account: Account) -> list[Attempt]:
    found = []
    for mechanism in ("PLAIN", "LOGIN"):
        for wrong in (True, False):
            client.run(
                *("curl", "-s", "-S", "-m", "30", f"smtp://{SERVER}/client", "--login-options", f"AUTH={mechanism}"),
                *("-u", f"{account.name}:{account.wrong if wrong else account.password}"),
                *("--mail-from", "anna@lab.example", "--mail-rcpt", "otto@lab.example", "-T", "-"),
                feed="Subject: lab\r\n\r\nGood morning.\r\n",
                codes=(67,) if wrong else (0,),
            )
        found += _both("smtp", 25, account, mechanism)
    return found


def web(client: Host, account: Account) -> list[Attempt]:
    """Basic, Digest and a form, also on a port where nobody expects HTTP."""
    found = []
    for port in (80, 8081):
        for wrong in (True, False):
            _curl(client, account, wrong, f"http://{SERVER}:{port}/basic/", "--basic")
            _curl(client, account, wrong, f"http://{SERVER}:{port}/digest/", "--digest")
            client.run(
                *("curl", "-s", "-S", "-m", "30", f"http://{SERVER}:{port}/login.cgi"),
                *("--data-urlencode", f"user={account.name}"),
                *("--data-urlencode", f"password={account.wrong if wrong else account.password}"),
            )
        found += _both("http", port, account, "Basic")
        # The right one is answered by a redirection, as wrong ones are elsewhere.
        found += [
            Attempt("http", port, account.name, account.wrong, "refused", "form"),
            Attempt("http", port, account.name, account.password, "unknown", "form"),
        ]
        found += _challenges("http", port, account, "Digest")
    return found


def ldap(client: Host, account: Account) -> list[Attempt]:
    for secret, code in ((account.wrong, 49), (account.password, 0)):
        client.run("ldapwhoami", "-x", "-H", f"ldap://{SERVER}", "-D", account.name, "-w", secret, codes=(code,))
    return _both("ldap", 389, account, "simple bind")


def snmp(client: Host, account: Account) -> list[Attempt]:
    """Nobody answers a wrong community."""
    query = ("-m", "", "-r", "0", SERVER, ".1.3.6.1.2.1.1.5.0")
    client.run("snmpget", "-v", "2c", "-c", account.wrong, "-t", "1", *query, codes=(1,))
    client.run("snmpget", "-v", "1", "-c", account.password, "-t", "30", *query)
    return [
        Attempt("snmp", 161, "", account.wrong, "unknown"),
        Attempt("snmp", 161, "", account.password, "accepted"),
    ]


def redis(client: Host, account: Account) -> list[Attempt]:
    for secret in (account.wrong, account.password):
        # A refusal is told on the screen, not by the exit code.
        client.run("redis-cli", "-h", SERVER, "--user", account.name, "--pass", secret, "--no-auth-warning", "ping")
    return _both("resp", 6379, account, "AUTH")


def ssh(client: Host, account: Account) -> list[Attempt]:
    """Nothing is to be found."""
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PreferredAuthentications=password")
    command = shlex.split("ssh " + " ".join(f"-o {option}" for option in options))
    with Terminal(client.command(*command, f"{account.name}@{SERVER}", "echo spanline")) as terminal:
        terminal.expect("password: ")
        terminal.type(account.password + ENTER, echo=False)
        terminal.expect("spanline")
        assert terminal.end() == 0, terminal.shown
    return []


def tls(client: Host, account: Account) -> list[Attempt]:
    """Nothing is to be found."""
    _curl(client, account, False, "-k", f"https://{SERVER}/")
    return []


def syslog(client: Host, account: Account) -> list[Attempt]:
    """A service without logins."""
    client.run("logger", "--server", SERVER, "--port", "514", "--udp", "The lab works.")
    return []


def hold(lab: Lab, accounts: dict[str, Account]) -> Sessions:
    """Holds every session, all at once. Raises what any of them raises."""
    others: list[Callable[[Host, Account], list[Attempt]]]
    others = [ftp, mail, smtp, web, ldap, snmp, redis, ssh, tls, syslog]
    pool = ThreadPoolExecutor(len(others) + 2)
    try:
        typed = {port: pool.submit(telnet, lab.client, accounts["telnet"], port) for port in (23, 2323)}
        sent = [pool.submit(session, lab.client, accounts[session.__name__]) for session in others]
        attempts = [one for session in sent for one in session.result()]
        commands = {port: session.result()[1] for port, session in typed.items()}
        attempts += [one for session in typed.values() for one in session.result()[0]]
    finally:
        # When one fails, or Ctrl-C comes, the others end with the lab.
        pool.shutdown(wait=False, cancel_futures=True)
    secrets = {secret for account in accounts.values() for secret in (account.password, account.wrong) if secret}
    return Sessions(attempts, commands, sorted(secrets))
