"""The views of `spanline stats`: which there are, and what each has in common with the others."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from spanline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from spanline.pipeline import Stage

VIEWS: Mapping[str, str] = {
    "hierarchy": "spanline.cli.stats_view_hierarchy:HierarchyView",
    "conversations": "spanline.cli.stats_view_conversations:ConversationsView",
    "endpoints": "spanline.cli.stats_view_conversations:EndpointsView",
    "destinations": "spanline.cli.stats_view_trees:DestinationsView",
    "hosts": "spanline.cli.stats_view_trees:HostsView",
    "io": "spanline.cli.stats_view_io:IoView",
    "verdicts": "spanline.cli.stats_view_verdicts:VerdictsView",
}
"""Each view's module and class, which are imported when it is needed; `all` shows them in this order."""

NOT_OF_TSHARK = frozenset(("verdicts",))
"""Views that tshark does not have."""

_Made = TypeVar("_Made", bound="Stage")


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """What the user asked of the views.

    types      kinds of addresses for conversations and endpoints, in tshark's names; empty: those that there are
    interval   of io, in ns
    limit      rows of a picture; None: all
    memory     bytes that all stages together may take for what grows with the capture
    policy     path of a file that tells which protocols are unwanted; None: there is none
    as_tshark  whether tshark's text is wanted
    """

    types: tuple[str, ...]
    interval: int
    limit: int | None
    memory: int
    policy: str | None
    as_tshark: bool


class View:
    """One view: the stage that counts, and how its result is shown.

    The result is asked for when the capture was read, and may be asked for several times.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """What stands above its table when there are several."""

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        """Takes its stage from `stages`. Raises UsageError when the options make no sense for it."""
        raise NotImplementedError

    def table(self) -> pa.Table:
        """What is written as JSON, CSV and Parquet; addresses may be text already."""
        raise NotImplementedError

    def draw(self, target: Console) -> None:
        """The picture for a terminal."""
        raise NotImplementedError

    def as_tshark(self) -> Iterator[str]:
        """tshark's own lines."""
        raise NotImplementedError

    def remarks(self) -> Iterable[str]:
        """Lines for stderr: what the numbers leave out."""
        return ()

    @property
    def objection(self) -> bool:
        """Whether there is something that the user's policy calls unwanted."""
        return False


class Stages:
    """The stages of all views that are shown together: views that need the same one share it.

    `requires`: what they need of what the annotate transform finds out, in the words of its require().
    """

    def __init__(self) -> None:
        self.requires: set[str] = set()
        self._by_kind: dict[type, Stage] = {}

    def take(self, kind: type[_Made], make: Callable[[], _Made]) -> _Made:
        """The stage of this kind, made when it is not there yet."""
        if kind not in self._by_kind:
            self._by_kind[kind] = make()
        return cast(_Made, self._by_kind[kind])

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._by_kind.values())


def views_named(text: str) -> tuple[str, ...]:
    """The views of "io,verdicts", each once, or of "all". Raises UsageError for what is none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in VIEWS and name != "all":
            raise UsageError(f"there is no view {name!r}", hint=_suggestion(name, VIEWS))
    return tuple(VIEWS) if "all" in names else names


def _suggestion(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"views are {', '.join(names)}, and all"


def make_views(names: Sequence[str], options: ViewOptions) -> tuple[list[View], Stages]:
    """The views, and the stages that are to see the capture. Raises UsageError for what cannot be shown as asked."""
    if options.as_tshark:
        if len(names) == len(VIEWS):
            names = [name for name in names if name not in NOT_OF_TSHARK]
        for name in names:
            if name in NOT_OF_TSHARK:
                raise UsageError(f"tshark has no view of {name}", hint="leave out --as-tshark, or name other views")
    stages = Stages()
    views: list[View] = []
    for name in names:
        module, _, kind = VIEWS[name].partition(":")
        views.append(getattr(importlib.import_module(module), kind)(options, stages))
    return views, stages
