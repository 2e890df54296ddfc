"""`spanline` itself: finds the command, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from spanline.cli.text import printable
from spanline.errors import SpanlineError

COMMANDS = (
    *("crunch", "flows", "rtt", "stats", "plaintext", "follow", "packets", "info", "capture"),
    *("query", "report", "store", "inventory", "lab"),
    "completion",
)
"""Each is the variable `command` of the module of its name, which is imported when it is needed."""

OWN_PROCESS = object()
"""The context's object where the process is there for the command, which may change it for good."""

UNWANTED = UNANSWERED = 1
FAILED = 2
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + 13  # SIGPIPE, which Windows lacks

EPILOG = """\b
Exit codes:
    0  everything was read
    1  stats --policy: there is something that the policy calls unwanted;
       report: a query of it has no answer, the others have
    2  wrong usage, nothing could be read or written, or an input had a fault:
       a line on stderr for each, after the results of what could be read
  130  interrupted (Ctrl-C); 143 after SIGTERM, 129 after SIGHUP.
       A signal is the usual end of a live capture: what came is shown,
       and the code is 0. A second one ends it at once, with these codes
  141  whoever read the output went away
"""


class Commands(click.Group):
    """The commands by name; the errors of all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"spanline.cli.{cmd_name}").command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _told():
            result = super().invoke(ctx)
            # What the interpreter finds out when it flushes on exit would be a traceback.
            sys.stdout.flush()
            return result


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turns exceptions into one line at most, and an exit code."""
    try:
        yield
    except KeyboardInterrupt:  # of callers that do without cli/signals.py
        raise click.exceptions.Exit(INTERRUPTED) from None
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        complain(_usage(error))
        raise click.exceptions.Exit(FAILED) from error
    except SpanlineError as error:
        complain_of(error)
        raise click.exceptions.Exit(FAILED) from error
    except OSError as error:
        _forget_output()
        if error.errno == errno.EPIPE:
            raise click.exceptions.Exit(BROKEN_PIPE) from error
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        raise click.exceptions.Exit(FAILED) from error


def _usage(error: click.UsageError) -> str:
    """What click finds wrong, as our own errors say it, and where to read how it is right."""
    what = " ".join(error.format_message().split()).removesuffix(".")
    command = error.ctx.command_path if error.ctx is not None else "spanline"
    return f"{what[:1].lower()}{what[1:]} (see {command} --help)"


def complain(what: str) -> None:
    """One line on stderr. The work goes on where nobody reads it: a capture outlives its terminal, and who logs it."""
    with contextlib.suppress(OSError):
        click.echo(f"spanline: {printable(what)}", err=True)


def complain_of(error: SpanlineError) -> None:
    """The same, and the place of the fault where there is one."""
    complain(str(error))
    for line in error.excerpt():
        click.echo(line, err=True)


def _forget_output() -> None:
    """Lets what is left in the buffer of a stdout that takes nothing go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spanline", message="%(prog)s %(version)s")
def spanline() -> None:
    """Mirrored network traffic in; flows, round-trip times, statistics, logins in the clear and frames out.

    A PATH is a capture file (pcap or pcapng, plain or compressed), a folder, a pattern in quotes, or - for standard
    input. Files that overlap in time are merged. live:eth0 captures at an interface, and udp:4789 takes the VXLAN
    datagrams that a mirror sends to a port, udp:6081 those of GENEVE.

    spanline is for those who may monitor the network they monitor.
    """


def run() -> NoReturn:
    """Runs the command that sys.argv asks for, and exits."""
    for stream in (sys.stdout, sys.stderr):
        # A locale without arrows and Greek letters is no reason to fail.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        sys.exit(spanline.main(prog_name="spanline", obj=OWN_PROCESS))
    finally:
        if "duckdb" not in sys.modules:  # its binding complains of objects that are never collected
            gc.freeze()  # else the interpreter looks for garbage in all modules, longer than many a capture takes
