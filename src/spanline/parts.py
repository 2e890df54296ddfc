"""What a capture is put together from, as its options ask. Each part is loaded only for those who use it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spanline.errors import UsageError
from spanline.sources.files import Files
from spanline.sources.live import PREFIXES, LiveOptions

if TYPE_CHECKING:
    from spanline.filters import Filter
    from spanline.filters.bpf import Programs
    from spanline.pipeline import Transform
    from spanline.sources.listening import Listening
    from spanline.transforms.bpf import CaptureFilter
    from spanline.transforms.filter import Select


def origin(
    names: Sequence[str],
    live: LiveOptions | None,
    capture_filter: str | None,
    vxlan_ports: Collection[int],
    geneve_ports: Collection[int],
) -> Files | Listening:
    """Raises UsageError when files and live sources are mixed, or files shall be captured."""
    if not any(name.startswith(PREFIXES) for name in names):
        if live is not None:
            raise UsageError(f"{names[0]} is no live source, to which how to capture applies", hint="name live:eth0")
        return Files(names)
    from spanline.sources.listening import Listening  # what captures is not loaded for those who read files
    from spanline.sources.opening import require_live

    require_live(names)
    options = replace(live or LiveOptions(), filter=capture_filter)
    if options.workers > 1:
        from spanline.workers.sharing import Sharing

        return Sharing(names, options, vxlan_ports, geneve_ports)
    return Listening(names, options)


def programs(text: str | None) -> Programs | None:
    """Raises UsageError for a wrong filter."""
    if text is None:
        return None
    from spanline.filters.bpf import Programs  # libpcap is not loaded for those who filter nothing

    return Programs(text)


def capture_filters(
    of_frames: Programs | None, of_inner: Programs | None
) -> tuple[list[CaptureFilter], list[CaptureFilter]]:
    """Before reassembly, and after it."""
    if of_frames is None and of_inner is None:
        return [], []
    from spanline.transforms.bpf import CaptureFilter, InnerFilter

    return [CaptureFilter(of_frames)] if of_frames else [], [InnerFilter(of_inner)] if of_inner else []


def compiled(text: str | Filter | None) -> Filter | None:
    """Raises FilterError, a UsageError."""
    if not isinstance(text, str):
        return text
    from spanline.filters import compile_filter  # the grammar is not loaded for those who filter nothing

    return compile_filter(text)


def annotated(transforms: Sequence[Transform], requires: Collection[str]) -> list[Transform]:
    """`transforms` with an Annotate that finds out what is required: the one that is there, or else one in front."""
    if not requires:
        return list(transforms)
    from spanline.transforms.annotate import Annotate

    there = next((one for one in transforms if isinstance(one, Annotate)), None)
    if there is None:
        there = Annotate(applications=False)
        transforms = [there, *transforms]
    there.require(requires)
    return list(transforms)


def selects(filter: Filter | None) -> list[Select]:
    if filter is None:
        return []
    from spanline.transforms.filter import Select

    return [Select(filter)]
