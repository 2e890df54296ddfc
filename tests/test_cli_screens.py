"""What the commands show: every line, at the width of a screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.commands import handshake, many_flows, question, run
from tests.craft import arp, ethernet, fragments, icmp, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_tunnels import vxlan

LONG = "2a02:8388:e181:6c80:a5b1:3d3f:9c1e:7f2a"


def lines_of(result: Result) -> list[str]:
    """The lines of a screen, which must fit it."""
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_flows_in_one_line_each(capture: Path) -> None:
    assert lines_of(run("flows", capture, width=80)) == [
        "2023-11-14 UTC. RTT: the handshake's, from client to server and back.",
        "Time         Source         Destination  Proto Packets Bytes     RTT State",
        "22:13:20.000 10.0.0.1:50123 10.0.0.2:443 tcp         3 162 B 1.75 ms S1",
        "22:13:21.000 10.0.0.1:53000 10.0.0.2:53  dns         1  50 B       – S0",
    ]


def test_flows_in_two_lines_where_one_has_no_room(tmp_path: Path) -> None:
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
    assert line.split() == (f"22:13:20.000 [{LONG}]:50123 [2001:db8::2]:443 tcp 16777215 3 222 B 1.75 ms S1".split())


def test_flows_say_how_many_more_there_are(tmp_path: Path) -> None:
    path = many_flows(tmp_path, 50)
    assert lines_of(run("flows", path))[-1] == "40 of 50 flows; -n 0 shows all, -o FILE writes them"
    assert len(lines_of(run("flows", path, "-n", "0"))) == 2 + 50
    assert len(json.loads(run("flows", path, "--format", "json").stdout)) == 50
    assert len(json.loads(run("flows", path, "--format", "json", "-n", "7").stdout)) == 7


def test_flows_of_several_days_have_dates(tmp_path: Path) -> None:
    path = tmp_path / "days.pcap"
    path.write_bytes(pcap([question(0), question(86_400 * 10**9)]))
    title, _, *rows = lines_of(run("flows", path))
    assert title.startswith("2023-11-14 to 2023-11-15 UTC.")
    assert [row[:14] for row in rows] == ["11-14 22:13:20", "11-15 22:13:20"]


def test_nothing_is_not_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([Record(START, ethernet() / arp())]))
    assert run("flows", path).stdout == "no flows\n"
    assert run("rtt", path).stdout.startswith("no round-trip times (SYN to SYN-ACK")
    for command in ("flows", "rtt"):
        assert run(command, path, "--format", "json").stdout == "[]\n"


def test_a_capture_without_frames_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([]))
    for command, shown in (("flows", "no flows\n"), ("packets", "")):
        result = run(command, path, code=2)
        assert (result.stdout, "has no frames" in result.stderr) == (shown, True)
        assert run(command, path, "--format", "json", code=2).stdout == "[]\n"


def test_round_trip_times(capture: Path) -> None:
    assert lines_of(run("rtt", capture, width=80)) == [
        "SYN to SYN-ACK: from the mirror to the server and back. Slowest p50 first.",
        "Server        Count      min      p50      p95      p99      max",
        "10.0.0.2:443      1  1.50 ms  1.50 ms  1.50 ms  1.50 ms  1.50 ms",
    ]
    result = run("rtt", capture, "--metric", "synack_ack", "--format", "csv")
    assert result.stdout.splitlines()[1] == '"10.0.0.2",443,,1,250000,250000,250000,250000,250000'


def test_round_trip_times_below_servers_that_have_no_room(tmp_path: Path) -> None:
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


def test_packets_are_a_line_each(capture: Path) -> None:
    assert run("packets", capture).stdout.splitlines() == [
        "    1 22:13:20.000000000 10.0.0.1 → 10.0.0.2 tcp     54 50123 → 443 [SYN] Seq=7 Win=65535 Len=0",
        "    2 22:13:20.001500000 10.0.0.2 → 10.0.0.1 tcp     54 443 → 50123 [SYN, ACK] Seq=70 Ack=8 Win=65535 Len=0",
        "    3 22:13:20.001750000 10.0.0.1 → 10.0.0.2 tcp     54 50123 → 443 [ACK] Seq=8 Ack=71 Win=65535 Len=0",
        "    4 22:13:21.000000000 10.0.0.1 → 10.0.0.2 udp     50 53000 → 53 Len=8",
        "    5 22:13:22.000000000 02:00:00:00:00:01 → 02:00:00:00:00:02 arp     42",
    ]


def test_packets_tell_of_tunnels_fragments_and_faults(tmp_path: Path) -> None:
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


def test_packets_tell_which_frame_completed_a_datagram(tmp_path: Path) -> None:
    whole = [ipv4() / udp(7, 8) / bytes(40), ipv4(protocol=89, identification=2) / bytes(40)]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([ethernet() / part for packet in whole for part in fragments(packet, 24)]))
    lines = [" ".join(line.split()[5:]) for line in run("packets", path).stdout.splitlines()]
    assert lines == [
        "udp 58 Fragment Offset=0 ID=0x0001 Len=24",
        "udp 58 7 → 8 Len=40",
        "ospf 58 Fragment Offset=0 ID=0x0002 Len=24",
        "ospf 50 [unsupported at ip]",
    ]


def test_packets_stop_after_the_count(cut: Path) -> None:
    assert len(run("packets", cut, "-n", "2").stdout.splitlines()) == 2
    assert [one["number"] for one in json.loads(run("packets", cut, "-n", "2", "--format", "json").stdout)] == [1, 2]
    assert len(run("packets", cut, "-n", "9", code=2).stdout.splitlines()) == 4


def test_info_is_what_a_file_is_made_of(capture: Path) -> None:
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


def test_info_in_json_is_an_array_of_files(capture: Path, cut: Path) -> None:
    whole, broken = json.loads(run("info", "--format", "json", capture, cut, code=2).stdout)
    assert (whole["packets"], whole["file"], whole["problems"]) == (5, str(capture), [])
    assert (whole["duration"], whole["first_packet"]) == (2 * 10**9, "2023-11-14T22:13:20.000000000Z")
    assert [problem["kind"] for problem in broken["problems"]] == ["truncated"]


def test_info_of_several_files_ends_with_their_total(capture: Path, cut: Path) -> None:
    total = run("info", capture, cut, code=2).stdout.partition("Total of 2 files\n")[2].splitlines()
    assert total[0].split() == ["Packets", "9"]
    assert any(line.split() == ["Decoded", "9", "of", "9", "frames,", "0", "undecodable"] for line in total)


def test_info_of_pcapng_tells_of_sections_interfaces_and_losses(tmp_path: Path) -> None:
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
def test_screens_keep_to_their_width(capture: Path, command: str, width: int) -> None:
    assert max(map(len, run(command, capture, width=width).stdout.splitlines())) <= width


def test_a_table_can_go_to_a_file(capture: Path, tmp_path: Path) -> None:
    for command in ("flows", "rtt", "info", "packets"):
        result = run(command, capture, "-o", tmp_path / "a.txt", "--format", "table")
        assert result.stdout == ""
        assert (tmp_path / "a.txt").read_text() == run(command, capture).stdout
