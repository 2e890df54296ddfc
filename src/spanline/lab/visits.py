"""What the lab's client does at the server: pings, a download, a telnet login. Run as a program on the client.

It writes a line for each when it is over.
"""

from __future__ import annotations

import http.client
import subprocess
from concurrent.futures import ThreadPoolExecutor

from spanline.lab.login import ACCOUNT, PASSWORD, PROMPT
from spanline.lab.network import SERVER, missing
from spanline.lab.servers import TELNETD, find_telnetd
from spanline.lab.terminal import ENTER, Terminal

PING = ("ping", "-c", "5", "-s", "300", SERVER)


def _ping() -> str:
    """As the tutorial of OCI's VTAP."""
    ran = subprocess.run(PING, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ran.returncode:
        raise OSError(f"{' '.join(PING)}: {' '.join(ran.stdout.splitlines()[-2:]) or ran.stderr.strip()}")
    return " ".join(PING)


def _download() -> str:
    connection = http.client.HTTPConnection(SERVER, timeout=30)
    connection.request("GET", "/")
    length = len(connection.getresponse().read())
    connection.close()
    return f"HTTP: {length:,} bytes of http://{SERVER}/"


def _log_in() -> str:
    """Wrongly first, one key after the other."""
    with Terminal(["telnet", SERVER]) as terminal:
        for secret in ("wrong", PASSWORD):
            terminal.expect("login: ")
            terminal.type(ACCOUNT + ENTER)
            terminal.expect("Password: ")
            terminal.type(secret + ENTER, echo=False)
        for command in ("echo hello", "exit"):
            terminal.expect(PROMPT)
            terminal.type(command + ENTER)
        terminal.end()
    return f"telnet: {ACCOUNT} logs in at {SERVER}, with a wrong password first"


def main() -> None:
    wanted = {"ping": _ping, "HTTP": _download, "telnet": _log_in}
    programs = {"ping": missing("ping"), "HTTP": [], "telnet": missing("telnet")}
    if find_telnetd() is None:
        programs["telnet"].append(TELNETD)
    with ThreadPoolExecutor() as pool:
        done = {name: pool.submit(visit) for name, visit in wanted.items() if not programs[name]}
        for name in wanted:
            if lacking := programs[name]:
                print(f"no {name}: {' and '.join(lacking)} not installed", flush=True)
            else:
                print(done[name].result(), flush=True)


if __name__ == "__main__":
    main()
