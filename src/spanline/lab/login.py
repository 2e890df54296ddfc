"""What the lab's telnet server starts instead of /bin/login: an account that is nobody's on this machine.

Run as a program by telnetd, on a terminal of the session.
"""

from __future__ import annotations

import sys
import termios
import time

ACCOUNT = "opc"
PASSWORD = "only-in-the-lab"
PROMPT = "[opc@server ~]$ "


def _ask_hidden(question: str) -> str:
    """A line that is not echoed."""
    print(question, end="", flush=True)
    kept = termios.tcgetattr(0)
    hidden = termios.tcgetattr(0)
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSADRAIN, hidden)
    try:
        return sys.stdin.readline().rstrip("\n")
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, kept)
        print(flush=True)


def _ask(question: str) -> str:
    print(question, end="", flush=True)
    return sys.stdin.readline().rstrip("\n")


def main() -> None:
    """Asks until account and password are right, and then answers commands, none of which does anything."""
    while (_ask("server login: "), _ask_hidden("Password: ")) != (ACCOUNT, PASSWORD):
        time.sleep(0.5)
        print("\nLogin incorrect", flush=True)
    while (line := _ask(PROMPT)) != "exit":
        if line.startswith("echo "):
            print(line.removeprefix("echo "), flush=True)
    print("logout", flush=True)


if __name__ == "__main__":
    main()
