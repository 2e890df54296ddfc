"""Numbers of countries on a map of the world."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from importlib.resources import files
from typing import Any

import pyarrow as pa

from spanline.cli.query_view import NOT_SET, heading_of
from spanline.cli.text import printable
from spanline.enrich.names import NAMES
from spanline.query_charts.axes import numbers
from spanline.query_charts.drawing import Drawing, data_of, text_of_number

_WIDTH, _HEIGHT = 760, 350
_LAND, _BORDER = "#e3e3e3", "#ffffff"
_MOST_TOLD = 5
_MOST_TICKS = 5
_NO_BREAK = "\u00a0"


def world_map(values: Mapping[str | None, float], field: pa.Field, zone: tzinfo, has_tooltips: bool) -> Drawing | None:
    """A map in Equal Earth's projection, in which areas can be compared.

    values  of countries by their names (enrich/names.py); None is what is in no country

    Colours are of a logarithmic scale. A country too small to be seen is a dot. What is not on the map is told. None
    when nothing is on it.
    """
    import altair as alt

    show = text_of_number(field, zone)
    codes = {name: code for code, name in NAMES.items()}
    told = {codes.get(name or "", ""): value for name, value in values.items() if value > 0}
    world = json.loads(files("spanline.query_charts").joinpath("data/world.json").read_text(encoding="utf-8"))
    dots: dict[str, list[float]] = world.pop("dots")
    shapes = {shape["id"]: shape for shape in world["objects"]["countries"]["geometries"] if "id" in shape}
    rows = []
    for code in told.keys() & (shapes.keys() | dots.keys()):
        said = {"v": told[code], "g": NAMES[code], "s": show(told[code])}
        if code in dots:
            rows.append({"x": dots[code][0], "y": dots[code][1], **said})
        else:
            shapes[code]["properties"] = said
    shaded = [told[code] for code in told.keys() & (shapes.keys() | dots.keys())]
    if not shaded:
        return None
    topology = alt.Data(values=world, format=alt.TopoDataFormat(type="topojson", feature="countries"))  # type: ignore[no-untyped-call]
    colours = _colours(shaded, field)
    # Apart, as a scale would give a colour to what has no number, too.
    land, shape = (
        alt.Chart().transform_filter(test).mark_geoshape(stroke=_BORDER, strokeWidth=0.4, aria=False)
        for test in ("!isValid(datum.properties.v)", "isValid(datum.properties.v)")
    )
    land = land.encode(color=alt.value(_LAND))
    shape = shape.encode(color=alt.Color("properties.v:Q", **colours))
    dot = (
        alt.Chart(data_of(rows))
        .mark_circle(size=36, opacity=1, stroke="#555555", strokeWidth=0.6, aria=False)
        .encode(longitude="x:Q", latitude="y:Q", color=alt.Color("v:Q", **colours))
    )
    if has_tooltips:
        heading = heading_of(field.name)
        shape = shape.encode(
            tooltip=[alt.Tooltip("properties.g:N", title="country"), alt.Tooltip("properties.s:N", title=heading)]
        )
        dot = dot.encode(tooltip=[alt.Tooltip("g:N", title="country"), alt.Tooltip("s:N", title=heading)])
    chart = (
        alt.layer(land, shape, dot, data=topology).project(type="equalEarth").properties(width=_WIDTH, height=_HEIGHT)
    )
    missing = [
        f"{NOT_SET if name is None else printable(name)} {show(value)}".replace(" ", _NO_BREAK)
        for name, value in values.items()
        if value > 0 and codes.get(name or "") not in shapes.keys() | dots.keys()
    ]
    more = [f"{len(missing) - _MOST_TOLD} more"] * (len(missing) > _MOST_TOLD)
    return Drawing(chart, [f"Not on the map: {', '.join([*missing[:_MOST_TOLD], *more])}."] * bool(missing))


def _colours(values: Sequence[float], field: pa.Field) -> dict[str, Any]:
    """Scale and legend."""
    import altair as alt

    least, most = min(values), max(values)
    if least == most:
        least = most / 10
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    rows = [[digit * 10.0**power for power in powers for digit in (1, 2, 5)]]
    rows += [[10.0**power for power in powers if power % step == 0] for step in range(1, len(powers) + 1)]
    inside = ([tick for tick in row if least <= tick <= most] for row in rows)
    ticks = next((row for row in inside if len(row) <= _MOST_TICKS), [])
    legend = alt.Legend(
        title=heading_of(field.name),
        labelExpr=numbers(field),
        values=ticks if len(ticks) > 1 else [least, most],
        orient="bottom",
        direction="horizontal",
        gradientLength=260,
        titleOrient="left",
        titlePadding=10,
    )
    # From light to dark, and never as light as land, which a page that is dark turns into the darkest there is.
    scheme = alt.SchemeParams(name="yellowgreenblue", extent=[0.25, 1])
    return {"scale": alt.Scale(type="log", domain=[least, most], scheme=scheme), "legend": legend}
