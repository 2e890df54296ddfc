"""`spanline report`: pages say what the queries answer, and stand alone.

Oracle: what the queries themselves answer, tests/history_truth.py where that is counts, and Python's parser of HTML.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import history
import pytest
import yaml
from history_places import inventory

import spanline
from spanline.cli.query_view import shown_column
from spanline.cli.text import size
from spanline.enrich import Enrichment, read_inventory
from spanline.query.reading import parse
from spanline.query.times import zone_of
from spanline.reports.page import ROWS
from spanline.reports.reading import ready, report_of
from tests.commands import PROGRAM, run
from tests.history_truth import answer
from tests.html_page import text_of, tree_of
from tests.made_once import FLOWS, made_once, two_weeks

SEED = (Path(__file__).parent / "queries/seed.txt").read_text(encoding="utf-8").splitlines()
ZONE = "Europe/Zurich"
# Elements with which a page would load or run something.
ACTIVE = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "foreignobject", "video"}


class Made(NamedTuple):
    store: Path
    history: history.History

    @property
    def options(self) -> tuple[str | Path, ...]:
        return "--store", self.store, "--inventory", self.store.with_suffix(".yaml"), "--timezone", ZONE, "-q"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(two_weeks(tmp_path_factory), history.history(FLOWS))


@pytest.fixture(scope="module", params=list(ready()))
def page(request: pytest.FixtureRequest, made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The name of a report, and its page."""

    def make(folder: Path) -> None:
        result = run("report", request.param, *made.options, "-o", folder / "page.html")
        assert not result.output

    folder = made_once(tmp_path_factory, f"report-{request.param}", make)
    return request.param, (folder / "page.html").read_text(encoding="utf-8")


def sections(page: str) -> list[Element]:
    return tree_of(page).findall("./body/main/section")


def cells(section: Element) -> list[list[str]]:
    """The rows of its table; of series what stands behind the line."""
    return [
        ["".join(cell.itertext()).removeprefix(cell.findtext("span") or "") for cell in row]
        for row in section.findall(".//tbody/tr")
    ]


def written(folder: Path, *queries: str, title: str = "T") -> Path:
    path = folder / "mine.yaml"
    asked = [{"title": f"Question {n}", "query": query} for n, query in enumerate(queries, 1)]
    path.write_text(yaml.safe_dump({"title": title, "queries": asked}, sort_keys=False))
    return path


def test_a_page_says_what_the_queries_answer(page: tuple[str, str], made: Made) -> None:
    """Each table in the first rows and the last, also in its headings; and the time that it is about."""
    name, text = page
    enrichment = Enrichment(read_inventory([str(made.store.with_suffix(".yaml"))]))
    questions = report_of(name).questions
    found = sections(text)
    assert len(found) == len(questions)
    for section, question in zip(found, questions, strict=True):
        query = parse(question.query)
        table = spanline.query(query, made.store, enrichment=enrichment)
        groups = {one.name for one in query.group}
        columns = [shown_column(table, n, groups, zone_of(ZONE)) for n in range(table.num_columns)]
        rows = list(map(list, zip(*(column.texts for column in columns), strict=True)))
        if len(rows) > ROWS:
            rest = [rows[-1]] if groups and rows[-1][0] == "(not set)" else []
            rows = [*rows[:ROWS], [f"… and {len(rows) - ROWS - len(rest):,} more"], *rest]
        assert cells(section) == rows
        assert [one.text for one in section.findall(".//thead/tr/th")] == [column.heading for column in columns]
        assert question.title in text_of(section.find("./div/h2"))
        assert text_of(section.find("./div/pre")) == question.query
        assert re.search(r"about .*\d\d:\d\d:\d\d CET", text_of(section.find("./div")))


@pytest.mark.parametrize("number", [4, 5, 9, 10, 14])
def test_counts_are_true(made: Made, tmp_path: Path, number: int) -> None:
    target = tmp_path / "out.html"
    run("report", written(tmp_path, SEED[number - 1]), *made.options, "-o", target)
    (section,) = sections(target.read_text())
    rows = [[name or "(not set)", f"{count:,}"] for name, count in answer(number, made.history, {}).rows]
    beyond = len(rows) - 1 - ROWS
    if beyond > 0:
        rows[ROWS:-1] = [[f"… and {beyond:,} more"]]
    assert cells(section) == rows


def test_a_page_loads_and_runs_nothing(page: tuple[str, str]) -> None:
    _, text = page
    root = tree_of(text)
    assert not [one.tag for one in root.iter() if one.tag in ACTIVE]
    attributes = [(name, value) for one in root.iter() for name, value in one.attrib.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert {value[0] for name, value in attributes if name in ("href", "src", "xlink:href")} == {"#"}
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    policy = root.find("./head/meta[@http-equiv]")
    assert policy is not None
    assert policy.get("content", "").startswith("default-src 'none'")


def test_names_in_a_page_are_there_once(page: tuple[str, str]) -> None:
    """Also those that charts give to their parts."""
    root = tree_of(page[1])
    names = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(set(names)) == len(names)
    used = set(re.findall(r"(?:url\(|href=\")#([\w-]+)", page[1]))
    assert used <= set(names)
    contents = [one.get("href") for one in root.findall("./body/nav//a")]
    assert contents == [f"#q{n}" for n in range(1, len(sections(page[1])) + 1)]


def test_what_can_be_drawn_is(page: tuple[str, str]) -> None:
    """Groups and series; flows one by one cannot."""
    name, text = page
    for section, question in zip(sections(text), report_of(name).questions, strict=True):
        if "group by" in question.query or "series" in question.query:
            assert section.find("./figure/svg") is not None, question.title


def test_the_contents_tell_what_stands_first(made: Made, tmp_path: Path) -> None:
    queries = SEED[4 - 1], SEED[12 - 1], SEED[16 - 1], SEED[15 - 1], "flows where port = 1", SEED[1], SEED[2]
    target = tmp_path / "out.html"
    run("report", written(tmp_path, *queries), *made.options, "-o", target)
    told = [one.text for one in tree_of(target.read_text()).iter("bdi")]
    country, count = answer(4, made.history, {}).rows[0]
    port, *_, sessions = answer(12, made.history, {}).rows[0]
    flows = len(answer(16, made.history, {}).rows)
    most = size(max(answer(15, made.history, {}).rows[0][2]), "b/s")
    busiest, switch, interface = answer(2, made.history, history.counters()).rows[0]
    rate, machine, *_ = answer(3, made.history, {}).rows[0]
    assert told == [
        f"{country}: {count:,} flows",
        f"{port}: session count {sessions}",
        f"{flows:,} flows",
        f"bytes rate at most {most}",
        "nothing found",
        f"{switch}, {interface}: network rate {size(busiest, 'b/s')}",
        f"{machine}: network rate {size(rate, 'b/s')}",
    ]


def test_names_of_strangers_stay_names(made: Made, tmp_path: Path) -> None:
    """In the table, in the chart, in titles, and in what went wrong."""
    names = '<script>alert("1")</script>', '"><img src=x onerror=alert(1)>', "a </text></svg>"
    places = inventory()
    for subnet in places["subnets"]:
        if subnet["name"] in ("web", "data", "dmz"):
            subnet["name"] = names[("web", "data", "dmz").index(subnet["name"])]
    (tmp_path / "places.yaml").write_text(yaml.safe_dump(places, allow_unicode=True))
    asked = written(
        tmp_path,
        "flows group by Destination Subnet",
        "series(sum(packets)) of flows group by Source Subnet",
        "flows where Source Subnet = '</code><script>alert(2)</script>'",
        "flows group by </pre><script>alert(3)</script>",
        title="</title><script>alert(4)</script>\u202e",
    )
    target = tmp_path / "out.html"
    options = "--store", made.store, "--inventory", tmp_path / "places.yaml", "-q", "-o", target
    run("report", asked, *options, code=1)
    root = tree_of(target.read_text())
    assert not [one.tag for one in root.iter() if one.tag in ACTIVE]
    assert root.findtext("./head/title") == r"</title><script>alert(4)</script>\u202e"
    for section in root.findall("./body/main/section")[:2]:
        for name in (names[0], names[1], r"a </text></svg>"):
            assert name in [row[0] for row in cells(section)]
            assert name in [one.text for one in section.findall("./figure/svg//text")], name


def test_a_query_that_fails_stands_in_its_place(made: Made, tmp_path: Path) -> None:
    asked = written(tmp_path, "count of flows", "flows group by Sorce Country", "sum(packets) of flows")
    target = tmp_path / "out.html"
    result = run("report", asked, *made.options, "-o", target, code=1)
    first, failed, last = sections(target.read_text())
    assert len(cells(first)) == len(cells(last)) == 1
    assert failed.find(".//table") is None
    assert "did you mean Source Country" in text_of(failed.find("./div[@class='bad']"))
    text, mark = (failed.findtext("./div[@class='bad']/pre") or "").splitlines()
    assert text[mark.index("^") :].startswith("Sorce")
    (told,) = result.stderr.splitlines()
    assert f"{asked}, line 6: " in told
    assert "Source Country" in told


def test_damage_is_told_and_the_rest_answers(made: Made, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(made.store, damaged)
    segment = sorted(damaged.glob("*/*/*.parquet"))[-1]
    octets = bytearray(segment.read_bytes())
    octets[len(octets) // 2] ^= 1
    segment.write_bytes(octets)
    target = tmp_path / "out.html"
    asked = written(tmp_path, "count of flows", "sum(packets) of flows")
    result = run("report", asked, "--store", damaged, "-q", "-o", target, code=2)
    assert segment.name in result.stderr
    root = tree_of(target.read_text())
    assert segment.name in text_of(root.find("./body/header/div[@class='bad']"))
    assert [len(cells(section)) for section in root.findall("./body/main/section")] == [1, 1]


def test_captures_are_asked(capture: Path, cut: Path, tmp_path: Path) -> None:
    """A handshake of three segments of 54 bytes to port 443, and a datagram of 50 bytes to port 53."""
    asked = written(tmp_path, "total traffic, packets of flows group by port order by packets")
    target = tmp_path / "out.html"
    run("report", asked, "--on", capture, "-q", "-o", target)
    (section,) = sections(target.read_text())
    assert cells(section) == [["443", "162 B", "3"], ["53", "50 B", "1"]]
    told = tree_of(target.read_text()).findtext("./body/header/dl/dd") or ""
    assert told.startswith(f"{capture}: 2 flow records, seen 20")
    run("report", asked, "--on", cut, "-q", "-o", target, code=2)
    assert "cut.pcap" in text_of(tree_of(target.read_text()).find("./body/header/div[@class='bad']"))


def test_from_and_to_are_of_queries_that_say_nothing_of_time(made: Made, tmp_path: Path) -> None:
    last = str(made.history.last_seen.max().astype("M8[ns]"))[:10]
    asked = written(tmp_path, "count of flows", "count of flows in last 2 days")
    target = tmp_path / "out.html"
    run("report", asked, *made.options, "--timezone", "UTC", "--from", last, "--to", last, "-o", target)
    told = [text_of(section.find("./div/p")) for section in sections(target.read_text())]
    assert told[0] == f"about {last} 00:00:00 to {last} 23:59:59 UTC"
    assert told[1].endswith("until the newest record")


@pytest.mark.usefixtures("apart")
def test_kept_queries_and_hours_are_those_of_query(made: Made, tmp_path: Path) -> None:
    """Oracle: `spanline query` with the same words."""
    kept = "sum(bytes) of flows where port in ($port) group by Source VM order by sum(bytes)"
    run("query", "--save", "night", kept, "-q")
    run("query", "--save", "ports", "sessions of flows group by port in last 7 days", "-q")
    asked = "@night port=22 port=873", "@Night 'port=22'", "@ports", "count of flows in last 2 days"
    target = tmp_path / "out.html"
    options = *made.options[:-1], "--at-hours", "21:00-06:30"
    run("report", written(tmp_path, *asked), *options, "-q", "-o", target)
    found = sections(target.read_text())
    assert len(found) == len(asked)
    for section, text in zip(found, asked, strict=True):
        answered = run("query", text, *options, "--limit", "0")
        rows = [re.split(" {2,}", line.strip()) for line in answered.stdout.splitlines()[1:]]
        assert rows
        assert cells(section)[:ROWS] == rows[:ROWS]
        (window,) = [
            line.removeprefix("spanline: ") for line in answered.stderr.splitlines() if " of each day " in line
        ]
        assert text_of(section.find("./div/p")) == window
    assert text_of(found[0].find("./div/pre")).endswith("port in ('22', '873') group by Source VM order by sum(bytes)")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("@nigth port=22", "no query is called 'nigth'; did you mean night?"),
        ("@night", "@night needs a value of port; write @night port=…"),
        ("@night prt=22", "@night needs a value of port"),
        ("@night port=22 22", "'22' is no value of @night; write port=22"),
        ("@night port='22", "a quote has no end"),
        ("@night port=many", "'many' is not a number"),
    ],
)
def test_a_kept_query_that_cannot_be_asked_is_told(query: str, told: str, capture: Path, tmp_path: Path) -> None:
    """In its place in the page, and with file and line, in the words of `spanline query`."""
    run("query", "--save", "night", "flows where port = $port", "-q")
    asked = written(tmp_path, "count of flows", query)
    result = run("report", asked, "--on", capture, "-q", "-o", tmp_path / "out.html", code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spanline: {asked}, line 6: ")
    assert told in line
    assert line.partition("line 6: ")[2] in run("query", query, "--on", capture, "-q", code=2).stderr
    assert told in text_of(sections((tmp_path / "out.html").read_text())[1].find("./div[@class='bad']"))


@pytest.mark.parametrize("place", ["missing/out.html", "folder.html"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(place: str, tmp_path: Path) -> None:
    """There is nothing that could be read."""
    (tmp_path / "folder.html").mkdir()
    target = tmp_path / place
    result = run("report", "security", "--on", tmp_path / "missing.pcap", "-q", "-o", target, code=2)
    (line,) = result.stderr.splitlines()
    assert f"cannot write {target}: " in line


def test_a_page_without_the_extra(made: Made, tmp_path: Path) -> None:
    """All tables, and a line that says what is missing."""
    target = tmp_path / "out.html"
    asked = written(tmp_path, "flows group by Source Subnet")
    blocked = "import sys; sys.modules.update(altair=None, vl_convert=None); from spanline.cli import main; main()"
    command = [sys.executable, "-c", blocked, "report", asked, *made.options, "-o", target]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines() == [
        "spanline: the page lacks charts, which need altair and vl_convert: python -m pip install 'spanline[plot]'"
    ]
    root = tree_of(target.read_text())
    assert "spanline[plot]" in text_of(root.find("./body/header"))
    assert len(cells(root.find("./body/main/section"))) > 3
    assert root.find(".//svg") is None


def test_no_half_page_is_left(made: Made, tmp_path: Path) -> None:
    """Ctrl-C at several moments of a run, over a page that is there."""
    target = tmp_path / "out.html"
    target.write_text("before")
    interrupted = 0
    for delay in (0.4, 0.8, 1.2, 1.6):
        with subprocess.Popen(
            [*PROGRAM, "report", "security", *map(str, made.options), "-o", target], stderr=subprocess.PIPE
        ) as process:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                interrupted += process.wait(20) == 130
        assert [one.name for one in tmp_path.iterdir()] == ["out.html"]
        left = target.read_text()
        assert left == "before" or left.endswith("</html>\n")
    assert interrupted


def test_a_page_goes_to_standard_output(capture: Path, tmp_path: Path) -> None:
    asked = written(tmp_path, "count of flows")
    assert len(sections(run("report", asked, "--on", capture, "-q", "-o", "-").stdout)) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["security", "--store", "STORE"], "the page needs a place: name one with -o report.html"),
        (["security", "--store", "STORE", "-o", "out.pdf"], "out.pdf: a report is a page of HTML"),
        (["security", "-o", "out.html"], "nothing to ask: name --store DIR or --on PATH"),
        (["security", "--store", "missing", "-o", "out.html"], "missing: no store"),
        (["--store", "STORE", "-o", "out.html"], "no report is named; spanline report tells which there are"),
        (["securty", "--store", "STORE", "-o", "out.html"], "did you mean security?"),
        (["security", "--store", "STORE", "-o", "missing/out.html"], "cannot write missing/out.html"),
        (["security", "--store", "STORE", "-o", "out.html", "--from", "never"], "--from: 'never' is no time"),
        (["security", "--store", "STORE", "-o", "out.html", "--at-hours", "21-06"], "--at-hours: '21-06' are no hours"),
        (["security", "--store", "STORE", "-o", "out.html", "--timezone", "Europe/Zurch"], "Europe/Zurich"),
        (["security", "--store", "STORE", "-o", "out.html", "--inventory", "missing.yaml"], "missing.yaml"),
        (["security", "--store", "STORE", "-o", "out.html", "--geoip", "missing.mmdb"], "missing.mmdb"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: list[str], told: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("report", *(str(made.store) if one == "STORE" else one for one in arguments), code=2)
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
