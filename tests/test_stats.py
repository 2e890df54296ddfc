"""`spanline stats`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spanline.cli.stats_view import VIEWS
from tests import tshark
from tests.commands import handshake, question, run
from tests.craft import arp, ethernet, ipv4, ipv6, udp
from tests.craft_files import START, Record, pcap


def write(folder: Path, records: list[Record]) -> Path:
    path = folder / "own.pcap"
    path.write_bytes(pcap(records, nanoseconds=True))
    return path


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """Handshakes of both IP versions, datagrams over three seconds, ARP, and a frame that is not read further."""
    records = [*handshake(), *handshake("2001:db8::1234:5678:9abc:def0", "2001:db8::fedc:ba98:7654:3210", vni=7)]
    records += [question(n * 10**9, 53000 + n) for n in range(30)]
    records += [Record(START + 40 * 10**9, ethernet() / arp())]
    records += [Record(START + 40 * 10**9, ethernet(ether_type=0x88CC) / b"lldp")]
    return write(tmp_path, records)


@pytest.mark.parametrize("view", [*VIEWS, "all", "io,verdicts"])
def test_a_screen_of_eighty_columns_is_enough(view: str, varied: Path) -> None:
    lines = run("stats", view, varied, width=80).stdout.splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


def test_conversations_on_a_screen(varied: Path) -> None:
    text = run("stats", "conversations", "--type", "tcp,ip", varied, width=80).stdout
    blocks = text.split("\n\n")
    assert blocks[0].splitlines()[0] == "IPv4 conversations: 1 row"
    assert blocks[1].splitlines()[0] == "TCP conversations: 2 rows"
    assert "→ [2001:db8::fedc:ba98:7654:3210]:443" in blocks[1]


def test_the_first_rows_only(varied: Path) -> None:
    lines = run("stats", "conversations", "--type", "udp", "-n", "3", varied, width=80).stdout.splitlines()
    assert lines[0] == "UDP conversations: 31 rows, 3 of them; -n 0 shows all"
    assert len(lines) == 5
    rows = json.loads(run("stats", "conversations", "--type", "udp", "--format", "json", varied).stdout)
    assert len(rows) == 31
    assert len(run("stats", "io", varied, width=80).stdout.splitlines()) == 2 + 20 + 1


def test_json_of_one_view_is_an_array_and_of_several_an_object(varied: Path) -> None:
    rows = json.loads(run("stats", "endpoints", "--type", "eth", "--format", "json", varied).stdout)
    assert rows[0]["type"] == "eth"
    assert rows[0]["packets"] == rows[0]["sent_packets"] + rows[0]["received_packets"]
    several = json.loads(run("stats", "all", "--format", "json", varied).stdout)
    assert list(several) == list(VIEWS)
    assert several["verdicts"][-1]["reason"] == "EtherType 0x88cc"
    assert several["io"][0]["start"].startswith("2")
    types = [row["type"] for row in several["conversations"]]
    assert list(dict.fromkeys(types)) == ["eth", "ip", "ipv6", "tcp", "udp"]


def test_files_of_one_view_and_of_several(varied: Path, tmp_path: Path) -> None:
    run("stats", "io", varied, "-o", tmp_path / "io.csv")
    with (tmp_path / "io.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert sum(int(row["frames"]) for row in rows) == 38
    folder = tmp_path / "views"
    run("stats", "all", varied, "--format", "parquet", "-o", f"{folder}/")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.parquet" for name in VIEWS)
    assert pq.read_table(folder / "conversations.parquet").column("source").to_pylist()[0] == "02:00:00:00:00:01"


def test_a_capture_without_frames(tmp_path: Path) -> None:
    path = write(tmp_path, [])
    assert "no conversations" in run("stats", "all", path, width=80, code=2).stdout
    assert json.loads(run("stats", "conversations", "--format", "json", path, code=2).stdout) == []


def test_others_are_told_and_shown(tmp_path: Path) -> None:
    records = [Record(START + n, ethernet() / ipv4() / udp(n % 65536, n // 65536)) for n in range(5000)]
    result = run(
        "stats", "conversations", "--type", "udp", "--memory", "1K", "-n", "0", write(tmp_path, records), width=80
    )
    assert "all others" in result.stdout.splitlines()[-1]
    assert "904 frames" in result.stderr
    assert "within --memory" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conversation", "PATH"], "no view 'conversation'; did you mean conversations?"),
        (["nonsense", "PATH"], "no view 'nonsense'; views are"),
        (["io,,io", "PATH"], "no view ''"),
        (["conversations", "--type", "wlan", "PATH"], "'wlan' is no type; types are eth, ip"),
        (["io", "--interval", "0", "PATH"], "'0' is not a number of seconds"),
        (["io", "--interval", "nan", "PATH"], "'nan' is not a number of seconds"),
        (["io", "--interval", "1e-7", "PATH"], "'1e-7' is not a number of seconds"),
        (["io", "--type", "tcp", "PATH"], "--type is for conversations and endpoints"),
        (["hosts", "--interval", "1", "PATH"], "--interval is for io"),
        (["io", "--policy", "a.toml", "PATH"], "--policy is for hierarchy; name this view too"),
        (["all,nonsense", "PATH"], "no view 'nonsense'"),
        (["verdicts", "--as-tshark", "PATH"], "tshark has no view of verdicts; leave out --as-tshark"),
        (["io", "--as-tshark", "--format", "csv", "PATH"], "--as-tshark is text, and not csv"),
        (["io,verdicts", "--format", "csv", "PATH"], "a csv file has one view, and these are 2"),
        (["io", "--as-tshark", "--interval", "0.000001", "PATH"], "print 40,000,000 intervals; ask for longer"),
        (["io"], "missing argument"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(arguments: list[str], message: str, varied: Path) -> None:
    result = run("stats", *(varied if one == "PATH" else one for one in arguments), code=2)
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert message in line


def test_a_folder_that_cannot_be_made(varied: Path) -> None:
    result = run("stats", "all", varied, "--format", "csv", "-o", f"{varied}/inside/", code=2)
    assert f"cannot make the folder {varied}/inside" in result.stderr


def test_as_tshark_is_what_tshark_prints(varied: Path) -> None:
    """Oracle: tshark, which prints the last view first."""
    taps = ["conv,eth", "conv,ip", "conv,ipv6", "conv,tcp", "conv,udp"]
    ours = run("stats", "conversations", "--as-tshark", varied).stdout
    assert ours == "".join(tshark.run(varied, tap) for tap in taps)
    ours = run("stats", "endpoints,io", "--type", "tcp", "--interval", "5", "--as-tshark", varied).stdout
    assert ours == tshark.run(varied, "io,stat,5", "endpoints,tcp")


def test_intervals_of_many_years_are_no_burden(tmp_path: Path) -> None:
    records = [Record(START, ethernet() / ipv4() / udp()), Record(START + 10**18, ethernet() / ipv6() / udp())]
    lines = run("stats", "io", write(tmp_path, records), width=80).stdout.splitlines()
    assert lines[0] == "Intervals of 1.00 s: 2 with frames, 999,999,999 empty between them left out."
    assert len(lines) == 4
