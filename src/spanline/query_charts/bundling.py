"""Makes data/world.json, which comes along, anew.

    python -m spanline.query_charts.bundling countries-110m.json countries-50m.json codes.json

The first two are of the npm package world-atlas, the third of i18n-iso-countries: data/LICENSE.md tells of them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from spanline.enrich.names import NAMES

Point: TypeAlias = tuple[float, float]
Ring: TypeAlias = list[Point]

_SMALL = 15_000
"""km²: less is not seen on a map of 760 pixels."""
_UNSEEN = 0.05
"""Square degrees: a quarter of a pixel."""
_FEWEST = 4
"""Points of an arc that is left as it is: a triangle that is closed."""
_RADIUS = 6371.0
_PARTS = {
    "BQ": (-68.26, 12.18), "CC": (96.87, -12.16), "CX": (105.63, -10.49), "GF": (-53.1, 3.9), "GI": (-5.35, 36.14),
    "GP": (-61.55, 16.25), "MQ": (-61.02, 14.64), "RE": (55.54, -21.13), "SJ": (16.0, 78.5), "TK": (-171.85, -9.2),
    "TV": (179.2, -8.52), "YT": (45.16, -12.82),
}  # fmt: skip
"""Longitude and latitude of what has a code of its own, and is part of another country in Natural Earth or missing."""


def world(coarse: dict[str, Any], fine: dict[str, Any], codes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The countries of `coarse` as TopoJSON with their ISO 3166-1 alpha-2 codes, without Antarctica.

    `dots` are longitude and latitude of those that it does not have, or has too small to be seen, taken from `fine`.
    """
    letters = {number: two for two, _, number, *_ in codes}
    shapes = [one for one in _coded(coarse, letters) if one.get("id") != "AQ"]
    rings: dict[str, list[Ring]] = {}
    for shape in _coded(fine, letters):
        if "id" in shape:
            rings.setdefault(shape["id"], []).extend(ring_of(fine, polygon[0]) for polygon in polygons_of(shape))
    small = {code: parts for code, parts in rings.items() if parts and sum(map(area_of, parts)) < _SMALL}
    dots = _PARTS | {code: _middle(max(parts, key=area_of)) for code, parts in small.items()}
    used = sorted({number if number >= 0 else ~number for shape in shapes for number in _numbers(shape["arcs"])})
    place = {old: new for new, old in enumerate(used)}
    for shape in shapes:
        shape["arcs"] = _renumbered(shape["arcs"], place)
    return {
        "type": "Topology",
        "transform": coarse["transform"],
        "objects": {"countries": {"type": "GeometryCollection", "geometries": shapes}},
        "arcs": [_simplified(coarse["arcs"][number], coarse["transform"]["scale"]) for number in used],
        "dots": dict(sorted(dots.items())),
    }


def _coded(topology: dict[str, Any], letters: dict[str, str]) -> list[dict[str, Any]]:
    """The countries, with a code where they have one."""
    made = []
    for one in topology["objects"]["countries"]["geometries"]:
        code = "XK" if one["properties"]["name"] == "Kosovo" else letters.get(one.get("id", ""))
        shape = {"type": one["type"], "arcs": one.get("arcs", [])}
        made.append({**shape, "id": code} if code in NAMES else shape)
    return made


def polygons_of(shape: dict[str, Any]) -> list[Any]:
    arcs: list[Any] = shape["arcs"]
    return [arcs] if shape["type"] == "Polygon" else arcs


def ring_of(topology: dict[str, Any], numbers: Sequence[int]) -> Ring:
    """Longitude and latitude of the points of a ring."""
    (wide, high), (left, low) = topology["transform"]["scale"], topology["transform"]["translate"]
    made: Ring = []
    for number in numbers:
        x = y = 0
        points = []
        for dx, dy in topology["arcs"][number if number >= 0 else ~number]:
            x, y = x + dx, y + dy
            points.append((x * wide + left, y * high + low))
        made += points if number >= 0 else reversed(points)
    return made


def area_of(ring: Ring) -> float:
    """km² on a sphere."""
    return abs(sum(_strips(ring))) * _RADIUS**2


def _strips(ring: Ring) -> Iterator[float]:
    for (x0, y0), (x1, y1) in pairwise(ring):
        yield math.radians(x1 - x0) * (math.sin(math.radians(y0)) + math.sin(math.radians(y1))) / 2


def _middle(ring: Ring) -> tuple[float, float]:
    """Between its outermost points."""
    longitudes, latitudes = zip(*ring, strict=True)
    return round((min(longitudes) + max(longitudes)) / 2, 2), round((min(latitudes) + max(latitudes)) / 2, 2)


def _simplified(arc: list[list[int]], scale: Sequence[float]) -> list[list[int]]:
    """An arc without the points that make no difference, of which each is told by its distance from the one before.

    The method is Visvalingam's: the point whose triangle with its neighbours is smallest goes first. Its ends stay, as
    other arcs begin there, and of an island a triangle.
    """
    points = list(zip(*(accumulate(one) for one in zip(*arc, strict=True)), strict=True))
    while len(points) > _FEWEST:
        areas = [_triangle(*three) for three in zip(points, points[1:], points[2:], strict=False)]
        least = min(areas)
        if least * scale[0] * scale[1] >= _UNSEEN:
            break
        del points[areas.index(least) + 1]
    before = [(0, 0), *points]
    return [[x1 - x0, y1 - y0] for (x0, y0), (x1, y1) in pairwise(before)]


def _triangle(a: Point, b: Point, c: Point) -> float:
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2


def _numbers(arcs: Any) -> Iterator[int]:
    if isinstance(arcs, int):
        yield arcs
    else:
        for one in arcs:
            yield from _numbers(one)


def _renumbered(arcs: Any, place: dict[int, int]) -> Any:
    if isinstance(arcs, int):
        return place[arcs] if arcs >= 0 else ~place[~arcs]
    return [_renumbered(one, place) for one in arcs]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m spanline.query_charts.bundling countries-110m.json countries-50m.json codes.json")
    made = world(*(json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:]))
    text = json.dumps(made, separators=(",", ":")) + "\n"
    Path(__file__).with_name("data").joinpath("world.json").write_text(text, encoding="utf-8")
    print(f"world.json: {len(text):,} bytes")
