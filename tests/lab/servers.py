"""Real servers on the lab's server, each with one account and a password that it draws."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote_plus

from spanline.lab.network import CLIENT, SERVER, missing
from tests.lab.hosts import Host, wait_for

PROGRAMS = (
    *("inetutils-inetd", "telnetd", "vsftpd", "dovecot", "lighttpd", "slapd", "snmpd", "redis-server", "sshd"),
    *("syslogd", "openssl", "useradd", "chpasswd"),
)
"""What they are started with. .ci/run says which packages of Debian have them."""

_FOLDER = "/etc/lab"
# What goes through base64, URL encoding and shells only when nobody forgets to quote.
_AWKWARD = "+/%& \"'"


@dataclass(frozen=True)
class Account:
    """`password` is right, `wrong` is refused."""

    name: str
    password: str = field(repr=False)
    wrong: str = field(repr=False)


def _account(name: str, awkward: str = _AWKWARD) -> Account:
    return Account(name, f"{secrets.token_hex(4)}{awkward}{secrets.token_hex(2)}", f"wrong-{secrets.token_hex(4)}")


def missing_servers() -> list[str]:
    """The servers that this machine has not."""
    return [*missing(*PROGRAMS), *(["aiosmtpd (of PyPI)"] if find_spec("aiosmtpd") is None else [])]


def start(host: Host) -> dict[str, Account]:
    """Starts every server. Gives the account of each by the name of its function here, when all of them listen."""
    host.write("/etc/hosts", f"127.0.0.1 localhost\n{CLIENT} client\n{SERVER} server\n")
    every = (telnet, ftp, mail, smtp, web, ldap, snmp, redis, ssh, tls, syslog)
    return {server.__name__: server(host) for server in every}


def _serve(host: Host, *command: str | Path, ports: tuple[int, ...], transport: str = "tcp") -> None:
    """Starts a server and waits until it listens. Raises OSError with what it said, when it ended instead."""
    with host.path(f"/run/{Path(command[0]).name}.log").open("w+b") as log:
        process = host.start(*command, stdout=log, stderr=log)
        for port in ports:
            wait_for(
                f"{command[0]} at {transport} port {port}",
                lambda port=port: process.poll() is not None or host.listens(transport, port),  # type: ignore[misc]
            )
        if process.poll() is not None:
            log.seek(0)
            raise OSError(f"{command[0]} ended with {process.returncode}: {log.read().decode(errors='replace')}")


def _unix_user(host: Host, name: str) -> Account:
    account = _account(name)
    host.run("useradd", "--create-home", "--shell", "/bin/bash", name)
    host.run("chpasswd", feed=f"{name}:{account.password}\n")
    return account


def telnet(host: Host) -> Account:
    """telnetd on ports 23 and 2323."""
    # In the C locale, bash takes letters beyond ASCII for keys with Meta.
    host.write("/etc/default/locale", "LANG=C.UTF-8\n")
    account = _unix_user(host, "marie")
    lines = [f"{port} stream tcp nowait root /usr/sbin/telnetd telnetd\n" for port in (23, 2323)]
    host.write(f"{_FOLDER}/inetd", "".join(lines))
    _serve(host, "inetutils-inetd", "-d", f"{_FOLDER}/inetd", ports=(23, 2323))
    return account


def ftp(host: Host) -> Account:
    options = {
        **dict.fromkeys(("listen", "local_enable", "allow_writeable_chroot"), "YES"),
        **dict.fromkeys(("background", "anonymous_enable", "seccomp_sandbox"), "NO"),
        "secure_chroot_dir": "/run/vsftpd/empty",
        "pam_service_name": "vsftpd",
    }
    host.path("/run/vsftpd/empty").mkdir(parents=True)
    host.write(f"{_FOLDER}/vsftpd", "".join(f"{key}={value}\n" for key, value in options.items()))
    _serve(host, "vsftpd", f"{_FOLDER}/vsftpd", ports=(21,))
    return _unix_user(host, "paul")


def mail(host: Host) -> Account:
    """IMAP and POP3."""
    account = _account("anna@lab.example")
    host.write(f"{_FOLDER}/mail-accounts", f"{account.name}:{{PLAIN}}{account.password}::::::\n")
    host.write(
        f"{_FOLDER}/dovecot",
        f"""
        protocols = imap pop3
        listen = {SERVER}
        ssl = no
        disable_plaintext_auth = no
        auth_mechanisms = plain login cram-md5 apop
        auth_failure_delay = 0
        service anvil {{
          # No penalty for an address whose logins are refused.
          unix_listener anvil-auth-penalty {{
            mode = 0
          }}
        }}
        base_dir = /run/dovecot
        log_path = /run/dovecot.log
        mail_location = maildir:/run/mail/%u
        passdb {{
          driver = passwd-file
          args = {_FOLDER}/mail-accounts
        }}
        userdb {{
          driver = static
          args = uid=nobody gid=nogroup home=/run/mail/%u
        }}
        """,
    )
    host.path("/run/mail").mkdir()
    host.path("/run/mail").chmod(0o777)
    _serve(host, "dovecot", "-F", "-c", f"{_FOLDER}/dovecot", ports=(143, 110))
    return account


def smtp(host: Host) -> Account:
    account = _account("anna@lab.example")
    host.write(f"{_FOLDER}/smtp", json.dumps([account.name, account.password]))
    _serve(host, sys.executable, Path(__file__).parent / "smtp_server.py", SERVER, f"{_FOLDER}/smtp", ports=(25,))
    return account


def web(host: Host) -> Account:
    """Pages behind Basic and Digest, and a login form; ports 80 and 8081."""
    account = _account("otto")
    host.write(f"{_FOLDER}/web-accounts", f"{account.name}:{account.password}\n")
    host.write(f"{_FOLDER}/form", f"password={quote_plus(account.password)}")
    for page in ("basic/index.html", "digest/index.html"):
        host.write(f"/run/web/{page}", "<p>Welcome.</p>\n")
    host.write(
        "/run/web/login.cgi",
        f"""#!/bin/bash
        read -r -N "$CONTENT_LENGTH" form
        if [[ $form == *"$(cat {_FOLDER}/form)" ]]; then printf 'Status: 303\\nLocation: /basic/\\n\\n'
        else printf 'Status: 401\\nContent-Type: text/html\\n\\n<p>Wrong.</p>\\n'; fi
        """,
        mode=0o755,
    )
    host.write(
        f"{_FOLDER}/lighttpd",
        f"""
        server.modules = ("mod_auth", "mod_authn_file", "mod_cgi")
        server.document-root = "/run/web"
        index-file.names = ("index.html")
        mimetype.assign = (".html" => "text/html")
        server.bind = "{SERVER}"
        server.port = 80
        $SERVER["socket"] == "{SERVER}:8081" {{ }}
        cgi.assign = (".cgi" => "/bin/bash")
        auth.backend = "plain"
        auth.backend.plain.userfile = "{_FOLDER}/web-accounts"
        auth.require = (
          "/basic" => ("method" => "basic", "realm" => "lab", "require" => "valid-user"),
          "/digest" => ("method" => "digest", "realm" => "lab", "require" => "valid-user"),
        )
        """,
    )
    _serve(host, "lighttpd", "-D", "-f", f"{_FOLDER}/lighttpd", ports=(80, 8081))
    return account


def ldap(host: Host) -> Account:
    account = _account("cn=admin,dc=lab", awkward="+/%& ")
    host.path("/run/ldap").mkdir()
    host.write(
        f"{_FOLDER}/slapd",
        "modulepath /usr/lib/ldap\nmoduleload back_mdb\ninclude /etc/ldap/schema/core.schema\n"
        f'database mdb\nsuffix "dc=lab"\ndirectory /run/ldap\nrootdn "{account.name}"\nrootpw "{account.password}"\n',
    )
    _serve(host, "slapd", "-d", "0", "-f", f"{_FOLDER}/slapd", "-h", f"ldap://{SERVER}/", ports=(389,))
    return account


def snmp(host: Host) -> Account:
    """A community: an account without a name."""
    account = _account("", awkward="-")
    host.write(f"{_FOLDER}/snmpd", f"rocommunity {account.password}\n")
    command = ("snmpd", "-f", "-Lo", "-C", "-c", f"{_FOLDER}/snmpd", f"udp:{SERVER}:161")
    _serve(host, *command, ports=(161,), transport="udp")
    return account


def redis(host: Host) -> Account:
    account = _account("lager", awkward="+/%&")
    user = f"user {account.name} on >{account.password} +@all ~*"
    host.write(f"{_FOLDER}/redis", f'bind {SERVER}\nsave ""\ndir /run\nuser default off\n{user}\n')
    _serve(host, "redis-server", f"{_FOLDER}/redis", ports=(6379,))
    return account


def ssh(host: Host) -> Account:
    account = _unix_user(host, "nora")
    host.path("/run/sshd").mkdir()
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{_FOLDER}/ssh")
    command = ("/usr/sbin/sshd", "-D", "-f", "/dev/null", "-h", f"{_FOLDER}/ssh", "-o", f"ListenAddress={SERVER}")
    _serve(host, *command, ports=(22,))
    return account


def tls(host: Host) -> Account:
    """A page on port 443, whatever password is sent to it."""
    key, certificate = f"{_FOLDER}/tls.key", f"{_FOLDER}/tls.certificate"
    host.run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=server", "-days", "2", "-keyout", key, "-out", certificate),
    )
    command = ("openssl", "s_server", "-accept", f"{SERVER}:443", "-www", "-key", key, "-cert", certificate)
    _serve(host, *command, ports=(443,))
    return _account("otto")


def syslog(host: Host) -> Account:
    """Takes datagrams; nobody has an account."""
    host.write(f"{_FOLDER}/syslog", "*.* /run/messages\n")
    command = ("syslogd", "--no-detach", "--no-klog", "--no-unixaf", "--inet", "-f", f"{_FOLDER}/syslog")
    _serve(host, *command, ports=(514,), transport="udp")
    return Account("", "", "")
