"""Real servers on the lab's server, each with one account and a password that it draws."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.hosts import Host, missing, wait_for
from tests.lab.network import CLIENT, SERVER

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
    password: str
    wrong: str


def _account(name: str, awkward: str = _AWKWARD) -> Account:
    return Account(name, f"{secrets.token_hex(4)}{awkward}{secrets.token_hex(2)}", f"wrong-{secrets.token_hex(4)}")


def missing_servers() -> list[str]:
    """The servers that this machine has not."""
    return missing(*PROGRAMS)


def start(host: Host) -> dict[str, Account]:
    """Starts every server. Gives the account of each by the name of its function here, when all of them listen."""
    host.write("/etc/hosts", f"127.0.0.1 localhost\n{CLIENT} client\n{SERVER} server\n")
    every = (telnet, ftp, mail, smtp, web, ldap, snmp, redis, ssh, tls, syslog)
    return {server.__name__: server(host) for server in every}


def _listening(host: Host, *ports: int, transport: str = "tcp") -> None:
    for port in ports:
        wait_for(f"a server at {transport} port {port}", lambda port=port: host.listens(transport, port))


def _unix_user(host: Host, name: str) -> Account:
    account = _account(name)
    host.run("useradd", "--create-home", "--shell", "/bin/bash", name)
    host.run("chpasswd", feed=f"{name}:{account.password}\n")
    return account


def telnet(host: Host) -> Account:
    """telnetd on ports 23 and 2323."""
    account = _unix_user(host, "marie")
    lines = [f"{port} stream tcp nowait root /usr/sbin/telnetd telnetd\n" for port in (23, 2323)]
    host.write(f"{_FOLDER}/inetd", "".join(lines))
    host.start("inetutils-inetd", "-d", f"{_FOLDER}/inetd")
    _listening(host, 23, 2323)
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
    host.start("vsftpd", f"{_FOLDER}/vsftpd")
    _listening(host, 21)
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
    host.start("dovecot", "-F", "-c", f"{_FOLDER}/dovecot")
    _listening(host, 143, 110)
    return account


def smtp(host: Host) -> Account:
    account = _account("anna@lab.example")
    host.write(f"{_FOLDER}/smtp", json.dumps([account.name, account.password]))
    host.start(sys.executable, Path(__file__).parent / "smtp_server.py", SERVER, f"{_FOLDER}/smtp")
    _listening(host, 25)
    return account


def web(host: Host) -> Account:
    """Pages behind Basic and Digest, and a login form; ports 80 and 8081."""
    account = _account("otto")
    host.write(f"{_FOLDER}/web-accounts", f"{account.name}:{account.password}\n")
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
    host.start("lighttpd", "-D", "-f", f"{_FOLDER}/lighttpd")
    _listening(host, 80, 8081)
    return account


def ldap(host: Host) -> Account:
    account = _account("cn=admin,dc=lab", awkward="+/%& ")
    host.path("/run/ldap").mkdir()
    host.write(
        f"{_FOLDER}/slapd",
        "modulepath /usr/lib/ldap\nmoduleload back_mdb\ninclude /etc/ldap/schema/core.schema\n"
        f'database mdb\nsuffix "dc=lab"\ndirectory /run/ldap\nrootdn "{account.name}"\nrootpw "{account.password}"\n',
    )
    host.start("slapd", "-d", "0", "-f", f"{_FOLDER}/slapd", "-h", f"ldap://{SERVER}/")
    _listening(host, 389)
    return account


def snmp(host: Host) -> Account:
    """A community: an account without a name."""
    account = _account("", awkward="-")
    host.write(f"{_FOLDER}/snmpd", f"rocommunity {account.password}\n")
    host.start("snmpd", "-f", "-Lo", "-C", "-c", f"{_FOLDER}/snmpd", f"udp:{SERVER}:161")
    _listening(host, 161, transport="udp")
    return account


def redis(host: Host) -> Account:
    account = _account("lager", awkward="+/%&")
    host.write(
        f"{_FOLDER}/redis", f'bind {SERVER}\nsave ""\ndir /run\nuser {account.name} on >{account.password} +@all ~*\n'
    )
    host.start("redis-server", f"{_FOLDER}/redis", "--user", "default", "off")
    _listening(host, 6379)
    return account


def ssh(host: Host) -> Account:
    account = _unix_user(host, "nora")
    host.path("/run/sshd").mkdir()
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{_FOLDER}/ssh")
    host.start("/usr/sbin/sshd", "-D", "-f", "/dev/null", "-h", f"{_FOLDER}/ssh", "-o", f"ListenAddress={SERVER}")
    _listening(host, 22)
    return account


def tls(host: Host) -> Account:
    """A page on port 443, whatever password is sent to it."""
    key, certificate = f"{_FOLDER}/tls.key", f"{_FOLDER}/tls.certificate"
    host.run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=server", "-days", "2", "-keyout", key, "-out", certificate),
    )
    host.start("openssl", "s_server", "-accept", f"{SERVER}:443", "-www", "-key", key, "-cert", certificate)
    _listening(host, 443)
    return _account("otto")


def syslog(host: Host) -> Account:
    """Takes datagrams; nobody has an account."""
    host.write(f"{_FOLDER}/syslog", "*.* /run/messages\n")
    host.start("syslogd", "--no-detach", "--no-klog", "--no-unixaf", "--inet", "-f", f"{_FOLDER}/syslog")
    _listening(host, 514, transport="udp")
    return Account("", "", "")
