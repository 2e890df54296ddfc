"""Pictures of Tables, as HTML that needs no network, SVG or PNG.

Charts are Vega-Lite's, made by altair and turned into files by vl-convert, which needs no browser. What is drawn has
been counted into intervals before: the size of a picture does not depend on how long the capture was. Charts are not
validated, value by value, each time they are drawn, which would take longer than all the rest.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.output import open_stream
from spanline.stages.ends import end_text
from spanline.stages.round_trips import METRICS, SPREAD

if TYPE_CHECKING:
    import altair as alt

_LIGHT, _MIDDLE, _DARK = "#cfe3f5", "#7fb5e0", "#1b5e9b"
_WIDTH = 760
# The height of a panel where there are at most so many, and where there are more.
_HEIGHTS, _LOW = {1: 360, 3: 180}, 90
# Ticks of a logarithmic axis in ms, where there is room between decades and where there is none.
_DECADES = [10.0**power for power in range(-4, 8)]
_BETWEEN = [step * decade for decade in _DECADES for step in (1, 2, 5)]
# In ms: a logarithmic axis has no zero, and the coarse clock of a mirror has zeros.
_LEAST = 1e-3
# A number of ms with the unit that people would use.
_WITH_UNIT = (
    "datum.value >= 1000 ? format(datum.value / 1000, ',~r') + ' s' : datum.value >= 1 || datum.value == 0 ? "
    "format(datum.value, '~r') + ' ms' : format(datum.value * 1000, '~r') + ' µs'"
)
# A single interval shall not fill the picture.
_LEAST_INTERVALS = 9
_DAY = 86_400_000
_LESS = "\ue000"
"""Stands for < on its way through vl-convert, which writes all escapes out."""


def write_picture(chart: alt.TopLevelMixin, path: str) -> None:
    """Writes HTML, SVG or PNG, as the suffix of `path` says. Raises OutputError when the file cannot be written."""
    import vl_convert

    version = _version()
    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        made = vl_convert.vegalite_to_png(chart.to_json(validate=False), vl_version=version, scale=2)
    elif suffix == ".svg":
        made = svg_of(chart).encode()
    else:
        # Vega's own menu leads to a page on the internet.
        spec = json.dumps({**chart.to_dict(validate=False), "usermeta": {"embedOptions": {"actions": False}}})
        # A name with </script> in it would end the script that it stands in.
        text = vl_convert.vegalite_to_html(spec.replace("<", _LESS), vl_version=version, bundle=True)
        made = text.replace(_LESS, "\\u003c").encode()
    with open_stream(path) as stream:
        stream.write(made)


def svg_of(chart: alt.TopLevelMixin) -> str:
    """The chart as an <svg> element, which can stand in a page; what comes from names is escaped in it."""
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(chart.to_json(validate=False), vl_version=_version())
    return made


def _version() -> str:
    """Of Vega-Lite, as vl-convert names it."""
    import altair as alt

    return alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]


def round_trip_chart(over_time: pa.Table, metric: str) -> alt.FacetChart:
    """The Table of RoundTrips.over_time(), which has rows, as a panel for each server.

    In each interval a light bar goes from the 5th to the 95th percentile, a darker one over the middle half, and a line
    is at the median. All panels have the same axes; the vertical one is logarithmic where values differ tenfold.
    """
    import altair as alt

    panels = _panels(over_time)
    titles = list(dict.fromkeys(panels))
    # All in ms; intervals are whole ones, which a float64 could not divide exactly.
    columns = {name: over_time.column(name).cast(pa.int64()).to_numpy() // 10**6 for name in ("start", "end")}
    columns |= {name: over_time.column(name).cast(pa.int64()).to_numpy() / 1e6 for name in SPREAD}
    height = next((height for most, height in _HEIGHTS.items() if len(titles) <= most), _LOW)
    vertical = _vertical(columns, height)
    bar = alt.Chart().encode(
        x=_horizontal(columns),
        x2="end",
        tooltip=[
            alt.Tooltip("start:T", title="from (UTC)", format="%Y-%m-%d %H:%M:%S.%L"),
            alt.Tooltip("count:Q", title="flows", format=","),
            *(alt.Tooltip(f"{name}:Q", title=f"{name} (ms)", format=",.6~r") for name in SPREAD),
        ],
    )
    layers = [
        bar.mark_rect(color=_LIGHT).encode(y=alt.Y("p5:Q", **vertical), y2="p95:Q"),
        bar.mark_rect(color=_MIDDLE).encode(y=alt.Y("p25:Q", **vertical), y2="p75:Q"),
        bar.mark_rule(color=_DARK, strokeWidth=2).encode(y=alt.Y("p50:Q", **vertical)),
    ]
    stretch, *way = METRICS[metric].split(": ")
    columns["count"] = over_time.column("count").to_numpy()
    chart: alt.FacetChart = (
        alt.layer(*layers)
        .properties(width=_WIDTH, height=height)
        .facet(
            alt.Facet("panel:N", sort=titles, title=None, header=alt.Header(labelAnchor="start", labelFontSize=12)),
            columns=1,
            data=_data(panels, columns),
            title=alt.TitleParams(
                f"TCP round-trip time by server: {stretch}",
                subtitle=[*way, "light: 5 % to 95 %, dark: the middle half, line: median"],
                anchor="start",
                offset=12,
                subtitleColor="#555555",
            ),
            spacing=10,
        )
        .configure(background="white")
        .configure_view(stroke="#d0d0d0")
        .configure_axis(gridColor="#ececec", domainColor="#d0d0d0", tickColor="#d0d0d0")
    )
    return chart


def _panels(over_time: pa.Table) -> list[str]:
    """For each row the title of its panel: the server, and how many flows it had in all."""
    servers = list(zip(*(over_time.column(name).to_pylist() for name in ("server", "port", "vni")), strict=True))
    counts: Counter[tuple[Any, ...]] = Counter()
    for server, count in zip(servers, over_time.column("count").to_pylist(), strict=True):
        counts[server] += count
    return [f"{_name(*server)}: {counts[server]:,} flow{'s' * (counts[server] != 1)}" for server in servers]


def _name(address: bytes | None, port: int, vni: int | None) -> str:
    if address is None:
        return "all other servers"
    return end_text(address, port) + ("" if vni is None else f", VNI {vni}")


def _vertical(columns: dict[str, npt.NDArray[Any]], height: int) -> dict[str, Any]:
    """Scale and axis of the round-trip times; `columns` are changed to what the scale can show."""
    import altair as alt

    least, most = max(columns["p5"].min(), _LEAST), columns["p95"].max()
    if most < 10 * least:
        return {"scale": alt.Scale(zero=True), "axis": alt.Axis(title=None, labelExpr=_WITH_UNIT, tickCount=4)}
    for name in SPREAD:
        columns[name] = np.maximum(columns[name], _LEAST)
    ticks = _BETWEEN if most < 1000 * least and height > _LOW else _DECADES
    scale = alt.Scale(type="log", nice=False, domain=[least / 1.2, most * 1.2])
    return {"scale": scale, "axis": alt.Axis(title=None, labelExpr=_WITH_UNIT, values=ticks)}


def _horizontal(columns: Mapping[str, npt.NDArray[Any]]) -> alt.X:
    """Scale and axis of the time."""
    import altair as alt

    start, end = int(columns["start"].min()), int(columns["end"].max())
    days = [str(np.datetime64(time // _DAY, "D")) for time in (start, end - 1)]
    title = f"start of the flow (UTC), {' to '.join(dict.fromkeys(days))}"
    length = int(columns["end"][0]) - int(columns["start"][0])
    around = max(_LEAST_INTERVALS - (end - start) // length, 0) // 2 * length
    domain = [start - around, end + around]
    if length < 1000:  # of the ticks within a second, Vega's axis of time shows one
        axis = alt.Axis(labelExpr="utcFormat(datum.value, '%H:%M:%S.%L')", tickCount=6)
        return alt.X("start:Q", title=title, axis=axis, scale=alt.Scale(zero=False, nice=False, domain=domain))
    span = end - start
    form = "%b %d" if span > 8 * _DAY else "%b %d %H:%M" if span > 2 * _DAY else "%H:%M:%S"
    axis = alt.Axis(format=form, tickCount=8)
    return alt.X("start:T", title=title, axis=axis, scale=alt.Scale(type="utc", nice=False, domain=domain))


def _data(panels: list[str], columns: Mapping[str, npt.NDArray[Any]]) -> alt.InlineData:
    """The rows as CSV, which takes a third of the room of objects."""
    import altair as alt

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["panel", *columns])
    rows.writerows(zip(panels, *(values.tolist() for values in columns.values()), strict=True))
    return alt.InlineData(text.getvalue(), format=alt.CsvDataFormat(type="csv", parse=dict.fromkeys(columns, "number")))
