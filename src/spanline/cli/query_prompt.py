"""Queries one after the other, on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from spanline.cli import signals
from spanline.cli.group import complain, complain_of
from spanline.cli.options import Output
from spanline.cli.query_asking import Asked, Asking, Question, table_of, tell
from spanline.cli.query_saved import saved_lines
from spanline.cli.query_view import print_answer
from spanline.cli.reading import conclude
from spanline.cli.show import page, write_lines
from spanline.cli.text import printable
from spanline.errors import SpanlineError
from spanline.keeping import open_private_log, private_folder, state_folder
from spanline.query import saved
from spanline.query.cleaning import clean
from spanline.query.parameters import MARK
from spanline.query.prompting import pieces, suggestions
from spanline.query.prompting_values import KnownValues
from spanline.query.running import interrupt
from spanline.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

_HISTORY = "queries"
_PROMPT = "spanline> "
_BESIDE = 6
"""Lines of a screen that are left to headings, remarks and the next query."""
_STYLE = Style.from_dict(
    {"keyword": "bold", "function": "ansimagenta", "name": "ansicyan", "value": "ansigreen", "operator": "bold"}
)
_AS_IT_WAS = b"\x1b[?2004l\x1b[0m\r\n"
"""Ends bracketed paste, which prompt_toolkit asks terminals for."""

HELP = (
    "flows where port = 22 in last 7 days              flows, with a condition and a time",
    "sum(bytes), sessions of flows group by Port       groups, and what is summed of them",
    "series(sum(bytes rate)) of flows group by VM      lines over time",
    "top 5 VMs by Network Rate                         also Hosts, Subnets, Countries …",
    "",
    "Tab      what can stand here: words, names of VMs, countries",
    "↑ ↓      queries from before; Ctrl-R searches them",
    "Ctrl-C   ends a query that runs, or empties the line",
    "Ctrl-D   leaves, and so does \\q",
    "",
    "@NAME port=22   asks a query that spanline query --save keeps",
    "\\saved          shows those that are kept",
    "\\all            shows the last answer with all of its rows",
    "\\?              shows this",
    "",
    "docs/language.md has the whole language.",
)


def ask(asking: Asking, asked: Asked, limit: int | None, quiet: bool) -> None:
    """Answers queries until somebody leaves. To be called last."""
    prompt = _Prompt(asking, Store(asked.folder), limit, quiet)
    signals.interrupt_first(interrupt)
    click.echo(f"{printable(asked.name)}: \\? shows how to ask, and Ctrl-D leaves", err=True)
    while True:
        try:
            line = prompt.read()
            if line is None:
                break
            prompt.answer(line)
        except KeyboardInterrupt:
            continue
    conclude(asked.problems)


class _Prompt:
    """A terminal, a store that is open, and what is known of addresses, read once."""

    def __init__(self, asking: Asking, store: Store, limit: int | None, quiet: bool) -> None:
        self._asking, self._store = asking, store
        self._limit, self._quiet = limit, quiet
        self._last: tuple[Question, pa.Table] | None = None
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            history=_history(),
            completer=_Completer(KnownValues(asking.enrichment)),
            lexer=_Colours(),
            style=_STYLE,
            key_bindings=_keys(),
            complete_while_typing=False,
        )
        self._commands: dict[str, Callable[[], None]] = {
            "\\?": lambda: _show(HELP),
            "help": lambda: _show(HELP),
            "\\saved": lambda: _show(saved_lines(saved.saved_queries())),
            "\\all": self._all,
        }

    def read(self) -> str | None:
        """What somebody writes, on one line; None: that somebody leaves. Raises KeyboardInterrupt for Ctrl-C."""
        with _left_as_it_was():
            try:
                line = clean(self._session.prompt())
            except EOFError:
                return None
        return None if line.lower() in ("\\q", "quit", "exit") else line

    def answer(self, line: str) -> None:
        """Shows the answer, or what is wrong. Raises KeyboardInterrupt for Ctrl-C, when the query has been ended."""
        if not line:
            return
        try:
            command = self._commands.get(line.lower())
            if command is not None:
                command()
            else:
                self._ask(line)
            sys.stdout.flush()
        except KeyboardInterrupt:
            complain("the query was ended")
            raise
        except SpanlineError as error:
            complain_of(error)
        except OSError as error:
            complain(f"{error.filename or 'standard output'}: {error.strerror or error}")

    def _ask(self, line: str) -> None:
        question = self._asking.question(line)
        table = table_of(self._asking, question, self._store)
        self._last = question, table
        screen = max(5, shutil.get_terminal_size().lines - _BESIDE)
        self._print(question, table, screen if self._limit is None else self._limit)
        sys.stdout.flush()
        tell(table, self._asking.zone, self._quiet)

    def _all(self) -> None:
        if self._last is None:
            complain("nothing has been asked yet")
        else:
            self._print(*self._last, 0)

    def _print(self, question: Question, table: pa.Table, rows: int) -> None:
        with page(_TERMINAL) as target:
            here = table.slice(0, rows or None)
            print_answer(here, table.num_rows, question.query, self._asking.zone, target, more="\\all shows all")


_TERMINAL = Output(None, "table")


def _show(lines: Iterable[str]) -> None:
    write_lines(lines, _TERMINAL)


@contextlib.contextmanager
def _left_as_it_was() -> Iterator[None]:
    """A signal that ends the process inside leaves the terminal as it was."""
    try:
        import termios
    except ImportError:  # Windows, where no signal comes
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    signals.last_words = _AS_IT_WAS
    signals.last_act = lambda: termios.tcsetattr(terminal, termios.TCSANOW, before)
    try:
        yield
    finally:
        signals.last_words, signals.last_act = b"", None
        signals.interrupt_first(interrupt)  # prompt_toolkit lets signals wake its own loop


def _history() -> History:
    try:
        path = private_folder(state_folder()) / _HISTORY
        os.close(open_private_log(path))
    except OSError as error:
        complain(f"what is asked is forgotten at the end: {error}")
        return InMemoryHistory()
    return FileHistory(path)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.BracketedPaste)
    def paste(event: KeyPressEvent) -> None:
        # What is pasted into a line that was begun may be no query, but only a part of one.
        pasted = " ".join(event.data.split()) if event.current_buffer.text else clean(event.data)
        event.current_buffer.insert_text(pasted)

    return keys


class _Completer(Completer):
    """prompting.suggestions() where the cursor is."""

    def __init__(self, values: KnownValues) -> None:
        self._values = values

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        if text.startswith(MARK):
            yield from _kept(text)
            return
        for one in suggestions(text, self._values):
            yield Completion(one.text, one.start - len(text), printable(one.text), one.about)


def _kept(text: str) -> Iterator[Completion]:
    """Names of queries that are kept, and of their parameters."""
    name, *values = text.split(" ")
    with contextlib.suppress(SpanlineError):
        queries = saved.saved_queries()
        if not values:
            for one in queries:
                if one.startswith(name[1:].lower()):
                    yield Completion(one, 1 - len(name), display_meta=printable(queries[one]))
            return
        for one in saved.parameter_names(queries.get(name[1:].lower(), "")):
            if one.startswith(values[-1].lower()):
                yield Completion(f"{one}=", -len(values[-1]))


class _Colours(Lexer):
    """prompting.pieces() in colour."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        text = document.text
        styles = [""] * len(text)
        for begin, end, kind in () if text.startswith(MARK) else pieces(text):
            styles[begin:end] = [f"class:{kind}"] * (end - begin)
        begins = [0, *(place + 1 for place, character in enumerate(text) if character == "\n")]

        def line(number: int) -> StyleAndTextTuples:
            begin = begins[number]
            return list(zip(styles[begin:], document.lines[number], strict=False))

        return line
