"""Findings on a terminal: a line each where that fits, else two or three; then what to do about them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spanline.arrow import address_text, plain
from spanline.cli.flow_view import endpoint
from spanline.cli.screen import Line, Target, aligned, column_widths, draw_lines
from spanline.cli.text import UNKNOWN, date, plural, printable, time_of_day
from spanline.plaintext.model import Kind, Severity

if TYPE_CHECKING:
    from spanline.stages.plaintext import Plaintext

_ORDER = tuple(Severity)
_Urgency = tuple[int, str, str]
"""Place of the severity in _ORDER, protocol, remedy."""

_STYLES = {Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: ""}
_MOST_FRAMES = 3
# Columns of findings that are shown as they come.
_WIDE = (12, 8, 10, 15, 21, 8, 16, 24, 8, 12, 3)
_NARROW = (8, 10, 12)
_MOST_LETTERS = 200
"""Of a text from a packet: what is longer is cut, and whole in other formats."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A finding as texts."""

    time: str
    protocol: str
    client: str
    server: str
    vni: str
    account: str
    secret: str
    outcome: str
    severity: Severity
    frames: str
    about: str
    """How the secret was told, or what a rule says, and what else is worth a few words."""


def account(stage: Plaintext) -> str:
    """What the findings do not say, in one line."""
    return (
        f"followed {plural(stage.followed, 'conversation')}; {stage.cut:,} cut at --claimed-bytes, "
        f"{stage.evicted:,} given up to stay within --memory"
    )


def print_findings(findings: pa.Table, total: int, target: Target) -> None:
    """The table (schema.FINDING), and how many of `total` it leaves out."""
    if not findings.num_rows:
        draw_lines(target, [Line("nothing in the clear was found")])
        return
    rows = plain(findings).to_pylist()
    lines = [Line(_title(rows), "dim"), *finding_lines(rows, target.width)]
    lines += [Line(""), *_remedies(_urgencies(rows), target.width)]
    if total > len(rows):
        lines.append(Line(f"{len(rows):,} of {total:,} findings; -n 0 shows all, -o FILE writes them", "dim"))
    draw_lines(target, lines)


def _title(rows: Sequence[Mapping[str, Any]]) -> str:
    days = sorted({date(row["time"]) for row in (rows[0], rows[-1])})
    foreign = " *: on a port where nobody expects it." if any(row["foreign_port"] for row in rows) else ""
    return f"{' to '.join(days)} UTC.{foreign}"


def finding_lines(findings: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Rows of schema.FINDING, times in ns, for a terminal of `width` columns."""
    one_day = date(findings[0]["time"]) == date(findings[-1]["time"])
    rows = [_row(finding, one_day) for finding in findings]
    return _wide(rows, width) or _stacked(rows, width)


class ArrivingFindings:
    """Findings as they come, each shown at once: columns are as wide as what is usual in them, and what is longer moves
    the rest of its line. Every day has its line.

    limit  how many are shown; None for all
    """

    def __init__(self, target: Target, limit: int | None) -> None:
        self._target = target
        self._limit = limit
        self._day = ""
        self._total = self._shown = 0
        self._is_wide = target.width >= sum(_WIDE) + 2 * (len(_WIDE) - 1)
        self._urgencies: Counter[_Urgency] = Counter()

    def show(self, findings: pa.Table) -> None:
        """Some more (schema.FINDING)."""
        self._total += findings.num_rows
        left = None if self._limit is None else self._limit - self._shown
        rows = plain(findings.slice(0, left)).to_pylist()
        self._urgencies += _urgencies(rows)
        for row in rows:
            self._show(row)
        self._target.file.flush()

    def _show(self, finding: Mapping[str, Any]) -> None:
        if self._is_wide:
            headings, *lines = _wide([_row(finding, True)], self._target.width, _WIDE)
            above = [headings]
        else:
            first, second, *lines = _stacked([_row(finding, True, 1)], self._target.width, _NARROW)
            above = [first, second]
        if self._day != date(finding["time"]):
            self._day = date(finding["time"])
            lines = [Line(f"{self._day} UTC. *: on a port where nobody expects it.", "dim"), *above, *lines]
        draw_lines(self._target, lines)
        self._shown += 1

    def conclude(self) -> None:
        """What to do about what was shown."""
        if not self._total:
            draw_lines(self._target, [Line("nothing in the clear was found")])
            return
        lines = [Line(""), *_remedies(self._urgencies, self._target.width)]
        if self._total > self._shown:
            lines.append(Line(f"{self._shown:,} of {self._total:,} findings; -n 0 shows all", "dim"))
        draw_lines(self._target, lines)


def _row(finding: Mapping[str, Any], one_day: bool, most_frames: int = _MOST_FRAMES) -> _Row:
    time = time_of_day(finding["time"], 3 if one_day else 0)
    frames = [str(frame) for frame in finding["frames"]]
    more = f" +{len(frames) - most_frames}" if len(frames) > most_frames else ""
    about = finding["scheme"], finding["detail"], "inferred" if finding["inferred"] else None
    return _Row(
        time if one_day else f"{date(finding['time'])[5:]} {time}",
        (finding["protocol"] or finding["transport"]) + ("*" if finding["foreign_port"] else ""),
        address_text(finding["client"]),
        "".join(endpoint(address_text(finding["server"]), str(finding["server_port"]))),
        "" if finding["vni"] is None else str(finding["vni"]),
        _cut(finding["account"]),
        _cut(finding["secret"]),
        UNKNOWN if finding["kind"] in (Kind.SERVICE, Kind.RULE) else finding["outcome"],
        Severity(finding["severity"]),
        ", ".join(frames[:most_frames]) + more,
        _cut("; ".join(filter(None, about))),
    )


def _cut(text: str | None) -> str:
    shown = printable(text or "")
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[:_MOST_LETTERS]}…"


def _wide(rows: Sequence[_Row], width: int, fixed: Sequence[int] = ()) -> list[Line]:
    """A line each; none where that does not fit, unless widths of columns are `fixed`."""
    vni = bool(fixed) or any(row.vni for row in rows)
    headings = ["Time", "Severity", "Protocol", "Client", "Server", *(["VNI"] if vni else []), "Account", "Secret"]
    headings += ["Outcome", "Frames", "How"]
    texts = [headings]
    for row in rows:
        ends = [row.client, row.server, *([row.vni or UNKNOWN] if vni else [])]
        who = [row.account or UNKNOWN, row.secret or UNKNOWN]
        texts.append([row.time, row.severity, row.protocol, *ends, *who, row.outcome, row.frames, row.about])
    widths = fixed or column_widths(texts)
    if not fixed and sum(widths) + 2 * (len(widths) - 1) > width:
        return []
    heading, *lines = (aligned(line, widths, [False] * len(widths), 2) for line in texts)
    styled = [Line(line, _STYLES[row.severity]) for line, row in zip(lines, rows, strict=True)]
    return [Line(heading, "bold"), *styled]


def _stacked(rows: Sequence[_Row], width: int, fixed: Sequence[int] = ()) -> list[Line]:
    """Two or more lines each: who talks to whom, then account and secret, and how they were told."""
    vni = bool(fixed) or any(row.vni for row in rows)
    first = ["Time", "Protocol", "Client → server", "Outcome"]
    second = ["Severity", "VNI" if vni else "", "Account: secret; how it was told", "Frames"]
    marks = [[row.time.partition(".")[0], row.protocol, row.outcome] for row in rows]
    marks += [[row.severity, row.vni, row.frames] for row in rows]
    narrow = fixed or column_widths([*marks, [first[0], first[1], first[3]], [second[0], second[1], second[3]]])
    room = max(width - sum(narrow) - 6, 20)
    widths = [narrow[0], narrow[1], room, narrow[2]]

    def line(texts: Sequence[str]) -> str:
        return aligned(texts, widths, [False] * 4, 2)

    lines = [Line(line(first), "bold"), Line(line(second), "bold")]
    for row, (time, *_) in zip(rows, marks, strict=False):
        both = f"{row.client} → {row.server}"
        ends = [both] if len(both) <= room else [*_wrapped(row.client, room), *_wrapped(f"→ {row.server}", room)]
        who = ": ".join(filter(None, (row.account, row.secret)))
        about = [*_wrapped(who, room), *_wrapped(row.about, room)]
        lines.append(Line(line([time, row.protocol, ends[0], row.outcome]), _STYLES[row.severity]))
        lines += [Line(line(["", "", more, ""]), _STYLES[row.severity]) for more in ends[1:]]
        lines.append(Line(line([row.severity, row.vni, about[0] if about else "", row.frames]), "dim"))
        lines += [Line(line(["", "", more, ""]), "dim") for more in about[1:]]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _urgencies(findings: Iterable[Mapping[str, Any]]) -> Counter[_Urgency]:
    """How many findings each remedy is for."""
    return Counter(
        (_ORDER.index(Severity(one["severity"])), one["protocol"] or one["transport"], one["remedy"])
        for one in findings
        if one["remedy"]
    )


def _remedies(counts: Counter[_Urgency], width: int) -> list[Line]:
    """What to do, the worst first, and of how many findings."""
    lines = [Line("What to do", "bold")] if counts else []
    for (severity, protocol, remedy), count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        text = f"{count:,} × {_ORDER[severity]}, {protocol}: {_cut(remedy)}"
        style = _STYLES[_ORDER[severity]]
        lines += [Line(line, style) for line in textwrap.wrap(text, min(width, 100), subsequent_indent="    ")]
    return lines
