"""The command line: what it prints where, and how it ends.

Most tests call the commands in this process; those about signals, pipes, terminals and exit codes start another one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import spanline
from spanline.cli import options, text
from spanline.cli.group import COMMANDS
from spanline.cli.group import spanline as command_line
from spanline.stages import flows as flows_stage
from spanline.stages.round_trips import METRICS
from spanline.stages.sorted_flows import ORDERS
from tests.craft import Frame, arp, ethernet, icmp, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_tunnels import vxlan

LONG = "2a02:8388:e181:6c80:a5b1:3d3f:9c1e:7f2a"
PROGRAM = [sys.executable, "-c", "from spanline.cli import main; main()"]

Run = Callable[..., Result]


def handshake(client: str = "10.0.0.1", server: str = "10.0.0.2", vni: int | None = None) -> list[Record]:
    """SYN, SYN-ACK after 1.5 ms, ACK after 0.25 ms more."""
    ip = ipv6 if ":" in client else ipv4
    frames = [
        (0, ip(client, server) / tcp(50123, 443, seq=7, flags="S")),
        (1_500_000, ip(server, client) / tcp(443, 50123, seq=70, ack=8, flags="SA")),
        (1_750_000, ip(client, server) / tcp(50123, 443, seq=8, ack=71)),
    ]
    outer = Frame() if vni is None else ethernet() / ipv4() / udp(50000, 4789) / vxlan(vni)
    return [Record(START + time, outer / ethernet() / frame) for time, frame in frames]


def question(at: int = 10**9, port: int = 53000) -> Record:
    return Record(START + at, ethernet() / ipv4() / udp(port, 53) / b"question")


@pytest.fixture
def run() -> Run:
    """Calls a command as a pipe would see it, or a terminal of `width` columns."""

    def call(*arguments: str | Path, width: int | None = None, code: int = 0, **others: Any) -> Result:
        environment = {"COLUMNS": None if width is None else str(width)}
        result = CliRunner().invoke(command_line, [str(one) for one in arguments], env=environment, **others)
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return call


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A handshake, a datagram and an ARP request."""
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap([*handshake(), question(), Record(START + 2 * 10**9, ethernet() / arp())], nanoseconds=True))
    return path


@pytest.fixture
def cut(capture: Path) -> Path:
    """The same, cut in the middle of the last record."""
    path = capture.with_name("cut.pcap")
    path.write_bytes(capture.read_bytes()[:-5])
    return path


def spawn(arguments: Sequence[str | Path], **others: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, timeout=60, **others)


# --- the group


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    shown = run("--help").output
    for name in COMMANDS:
        assert f"  {name} " in shown
        assert "Usage: spanline" in run(name, "--help").output
    for code in (" 0 ", " 2 ", " 130 ", " 141 "):
        assert code in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_waits_for_no_heavy_import() -> None:
    program = """
import sys
from spanline.cli.group import spanline
try:
    spanline.main(["flows", "--help"])
except SystemExit:
    pass
print(*(name for name in ("numpy", "pyarrow", "rich") if name in sys.modules), file=sys.stderr, end="")
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stderr == b""


def test_version(run: Run) -> None:
    assert run("--version").output == f"spanline {spanline.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_SPANLINE_COMPLETE" in script
    assert f"{shell}_complete" in script


def test_completion_completes() -> None:
    environment = {**os.environ, "_SPANLINE_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    for words, found in (("spanline flows --by", b"plain,--by-vlan"), ("spanline rtt fil", b"file,fil")):
        assert spawn([], env={**environment, "COMP_WORDS": words}).stdout.split() == [found]


def test_choices_and_defaults_are_those_of_the_stages(run: Run) -> None:
    assert f"[{'|'.join(ORDERS)}]" in run("flows", "--help").output
    assert f"[{'|'.join(METRICS)}]" in run("rtt", "--help").output
    shown = " ".join(run("crunch", "--help").output.split())
    assert f"[default: {flows_stage.IDLE_TIMEOUT:.0f}]" in shown
    assert f"[default: {flows_stage.ACTIVE_TIMEOUT:.0f}]" in shown
    assert options.Size().convert("1G", None, None) == flows_stage.MEMORY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flows"], "Missing argument 'PATH...'"),
        (["nonsense"], "No such command"),
        (["crunch", "a.pcap"], "Missing option '-o'"),
        (["crunch", "a.pcap", "-o", "a.xlsx"], "use .parquet, .csv, .json, or --format"),
        (["crunch", "a.pcap", "-o", "a"], "use .parquet, .csv, .json, or --format"),
        (["flows", "a.pcap", "--idle-timeout", "0"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--idle-timeout", "nan"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--active-timeout", "soon"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--memory", "much"], "is not a size: write 500M or 1G"),
        (["flows", "a.pcap", "--vxlan-port", "0"], "0 is not in the range"),
        (["flows", "a.pcap", "--sort", "size"], "is not one of"),
        (["packets", "a.pcap", "-n", "0"], "0 is not in the range"),
        (["info", "a.pcap", "--format", "csv"], "is not one of"),
        (["completion", "tcsh"], "is not one of"),
    ],
)
def test_wrong_usage_says_what_is_right(run: Run, arguments: list[str], message: str) -> None:
    assert message in " ".join(run(*arguments, code=2).stderr.split())


@pytest.mark.parametrize(
    ("given", "count"), [("1G", 1 << 30), ("500M", 500 << 20), ("1.5GiB", 3 << 29), ("64kb", 65536), ("77", 77)]
)
def test_sizes(given: str, count: int) -> None:
    assert options.Size().convert(given, None, None) == count


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (None, "–"), (0, "0 ns"), (999, "999 ns"), (1000, "1.00 µs"), (9994, "9.99 µs"), (9995, "10.0 µs"), (99_950, "100 µs"),
        (999_499, "999 µs"), (999_500, "1.00 ms"), (1_156_808, "1.16 ms"), (2_350_000_000, "2.35 s"), (86_400 * 10**9, "86400 s"),
        (-1500, "-1.50 µs"),
    ],
)  # fmt: skip
def test_durations_have_three_digits(nanoseconds: int | None, shown: str) -> None:
    assert text.duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9726, "9.73 kB"), (999_500, "1.00 MB"), (5e15, "5000 TB")]
)
def test_sizes_have_three_digits(count: float, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0"), (99_999, "99999"), (100_000, "100k"), (1_234_567, "1.23M")])
def test_counts_have_five_places(count: int, shown: str) -> None:
    assert text.quantity(count) == shown


# --- faults


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_a_fault_is_one_line_after_the_results(run: Run, cut: Path, command: str) -> None:
    result = run(command, cut, code=2)
    assert "10.0.0.2" in result.stdout or "eth:ip:tcp" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spanline: {cut}, byte ")
    assert "truncated in the middle of a record" in line


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_files_that_are_no_captures_get_a_line_each(run: Run, tmp_path: Path, command: str) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("these are only notes, and not a capture")
    result = run(command, tmp_path / "missing.pcap", other, code=2)
    assert result.stdout == ""
    missing, notes = result.stderr.splitlines()
    assert missing.startswith(f"spanline: {tmp_path / 'missing.pcap'}: ")
    assert notes.startswith(f"spanline: {other}: this is not a capture file")


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_a_folder_without_captures_is_one_line(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").write_text("these are only notes, and not a capture")
    (line,) = run(command, tmp_path, code=2).stderr.splitlines()
    assert line.startswith(f"spanline: {tmp_path}: no captures in this folder")


@pytest.mark.parametrize("arguments", [["flows"], ["info"], ["packets", "-n", "1"]])
def test_other_files_in_a_folder_are_no_fault(run: Run, capture: Path, arguments: list[str]) -> None:
    (capture.parent / "a.txt").write_text("these are only notes, and not a capture")
    assert run(*arguments, capture.parent).stderr == ""


def test_what_a_file_says_never_acts_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "eth0\x1b[2J\x07\r\n[bold]no[/bold] \u202e:smile: \x9b31m"
    ng = Pcapng()
    path = tmp_path / "evil\x1b[31m\n.pcapng"
    section = ng.section(application=evil, comment=evil, hardware=evil)
    path.write_bytes(section + ng.interface(name=evil, description=evil) + ng.enhanced(ethernet() / arp()) + b"\1")
    for command in ("info", "flows", "packets"):
        result = run(command, path, code=2)
        assert all(letter.isprintable() for line in result.output.split("\n") for letter in line)
        assert "evil\\x1b[31m\\n.pcapng" in result.output
    assert "[bold]no[/bold] \\u202e:smile: \\x9b31m" in run("info", path, code=2).stdout


def test_memory_that_is_too_small_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap([question(n * 1000, 1024 + n) for n in range(6000)]))
    result = run("flows", path, "--memory", "1M", "-n", "1")
    assert "flows ended early to stay within --memory" in result.stderr
    assert "evicted 0 flows" in run("crunch", path, "-o", tmp_path / "a.csv").stderr


# --- crunch


def test_crunch_writes_the_flows_and_accounts_for_every_frame(run: Run, capture: Path, tmp_path: Path) -> None:
    result = run("crunch", capture, "-o", tmp_path / "flows.parquet")
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "2 flows of 5 frames" in line
    assert "; read 5 = decoded 5 + undecodable 0; decoded 5 = in flows 4 + not in flows 1; evicted 0 flows" in line
    table = pq.read_table(tmp_path / "flows.parquet")
    assert table.schema.names == spanline.flows(capture).schema.names
    assert table.column("destination").to_pylist() == ["10.0.0.2", "10.0.0.2"]
    assert table.column("community_id").null_count == 0


def test_crunch_writes_the_same_in_every_format(run: Run, capture: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "json"):
        run("crunch", capture, "-o", tmp_path / f"flows.{suffix}", "-q")
    objects = json.loads((tmp_path / "flows.json").read_text())
    assert [one["handshake_rtt"] for one in objects] == [1_750_000, None]
    assert objects[0]["first_seen"] == "2023-11-14T22:13:20.000000000Z"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "flows.csv").read_text())))
    texts = {"None": "", "True": "true", "False": "false"}
    assert rows == [{name: texts.get(str(value), str(value)) for name, value in one.items()} for one in objects]


def test_crunch_writes_flows_as_they_end(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanline.cli import crunching

    monkeypatch.setattr(crunching, "_AT_ONCE", 1)
    paths = []
    for hour in range(3):
        path = tmp_path / f"{hour}.pcap"
        path.write_bytes(pcap([question(hour * 3600 * 10**9)]))
        paths.append(path)
    run("crunch", *paths, "-o", "-", "--format", "json")
    result = run("crunch", *paths, "-o", "-", "--format", "json", "-q")
    assert len(json.loads(result.stdout)) == 3
    assert result.stderr == ""


def test_flow_options_reach_the_flow_table(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([*handshake(vni=1), *handshake(vni=2)[:1], question(), question(3 * 10**9)]))

    def count(*arguments: str) -> int:
        return len(json.loads(run("flows", path, "--format", "json", *arguments).stdout))

    assert count() == 3
    assert count("--no-vni") == 2
    assert count("--idle-timeout", "1") == 4
    assert count("--idle-timeout", "off", "--active-timeout", "1") == 4
    assert count("--vxlan-port", "4788") == 2


def test_a_failed_crunch_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (line,) = run("crunch", tmp_path / "missing", "-o", tmp_path / "in" / "flows.csv", code=2).stderr.splitlines()
    assert "missing" in line
    assert list((tmp_path / "in").iterdir()) == []
    (line,) = run("crunch", tmp_path / "missing", "-o", tmp_path / "no" / "flows.csv", code=2).stderr.splitlines()
    assert line == f"spanline: cannot write {tmp_path}/no/flows.csv: No such file or directory"


# --- screens


def lines_of(result: Result) -> list[str]:
    """The lines of a screen, which must fit it."""
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_flows_in_one_line_each(run: Run, capture: Path) -> None:
    assert lines_of(run("flows", capture, width=80)) == [
        "2023-11-14 UTC. RTT: the handshake's, from client to server and back.",
        "Time         Source         Destination  Proto Packets Bytes     RTT State",
        "22:13:20.000 10.0.0.1:50123 10.0.0.2:443 tcp         3 162 B 1.75 ms S1",
        "22:13:21.000 10.0.0.1:53000 10.0.0.2:53  udp         1  50 B       – S0",
    ]


def test_flows_in_two_lines_where_one_has_no_room(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(handshake(LONG, "2001:db8::2", vni=0xFFFFFF)))
    assert lines_of(run("flows", path, width=80)) == [
        "2023-11-14 UTC. RTT: the handshake's, from client to server and back.",
        "Time         Source                                    Packets Bytes     RTT",
        "Proto VNI    → Destination                                sent  sent   State",
        f"22:13:20.000 [{LONG}]       2 148 B 1.75 ms",
        "             :50123",
        "tcp 16777215 → [2001:db8::2]:443                             1  74 B      S1",
    ]
    (_, _, line) = run("flows", path).stdout.splitlines()
    assert line.split() == (
        f"22:13:20.000 [{LONG}]:50123 [2001:db8::2]:443 tcp 16777215 3 222 B 1.75 ms S1".split()
    )


def test_flows_say_how_many_more_there_are(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap([question(n * 1000, 1024 + n) for n in range(50)]))
    assert lines_of(run("flows", path))[-1] == "40 of 50 flows; -n 0 shows all, -o FILE writes them"
    assert len(lines_of(run("flows", path, "-n", "0"))) == 2 + 50
    assert len(json.loads(run("flows", path, "--format", "json").stdout)) == 50
    assert len(json.loads(run("flows", path, "--format", "json", "-n", "7").stdout)) == 7


def test_flows_of_several_days_have_dates(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "days.pcap"
    path.write_bytes(pcap([question(0), question(86_400 * 10**9)]))
    title, _, *rows = lines_of(run("flows", path))
    assert title.startswith("2023-11-14 to 2023-11-15 UTC.")
    assert [row[:14] for row in rows] == ["11-14 22:13:20", "11-15 22:13:20"]


def test_nothing_is_not_an_empty_table(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([Record(START, ethernet() / arp())]))
    assert run("flows", path).stdout == "no flows\n"
    assert run("rtt", path).stdout.startswith("no round-trip times (SYN to SYN-ACK")
    for command in ("flows", "rtt"):
        assert run(command, path, "--format", "json").stdout == "[]\n"


def test_a_capture_without_frames_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([]))
    for command, shown in (("flows", "no flows\n"), ("packets", "")):
        result = run(command, path, code=2)
        assert (result.stdout, "has no frames" in result.stderr) == (shown, True)
        assert run(command, path, "--format", "json", code=2).stdout == "[]\n"


def test_round_trip_times(run: Run, capture: Path) -> None:
    assert lines_of(run("rtt", capture, width=80)) == [
        "SYN to SYN-ACK: from the mirror to the server and back. Slowest p50 first.",
        "Server        Count      min      p50      p95      p99      max",
        "10.0.0.2:443      1  1.50 ms  1.50 ms  1.50 ms  1.50 ms  1.50 ms",
    ]
    result = run("rtt", capture, "--metric", "synack_ack", "--format", "csv")
    assert result.stdout.splitlines()[1] == '"10.0.0.2",443,,1,250000,250000,250000,250000,250000'


def test_round_trip_times_below_servers_that_have_no_room(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(handshake("2001:db8::2", LONG, vni=0xFFFFFF)))
    assert lines_of(run("rtt", path, width=80)) == [
        "SYN to SYN-ACK: from the mirror to the server and back. Slowest p50 first.",
        "Server",
        "         VNI  Count      min      p50      p95      p99      max",
        f"[{LONG}]:443",
        "    16777215      1  1.50 ms  1.50 ms  1.50 ms  1.50 ms  1.50 ms",
    ]
    assert len(run("rtt", path).stdout.splitlines()) == 3


def test_packets_are_a_line_each(run: Run, capture: Path) -> None:
    assert run("packets", capture).stdout.splitlines() == [
        "    1 22:13:20.000000000 10.0.0.1 → 10.0.0.2 tcp     54 50123 → 443 [SYN] Seq=7 Win=65535 Len=0",
        "    2 22:13:20.001500000 10.0.0.2 → 10.0.0.1 tcp     54 443 → 50123 [SYN, ACK] Seq=70 Ack=8 Win=65535 Len=0",
        "    3 22:13:20.001750000 10.0.0.1 → 10.0.0.2 tcp     54 50123 → 443 [ACK] Seq=8 Ack=71 Win=65535 Len=0",
        "    4 22:13:21.000000000 10.0.0.1 → 10.0.0.2 udp     50 53000 → 53 Len=8",
        "    5 22:13:22.000000000 02:00:00:00:00:01 → 02:00:00:00:00:02 arp     42",
    ]


def test_packets_tell_of_tunnels_fragments_and_faults(run: Run, tmp_path: Path) -> None:
    frames = [
        ethernet() / ipv4() / udp(50000, 4789) / vxlan(4095) / ethernet() / ipv6() / tcp(1, 2, flags="FPU"),
        ethernet() / ipv4() / icmp(8),
        ethernet() / ipv4(more_fragments=True, fragment_offset=1480, identification=0xBEEF, protocol=17) / bytes(16),
        Record(START, bytes(ethernet() / ipv4() / tcp())[:40], 54),
        ethernet() / ipv4(protocol=89) / bytes(4),
    ]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([frame if isinstance(frame, Record) else Record(START, frame) for frame in frames]))
    lines = [line[26:] for line in run("packets", path).stdout.splitlines()]
    assert [line.split(maxsplit=3)[3] for line in (" ".join(line.split()) for line in lines)] == [
        "tcp 4095 124 1 → 2 [FIN, PSH, URG] Seq=1 Win=65535 Len=0",
        "icmp – 42 echo request, code 0",
        "udp – 50 Fragment Offset=1480 ID=0xbeef Len=16",
        "tcp – 54 40000 → 80 [truncated at tcp]",
        "ospf – 38 [unsupported at ip]",
    ]


def test_packets_stop_after_the_count(run: Run, cut: Path) -> None:
    assert len(run("packets", cut, "-n", "2").stdout.splitlines()) == 2
    assert [one["number"] for one in json.loads(run("packets", cut, "-n", "2", "--format", "json").stdout)] == [1, 2]
    assert len(run("packets", cut, "-n", "9", code=2).stdout.splitlines()) == 4


def test_info_is_what_a_file_is_made_of(run: Run, capture: Path) -> None:
    shown = run("info", capture, width=80).stdout
    for line in (
        "  Format             pcap, little-endian, nanoseconds",
        "  Link type          ETHERNET",
        "  Packets            5",
        "  Duration           2.000000000 s",
        "  First packet       2023-11-14T22:13:20.000000000Z",
        "  Decoded            5 of 5 frames, 0 undecodable",
        "  eth:ip:tcp       3  60.0 %  162 B",
    ):
        assert line in [row.rstrip() for row in shown.splitlines()]


def test_info_in_json_is_an_array_of_files(run: Run, capture: Path, cut: Path) -> None:
    whole, broken = json.loads(run("info", "--format", "json", capture, cut, code=2).stdout)
    assert (whole["packets"], whole["file"], whole["problems"]) == (5, str(capture), [])
    assert (whole["duration"], whole["first_packet"]) == (2 * 10**9, "2023-11-14T22:13:20.000000000Z")
    assert [problem["kind"] for problem in broken["problems"]] == ["truncated"]


def test_info_of_several_files_ends_with_their_total(run: Run, capture: Path, cut: Path) -> None:
    total = run("info", capture, cut, code=2).stdout.partition("Total of 2 files\n")[2].splitlines()
    assert total[0].split() == ["Packets", "9"]
    assert any(line.split() == ["Decoded", "9", "of", "9", "frames,", "0", "undecodable"] for line in total)


def test_info_of_pcapng_tells_of_sections_interfaces_and_losses(run: Run, tmp_path: Path) -> None:
    ng = Pcapng()
    path = tmp_path / "a.pcapng"
    interface = ng.interface(name="eth7", description="uplink", snaplen=96, tsresol=6)
    frame = ng.enhanced(ethernet() / arp(), START // 1000)
    section = ng.section(application="dumpcap", comment="rack 4")
    path.write_bytes(section + interface + frame + ng.statistics(0, received=90, dropped=8))
    rows = {line[2:15].strip(): line[15:].strip() for line in run("info", path).stdout.splitlines()}
    assert rows["Application"] == "dumpcap"
    assert rows["Comment"] == "rack 4"
    shown = " ".join(run("info", path).stdout.split())
    assert "Interface 0 eth7, uplink, ETHERNET, snaplen 96, microseconds, 1 packet, received 90, dropped 8" in shown


@pytest.mark.parametrize(("command", "width"), [("flows", 80), ("rtt", 80), ("info", 30), ("info", 80), ("info", 200)])
def test_screens_keep_to_their_width(run: Run, capture: Path, command: str, width: int) -> None:
    assert max(map(len, run(command, capture, width=width).stdout.splitlines())) <= width


def test_a_table_can_go_to_a_file(run: Run, capture: Path, tmp_path: Path) -> None:
    for command in ("flows", "rtt", "info", "packets"):
        result = run(command, capture, "-o", tmp_path / "a.txt", "--format", "table")
        assert result.stdout == ""
        assert (tmp_path / "a.txt").read_text() == run(command, capture).stdout


# --- processes


def many(tmp_path: Path) -> Path:
    """A capture whose list does not fit into a pipe."""
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap([question(0, port) for port in range(1024, 11024)]))
    return path


def test_the_program_ends_with_the_exit_code(capture: Path, cut: Path) -> None:
    assert spawn(["flows", capture]).returncode == 0
    assert spawn(["flows", cut]).returncode == 2
    assert spawn(["flows"]).returncode == 2


def test_captures_come_by_standard_input_too(capture: Path) -> None:
    ran = spawn(["flows", "-", "--format", "json"], input=capture.read_bytes())
    assert (len(json.loads(ran.stdout)), ran.stderr) == (2, b"")
    assert spawn(["info", "-"], input=capture.read_bytes()).stdout.startswith(b"standard input\n")


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
def test_formats_go_through_a_pipe(capture: Path, tmp_path: Path, format: str) -> None:
    through = spawn(["crunch", capture, "-q", "-o", "-", "--format", format]).stdout
    spawn(["crunch", capture, "-q", "-o", tmp_path / f"a.{format}"])
    assert through == (tmp_path / f"a.{format}").read_bytes()


@pytest.mark.parametrize("arguments", [["packets"], ["crunch", "-o", "-", "--format", "parquet"], ["flows", "-n", "0"]])
def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path, arguments: list[str]) -> None:
    command = [*PROGRAM, arguments[0], many(tmp_path), *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize("arguments", [["--help"], ["flows"], ["packets"], ["info"], ["flows", "--format", "parquet"]])
def test_a_full_disk_is_one_line(capture: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [*PROGRAM, *arguments, *([capture] if arguments != ["--help"] else [])]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (ran.returncode, ran.stderr) == (2, b"spanline: standard output: No space left on device\n")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_it_quietly_and_leaves_nothing_behind(tmp_path: Path, name: str, code: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    source = tmp_path / "endless"
    os.mkfifo(source)
    # Open for reading too: so that opening does not wait for the other side, and the other side sees no end.
    feed = os.open(source, os.O_RDWR)
    os.write(feed, pcap([question()]))
    command = [*PROGRAM, "crunch", source, "-o", folder / "flows.json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        (unfinished,) = folder.iterdir()
        assert unfinished.name.startswith(".flows.json.")
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == code
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(feed)
    assert list(folder.iterdir()) == []


def on_a_terminal(*arguments: str | Path, width: int = 80) -> tuple[int, str]:
    """The exit code, and what a terminal of `width` columns got."""
    import fcntl
    import pty
    import struct
    import termios

    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = [*PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(controller, 65536)
            except OSError:  # how Linux says that the other side was closed
                break
        code = process.wait(60)
    os.close(controller)
    return code, shown.decode().replace("\r\n", "\n")


def test_a_terminal_sets_the_width(capture: Path) -> None:
    code, shown = on_a_terminal("flows", capture)
    assert code == 0
    assert "10.0.0.1:50123 10.0.0.2:443 tcp         3 162 B 1.75 ms S1" in shown


def test_parquet_is_not_for_terminals(capture: Path) -> None:
    code, shown = on_a_terminal("flows", capture, "--format", "parquet")
    assert code == 2
    assert "Error: Parquet is not for terminals; write it to a file with -o flows.parquet" in shown


def test_a_terminal_is_not_a_capture() -> None:
    code, shown = on_a_terminal("flows", "-")
    assert code == 2
    assert "standard input is a terminal" in shown


def test_long_work_shows_progress_that_vanishes(tmp_path: Path) -> None:
    source = tmp_path / "slow"
    os.mkfifo(source)

    def feed() -> None:
        pieces = pcap([question(0)]), *(pcap([question(n)])[24:] for n in range(1, 4))
        # Open for reading too: so that opening does not wait for the other side.
        descriptor = os.open(source, os.O_RDWR)
        for piece in pieces:
            os.write(descriptor, piece)
            time.sleep(0.5)
        os.close(descriptor)

    feeder = threading.Thread(target=feed)
    feeder.start()
    code, shown = on_a_terminal("crunch", source, "-o", tmp_path / "flows.csv")
    feeder.join()
    assert code == 0
    assert "frames/s" in shown
    assert shown.rstrip().splitlines()[-1].endswith("evicted 0 flows")
    assert "\x1b[2K" in shown  # a line that was drawn is cleared
    assert (tmp_path / "flows.csv").is_file()


# --- the shared captures


def test_no_shared_capture_ends_in_a_traceback(run: Run, captures: Path) -> None:
    runner = CliRunner()
    for path in sorted(captures.glob("*/*")):
        for arguments in (["info"], ["flows", "-n", "20"], ["packets", "-n", "50"]):
            result = runner.invoke(command_line, [*arguments, str(path)], env={"COLUMNS": "80"})
            where = f"{arguments} {path.name}"
            assert result.exception is None or isinstance(result.exception, SystemExit), where
            assert result.exit_code in (0, 2), where
            assert (result.exit_code == 2) == bool(result.stderr), where
            assert all(line.isprintable() for line in result.output.split("\n")), where
