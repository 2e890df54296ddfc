"""Reports as files: those that come along, and mistakes in those of users.

Oracle: the collection of nineteen queries (tests/queries/seed.txt), and files written by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.errors import UsageError
from spanline.query.cleaning import clean
from spanline.reports.reading import EXAMPLE, Question, read_report, ready, report_of
from tests.commands import run

SEED = (Path(__file__).parent / "queries/seed.txt").read_text(encoding="utf-8").splitlines()
GOOD = "title: T\nqueries:\n  - title: Q\n    query: flows\n"


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_three_come_along() -> None:
    assert list(ready()) == ["security", "sizing", "trouble"]
    for name in ready():
        report = report_of(name)
        assert report.title.lower() == name
        titles = [one.title for one in report.questions]
        assert len(set(titles)) == len(titles) >= 5
        assert all(one.about for one in report.questions)


def test_they_ask_all_of_the_nineteen_as_they_were_given() -> None:
    """But for the HTML around one of them."""
    asked = {one.query for name in ready() for one in report_of(name).questions}
    given = [clean(one) if one.startswith("<") else one for one in SEED]
    assert asked == set(given)
    assert len(given) == 19


def test_the_list_fits_a_terminal() -> None:
    lines = run("report", width=80).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(ready())
    assert max(map(len, lines)) <= 80


def test_the_example_is_a_report(tmp_path: Path) -> None:
    path = written(tmp_path, EXAMPLE)
    report = report_of(path)
    assert (report.title, report.about, report.path) == ("My servers", "What they do at night.", path)
    query = "flows where Destination Subnet = 'servers' group by Source Country"
    assert report.questions == (Question("Who asks them?", "Clients by country.", query, 6),)


def test_what_may_be_missing(tmp_path: Path) -> None:
    report = read_report(written(tmp_path, GOOD))
    assert (report.about, report.questions[0].about, report.questions[0].line) == ("", "", 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "mine.yaml: nothing in it; begin with title:"),
        ("- a\n", "mine.yaml, line 1, column 1: no report; begin with title: and queries:"),
        ("title: T\n", "line 1, column 1: the report has no queries; write queries:"),
        ("queries:\n  - title: Q\n    query: flows\n", "line 1, column 1: the report has no title"),
        ("title: T\nqueries:\n", "line 2, column 1: queries is no list; begin each query with - title:"),
        ("title: T\nqueries: []\n", "the report has no queries"),
        ("title: T\nqueries: {a: b}\n", "line 2, column 1: queries is no list"),
        ("title: T\nqueries:\n  - flows\n", "line 3, column 5: a query without a title; write - title:"),
        ("title: T\nqueries:\n  - title: Q\n", "line 3, column 5: the query has no query"),
        ("title: T\nqueries:\n  - query: flows\n", "line 3, column 5: the query has no title"),
        ("title: T\nqueries:\n  - title: Q\n    query:\n", "line 3, column 5: the query has no query"),
        (GOOD + "    quary: flows\n", "line 5, column 5: a query has no 'quary'; did you mean query?"),
        (GOOD + "chart: x\n", "line 5, column 1: a report has no 'chart'; there are title, about, queries"),
        (GOOD + "[1, 2]: x\n", "line 5, column 1: a report has no ''"),
        (GOOD + "title: U\n", "line 5, column 1: title is there twice, first in line 1"),
        (GOOD + "    query: flows\n", "line 5, column 5: query is there twice, first in line 4"),
        (GOOD + "about: [a]\n", "line 5, column 8: about is no text; put it in single quotes"),
        (GOOD + "about: &a b\n", "line 5, column 8: an anchor or an alias (& or *)"),
        (GOOD + "---\ntitle: U\n", "a second document (---); put all into one"),
        (GOOD + "about: a: b\n", "line 5, column"),
        (GOOD + "about: |\n\tx\n", "line 6"),
        (GOOD + "about: \x1b[31m\n", "line 5: the control character U+001B; leave it out"),
        (GOOD + "about: " + "[" * 50, "lists inside lists without end"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        read_report(path)
    assert told in str(raised.value)
    assert str(raised.value).startswith(path)
    result = run("report", path, "--store", tmp_path, "-o", tmp_path / "out.html", code=2)
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"title: \xff\n", "line 1: not UTF-8 text"),
        (b"a" * (1 << 20) + b"a", "larger than 1 MiB"),
        (None, "cannot read"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        read_report(str(path))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("securty", "no report is called 'securty'; did you mean security?"),
        ("nightly", "there are security, sizing, trouble; or name a file: mine.yaml"),
        ("report.html", "no report is called 'report.html'"),
        ("missing.yaml", "cannot read missing.yaml"),
    ],
)
def test_a_report_that_is_not_there_is_told(name: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        report_of(name)
    assert told in str(raised.value)
