"""Secrets in what a command shows: redacted, or revealed, which is written down."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from spanline.cli.group import complain
from spanline.cli.options import Decorated, Inputs, Output
from spanline.errors import UsageError

if TYPE_CHECKING:
    from spanline.plaintext.audit import AuditLog
    from spanline.plaintext.redaction import Redactor, Revealer


class Revealing:
    """Whether the user wants secrets to be shown: `asked` for a terminal or a file, `anyway` wherever output goes."""

    def __init__(self, asked: bool, anyway: bool) -> None:
        self._asked = asked or anyway
        self._anyway = anyway
        self._log: AuditLog | None = None
        self._revealer: Revealer | None = None

    def shows(self, output: Output) -> Redactor | Revealer:
        """How secrets are to be written to `output`; from now on the process leaves no core.

        Raises UsageError when they would go somewhere unseen, or when it cannot be written down that they are shown.
        """
        from spanline.plaintext.audit import AuditLog
        from spanline.plaintext.redaction import Revealer, forbid_core_dumps, installation_redactor

        forbid_core_dumps()
        if not self._asked:
            redactor, warning = installation_redactor()
            if warning:
                complain(warning)
            return redactor
        if not self._anyway and not _is_seen(output):
            raise UsageError(
                "--reveal shows secrets, and standard output is no terminal",
                hint="write them to a file with -o, or say --reveal-anyway",
            )
        self._log = AuditLog()
        click.get_current_context().call_on_close(self._log.close)
        self._revealer = Revealer()
        return self._revealer

    def record(self, inputs: Inputs) -> None:
        """Writes down what will be shown; to be called before it is, and again before more is. Raises UsageError when
        that cannot be."""
        if self._log is not None and self._revealer is not None:
            context = click.get_current_context()
            self._log.record(context.command_path, _given(context), inputs.paths, self._revealer.revealed)
            self._revealer.revealed = 0


def reveals(function: Decorated) -> Decorated:
    """Gives the command `revealing`: Revealing."""

    @functools.wraps(function)
    def command(*, reveal: bool, reveal_anyway: bool, **others: Any) -> Any:
        return function(revealing=Revealing(reveal, reveal_anyway), **others)

    anyway = click.option(
        "--reveal-anyway", is_flag=True, help="The same wherever standard output goes: into a pipe, too."
    )(command)
    return click.option(
        "--reveal",
        is_flag=True,
        help="Show secrets, on a terminal or in the file of -o. Who did, when and of which captures is logged.",
    )(anyway)


def _is_seen(output: Output) -> bool:
    """By whoever sits at the terminal, or in a file, which nobody else can read."""
    if output.path is None:
        return sys.stdout.isatty()
    place = Path(os.path.realpath(output.path))
    return place.is_file() or not place.exists()


def _given(context: click.Context) -> list[str]:
    """Names of the options on the command line; what they were set to may be a secret."""
    return [
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
