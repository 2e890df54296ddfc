"""What a command that captures gives up, and which files it still needs then."""

from __future__ import annotations

import os
from pathlib import Path

import click

from spanline import privileges
from spanline.cli.group import OWN_PROCESS, complain
from spanline.cli.options import Inputs, WrittenPath, is_folder
from spanline.errors import OutputError


def refuse_root(inputs: Inputs) -> None:
    """To be called before a live source is opened. Raises UsageError."""
    if _is_own():
        privileges.refuse_root(inputs.user, inputs.allow_root)


def confine(inputs: Inputs) -> None:
    """Gives up all but the files that the options of this command name. To be called when live sources are open.

    A program that calls commands in its own process keeps what it has. Raises UsageError, OSError, and OutputError
    where results could not be written when there are some.
    """
    if not _is_own():
        return
    reads, writes, results = _places(click.get_current_context())
    missing = privileges.drop(inputs.user, reads=reads, writes=writes)
    for folder in results:
        if not os.access(folder, os.W_OK | os.X_OK):
            what = f"{folder}: {inputs.user or 'you'} may not write there"
            raise OutputError(what, hint="results go there: allow it, or name another folder")
    if missing and not inputs.quiet:
        complain(missing)


def _is_own() -> bool:
    return click.get_current_context().obj is OWN_PROCESS


def _places(context: click.Context) -> tuple[list[Path], list[Path], list[Path]]:
    """Folders of files that are read, which may be replaced meanwhile, of those that are written, and of these the ones
    that have to take new files. Raises OutputError when a file's folder is not there.
    """
    reads: list[Path] = []
    writes: list[Path] = []
    results: list[Path] = []
    for parameter in context.command.params:
        if not isinstance(parameter, click.Option) or not isinstance(parameter.type, click.Path):
            continue
        value = context.params.get(parameter.name or "")
        for path in value if isinstance(value, tuple) else (value,):
            if path is None or path == "-":
                continue
            if not isinstance(parameter.type, WrittenPath):
                reads += [Path(path).parent, Path(path).resolve().parent]
            elif is_folder(path):
                writes.append(Path(path))
                results.append(Path(path))
            elif Path(path).exists() and not Path(path).is_file():
                writes.append(Path(path))
            else:
                target = Path(path).resolve().parent
                if not target.is_dir():
                    raise OutputError(f"cannot write {path}: there is no folder {target}", hint="make it")
                writes += [Path(path).parent, target]
                results.append(target)
    return reads, writes, results
