"""The results of views to where the user wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from spanline.cli.group import complain
from spanline.cli.options import Output, is_folder
from spanline.cli.show import page, write
from spanline.cli.stats_view import View
from spanline.errors import OutputError
from spanline.output import WRITERS, open_output, open_stream


def check_output(names: Sequence[str], output: Output, as_tshark: bool) -> None:
    """Refuses, before anything is read, what cannot be written."""
    if as_tshark and output.format != "table":
        raise click.UsageError(f"--as-tshark is text, and not {output.format}")
    if output.format in ("csv", "parquet") and len(names) > 1 and not is_folder(output.path):
        raise click.UsageError(
            f"a {output.format} file has one view, and these are {len(names)}; name one, or a folder: -o views/"
        )


def show_views(views: Sequence[View], output: Output, as_tshark: bool) -> None:
    """All views, in their order."""
    if as_tshark:
        with open_stream(output.path) as stream:
            for view in views:
                stream.write("".join(f"{line}\n" for line in view.as_tshark()).encode())
    elif output.format == "table":
        _draw(views, output)
    elif output.path is not None and is_folder(output.path):
        _write_folder(views, Path(output.path), output.format)
    elif len(views) == 1:
        write(views[0].table(), output)
    else:
        _write_object(views, output.path)


def remark(views: Sequence[View]) -> None:
    """What the numbers leave out, on stderr; views of one stage may have the same to say."""
    for line in dict.fromkeys(line for view in views for line in view.remarks()):
        complain(line)


def _draw(views: Sequence[View], output: Output) -> None:
    from spanline.cli.screen import Line, draw_lines

    with page(output) as target:
        for n, view in enumerate(views):
            if len(views) > 1:
                draw_lines(target, [*([Line("")] if n else []), Line(view.title, "bold")])
            view.draw(target)


def _write_folder(views: Sequence[View], folder: Path, format: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    for view in views:
        with open_output(str(folder / f"{view.name}.{format}"), format) as writer:
            writer.write(view.table())


def _write_object(views: Sequence[View], path: str | None) -> None:
    """One JSON object, with an array for each view."""
    with open_stream(path) as stream:
        for n, view in enumerate(views):
            stream.write(f'{", " if n else "{"}"{view.name}": '.encode())
            writer = WRITERS["json"](stream)
            writer.write(view.table())
            writer.close()
        stream.write(b"}\n")
