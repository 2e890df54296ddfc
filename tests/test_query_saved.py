"""Queries that are kept under a name, with parameters.

Oracle: the tree of the same query with its values written into it by hand; files set down by hand; flows of a small
capture.
"""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanline.errors import UsageError
from spanline.query import saved
from spanline.query.errors import QueryError
from spanline.query.reading import parse
from spanline.query.tree import Query
from tests.commands import run

NOW = 1_770_000_000 * 10**9


def tree(text: str, **parameters: list[str]) -> Query:
    """What a query means; how it was written is left out."""
    return dataclasses.replace(parse(text, now=NOW, timezone="UTC", parameters=parameters), text="")


@pytest.mark.parametrize(
    ("text", "parameters", "meant"),
    [
        ("flows where port = $port", {"port": ["22"]}, "flows where port = 22"),
        ("flows where port in ($port)", {"port": ["22"]}, "flows where port in (22)"),
        ("flows where port in (1, $port, 9)", {"port": ["22", "23"]}, "flows where port in (1, 22, 23, 9)"),
        ("flows where port not in ($a, $b)", {"a": ["1"], "b": ["2"]}, "flows where port not in (1, 2)"),
        ("flows where $x = 3 or port = $PORT", {"port": ["1"]}, ""),
        ("flows where vm = $vm and port = 1", {"vm": ["web 1"]}, "flows where vm = 'web 1' and port = 1"),
        ("flows where vm = $vm or vlan = 1", {"vm": ["it's"]}, 'flows where vm = "it\'s" or vlan = 1'),
        ("flows where vm like $vm", {"vm": ["web*"]}, "flows where vm like 'web*'"),
        ("flows where bytes > $most in last $time", {"most": ["1 GB"], "time": ["7 days"]},
         "flows where bytes > 1GB in last 7 days"),
        ("flows between $a and $b", {"a": ["2026-01-01"], "b": ["2026-01-02"]},
         "flows between 2026-01-01 and 2026-01-02"),
        ("flows until $then", {"then": ["24 hours ago"]}, "flows until 24 hours ago"),
        ("flows from $net to vm $vm", {"net": ["10.0.0.0/8"], "vm": ["a b"]}, "flows from 10.0.0.0/8 to vm 'a b'"),
        ("flows where vm = '$vm'", {"vm": ["a"]}, "flows where vm = \"$vm\""),
        # Whatever is in a value, it is one.
        ("flows where vm = $vm", {"vm": ["a' or vlan = 1 or 'b"]}, "flows where vm = \"a' or vlan = 1 or 'b\""),
        ("flows where vm in ($vm)", {"vm": ["a) or (vlan = 1"]}, "flows where vm in ('a) or (vlan = 1')"),
        ("flows where vm in ($vm)", {"vm": ["a, b"]}, "flows where vm in ('a, b')"),
        ("flows where vm = $vm", {"vm": ["$other"]}, "flows where vm = '$other'"),
        ("flows where vm = $vm", {"vm": ["a order by bytes"]}, "flows where vm = 'a order by bytes'"),
        ("flows where vm = $vm", {"vm": [""]}, "flows where vm = ''"),
    ],
)  # fmt: skip
def test_values_stand_for_parameters(text: str, parameters: dict[str, list[str]], meant: str) -> None:
    if not meant:  # a parameter is no property
        with pytest.raises(QueryError):
            parse(text, parameters=parameters)
        return
    assert tree(text, **parameters) == tree(meant)


def test_a_query_within_a_query_has_parameters_too() -> None:
    query = parse("flows where vm in (vms where name = $vm)", parameters={"vm": ["a) or (b"]})
    assert query.where is not None
    inner = query.where.query
    assert inner.where == parse("vms where name = 'a) or (b'").where


@given(st.text())
def test_no_value_changes_what_a_query_is(value: str) -> None:
    """Whatever the value: one condition of the VM's name, and it is that value."""
    query = parse("flows where vm = $vm group by port limit 3", parameters={"vm": [value]})
    assert query.where is not None
    assert query.where == dataclasses.replace(query.where, values=(value,))
    assert (len(query.group), query.limit) == (1, 3)


@pytest.mark.parametrize("value", ["22) or (1", "22, 23", "22 or vlan = 1", "in (1)", "'22'"])
def test_a_value_that_is_no_number_is_told(value: str) -> None:
    with pytest.raises(QueryError, match=r"is (not a number|no unit)") as caught:
        parse("flows where port in ($port) and vlan = 1", parameters={"port": [value]})
    assert caught.value.excerpt() == ("flows where port in ($port) and vlan = 1", " " * 21 + "^~~~~")


@pytest.mark.parametrize(
    ("text", "parameters", "told"),
    [
        ("flows where port = $port", {}, "$port has no value"),
        ("flows where port = $port", {"port": ["1", "2"]}, "$port has 2 values; only a list has several: in ($port)"),
        ("flows in last $time", {"time": ["soon"]}, "'soon' is no unit of time"),
        ("flows limit $n", {"n": ["3"]}, "'$n' was not expected here"),
    ],
)
def test_wrong_parameters_have_a_place(text: str, parameters: dict[str, list[str]], told: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, parameters=parameters)
    assert told in str(caught.value)
    assert caught.value.text[caught.value.start] == "$"


def test_what_was_asked_is_spelled_out() -> None:
    query = parse("flows where port in ($p) and vm = $vm", parameters={"p": ["1", "2"], "vm": ["it's"]})
    assert query.text == "flows where port in ('1', '2') and vm = 'it''s'"
    assert dataclasses.replace(query, text="") == tree(query.text)


@pytest.mark.usefixtures("apart")
class TestKept:
    def test_round(self, capture: Path, tmp_path: Path) -> None:
        """Kept, shown, asked, replaced and kept no longer; nobody else can read the file."""
        kept = run("query", "--save", "Logins", "flows where port in ($port) and source ip = $client")
        file = tmp_path / "config/spanline/queries.yaml"
        assert f"@logins is kept in {file}" in kept.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert run("query", "--saved").stdout.split() == [
            *("@logins", "port=…", "client=…"),
            *("flows", "where", "port", "in", "($port)", "and", "source", "ip", "=", "$client"),
        ]
        asked = ("query", "@logins", "port=443", "client=10.0.0.1", "--on", capture, "--format", "json")
        assert [row["Port"] for row in json.loads(run(*asked).stdout)] == [443]
        several = ("query", "@LOGINS", "port=443", "port=53", "client=0.0.0.0/0", "--on", capture, "--format", "json")
        assert sorted(row["Port"] for row in json.loads(run(*several).stdout)) == [53, 443]
        in_one = ("query", "@logins port=53 client=0.0.0.0/0", "--on", capture, "--format", "json")
        assert [row["Port"] for row in json.loads(run(*in_one).stdout)] == [53]
        run("query", "--save", "@logins", "flows")
        run("query", "--save", "another", "1. <span>count of flows</span>;")
        (another, logins) = json.loads(run("query", "--saved", "--format", "json").stdout)
        assert another == {"name": "another", "parameters": [], "query": "count of flows"}
        assert logins == {"name": "logins", "parameters": [], "query": "flows"}
        run("query", "--delete", "logins")
        run("query", "--delete", "@another")
        assert "no query is kept" in run("query", "--saved").stdout

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["@logins"], "@logins needs a value of port and of vm; write @logins port=… vm=…"),
            (["@logins", "port=1"], "@logins needs a value of vm"),
            (["@logins", "port=1", "vm=a", "prt=2"], "@logins has no parameter 'prt'; did you mean port?"),
            (["@logins", "port=1", "vm=a", "x=2"], "@logins has no parameter 'x'; there are port, vm"),
            (["@plain", "x=2"], "@plain has no parameter 'x'; it has none"),
            (["@logns", "port=1"], "no query is called 'logns'; did you mean logins?"),
            (["@x"], "no query is called 'x'; there are logins, plain"),
            (["@logins port=1 vm='a"], "a quote has no end"),
            (["@logins port=1 vm"], "'vm' is no value of @logins; write port=22"),
            (["@logins", "port=1", "vm=a", "port=x"], "$port"),
            (["--save", "logins"], "--save logins: a query is missing"),
            (["--save", "a b", "flows"], "a query cannot be called 'a b'"),
            (["--save", "a", "@plain"], "'@plain' is kept already"),
            (["--save", "a", "flws"], "did you mean Flows?"),
            (["--save", "a", "flows where prt = $port"], "did you mean Port?"),
            (["--save", "a", "flows where port = $p and sorce vm = $q"], "did you mean Source VM"),
            (["--save", "a", "flows where port = $p and source ip = $p"], "'now' is not a number"),
            (["--save", "a", "--saved"], "--save, --saved and --delete are three things to do"),
            (["--saved", "flows"], "flows: nothing is asked here"),
            (["--delete", "logns"], "no query is called 'logns'; did you mean logins?"),
        ],
    )
    def test_what_makes_no_sense_is_one_line(self, arguments: list[str], told: str, capture: Path) -> None:
        saved.save("logins", "flows where port = $port and vm = $vm")
        saved.save("plain", "flows")
        asks = arguments[0].startswith("@")
        result = run("query", *arguments, *(("--on", capture) if asks else ()), code=2)
        assert told in result.stderr
        assert len([line for line in result.stderr.splitlines() if line.startswith("spanline: ")]) == 1
        assert list(saved.saved_queries()) == ["logins", "plain"]

    @pytest.mark.parametrize(
        "text",
        [
            "flows where port = $a and source ip in ($b, $c) and flow type = $d and mac = $e and protocol = $f",
            "flows where bytes > $a and rtt < $b and retransmission ratio >= $c in last $d until $e",
            "flows between $a and $b",
            "flows from vm $a to $b where vm matches $c",
            "flows where vm in (vms where memory > $a and name like $b)",
            "flows where first seen > $a",
            "flows where port between 22 and $a and bytes between 1 GB and $b and vlan between $c and 4095",
        ],
    )
    def test_every_kind_of_value_can_be_a_parameter(self, text: str) -> None:
        saved.save("any", text)
        assert saved.saved_queries() == {"any": text}

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("- a\n", ", line 1, column 1: no names of queries"),
            ("a: flows\na: flows\n", ", line 2, column 1: a is there twice, first in line 1"),
            ("a: flows\n'b c': flows\n", ", line 2, column 1: a query cannot be called 'b c'"),
            ("a: flows\nb:\n  - flows\n", ", line 3, column 3: b is no text"),
            ("a: 'flows\n", ", line 2, column 1: "),
            ("a: flows\n---\nb: flows\n", ", line 2, column 1: a second document"),
            ("a: \x07\n", ", line 1: the control character U+0007"),
        ],
    )
    def test_a_file_that_somebody_wrote_has_a_place(self, content: str, told: str, tmp_path: Path) -> None:
        file = tmp_path / "config/spanline/queries.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        with pytest.raises(UsageError) as caught:
            saved.saved_queries()
        assert str(caught.value).startswith(f"{file}{told}")
        result = run("query", "@a", "--store", tmp_path, code=2)
        assert len(result.stderr.splitlines()) == 1
        run("query", "--save", "b", "flows", code=2)
        assert file.read_text() == content

    def test_nothing_can_be_kept_without_a_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/x")
        result = run("query", "--save", "a", "flows", code=2)
        assert "no query can be kept" in result.stderr
        assert "XDG_CONFIG_HOME" in result.stderr
        assert len(result.stderr.splitlines()) == 1
