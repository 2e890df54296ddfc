"""Every analysis of a live capture is that of a file with the same frames.

Truth: the same command on the file, which other tests compare with tshark. The live source here (tests.replayed) lends
memory that it overwrites as soon as it is asked for more, as a ring does: nothing that was kept of it is right then.
"""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

import spanline
from spanline.errors import UsageError
from spanline.plaintext.redaction import Redactor
from spanline.sources import listening
from spanline.sources.live import Gap
from spanline.stages.flows import Flows
from spanline.stages.plaintext import Plaintext
from spanline.stages.summary import Summary
from tests.commands import handshake, run
from tests.craft import ethernet, ipv4, udp
from tests.craft_conversations import conversation, together
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import pieces
from tests.planted import LOGINS
from tests.replayed import Replayed

pytestmark = pytest.mark.usefixtures("state")

SECOND = 10**9
TELNET = LOGINS["telnet"].dialogue(b"alice", b"opensesame")


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """Logins, one behind VXLAN, handshakes, and a datagram in fragments with others between them."""
    fragments = [
        Record(START + n * 3_000_000, ethernet() / one)
        for n, one in enumerate(pieces(ipv4() / udp(53000, 53) / bytes(3000), 1000))
    ]
    parts = [
        conversation(TELNET, 23, vni=7),
        conversation(LOGINS["ftp"].dialogue(b"bob", b"secret"), 21, client_port=50001),
        conversation(LOGINS["pop"].dialogue(b"carol", b"secret"), 110, client_port=50002),
        handshake(),
        fragments,
    ]
    path = tmp_path / "crafted.pcap"
    path.write_bytes(pcap(together(parts), nanoseconds=True))
    return path


@pytest.fixture
def live(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> Replayed:
    return replayed(monkeypatch, crafted, frames=3, idle=1)


def replayed(monkeypatch: pytest.MonkeyPatch, path: Path, **options: Any) -> Replayed:
    source = Replayed(path, **options)
    monkeypatch.setattr(listening, "open_source", source.open)
    return source


COMMANDS = [
    ("flows", "--format", "json"),
    ("flows",),
    ("flows", "-Y", "tcp.port == 23", "--format", "json"),
    ("flows", "--inner-filter", "port 23", "--format", "json"),
    ("rtt", "--format", "json"),
    ("rtt", "--follow", "tcp.stream==0", "--format", "json"),
    ("stats", "all", "--format", "json"),
    ("stats", "all"),
    ("packets",),
    ("packets", "--format", "json"),
    ("packets", "--format", "csv"),
    ("packets", "-V"),
    ("packets", "-T", "json"),
    ("packets", "-T", "fields", "-e", "frame.number", "-e", "ip.src", "-e", "tcp.payload", "-e", "telnet.data"),
    ("packets", "-n", "5"),
    ("follow", "--stream", "tcp.stream==1"),
    ("follow", "--telnet"),
    ("follow", "--telnet", "--format", "json"),
    ("crunch", "--format", "csv", "-o", "-"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands(crafted: Path, live: Replayed, command: tuple[str, ...]) -> None:
    name, *options = command
    views = options[:1] if name == "stats" else []
    expected = run(name, *views, crafted, *options[len(views) :])
    assert expected.stdout
    assert run(name, *views, "live:span0", *options[len(views) :]).stdout == expected.stdout


@pytest.mark.parametrize("threads", [1, 3])
def test_findings(crafted: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """They come in the order in which they are known."""
    replayed(monkeypatch, crafted, frames=3, idle=1, overwrites=threads == 1)
    expected = json.loads(run("plaintext", crafted, "--format", "json").stdout)
    found = json.loads(run("plaintext", "live:span0", "--threads", threads, "--format", "json").stdout)
    assert len(found) >= 3
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_findings_on_a_terminal(live: Replayed) -> None:
    """A line each, at once, under headings that come with the first; at the end what to do."""
    wide = run("plaintext", "live:span0").stdout.splitlines()
    assert wide[0].endswith("UTC. *: on a port where nobody expects it.")
    assert wide[1].split()[:4] == ["Time", "Severity", "Protocol", "Client"]
    assert sorted(line.split()[2] for line in wide[2:5]) == ["ftp", "pop", "telnet"]
    assert len({line.index("10.0.0.5") for line in wide[2:5]}) == 1
    assert "What to do" in wide
    narrow = run("plaintext", "live:span0", width=80).stdout.splitlines()
    assert max(map(len, narrow)) <= 80
    assert sum("10.0.0.5 → 10.0.1.2" in line for line in narrow) == 3


def test_findings_come_before_the_capture_ends(crafted: Path) -> None:
    """While nothing more comes: a login whose conversation stays open is looked at when a second has passed."""
    quiet = crafted.with_name("open.pcap")
    quiet.write_bytes(pcap(conversation(LOGINS["ftp"].dialogue(b"bob", b"secret"), 21)[:-3]))
    source = Replayed(quiet, tail=4, pause=SECOND)
    stage = Plaintext(Redactor(bytes(32)))
    seen = [stage.pending for _ in capture_of(source).run(stage)]
    assert (seen[0], seen[-1]) == (0, 1)


def capture_of(source: Replayed) -> spanline.Capture:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listening, "open_source", source.open)
        capture = spanline.open("live:span0")
        capture.open()
    return capture


# --- time


def test_flows_end_on_an_idle_link(tmp_path: Path) -> None:
    """Two minutes after its last frame a flow has ended, though no frame says that time passes."""
    path = tmp_path / "handshake.pcap"
    path.write_bytes(pcap(handshake(), nanoseconds=True))
    stage, ended = Flows(), []
    for batch in capture_of(Replayed(path, tail=5, pause=50 * SECOND)).run(stage):
        ended.append((len(batch), stage.pending))
    assert ended == [(3, 0), (0, 0), (0, 0), (0, 1), (0, 1), (0, 1)]
    (flow,) = stage.drain()["flows"].to_pylist()
    assert (flow["end_reason"], flow["source_packets"], flow["destination_packets"]) == ("idle", 2, 1)


@pytest.mark.parametrize("pause", [SECOND, 40 * SECOND, 200 * SECOND])
def test_a_flow_goes_on_that_a_packet_extends(tmp_path: Path, pause: int) -> None:
    """Up to the last ns before its time-out: flows are those of the file, whenever the clock is looked at."""
    waits = [0, 119 * SECOND, 239 * SECOND - 1, 359 * SECOND - 2, 479 * SECOND, 479 * SECOND + 1]
    path = tmp_path / "waits.pcap"
    frame = ethernet() / ipv4() / udp(53000, 53) / b"question"
    path.write_bytes(pcap([Record(START + wait, frame) for wait in waits], nanoseconds=True))
    expected, found = Flows(), Flows()
    for _ in spanline.open(path).run(expected):
        pass
    for _ in capture_of(Replayed(path, frames=1, idle=6, pause=pause)).run(found):
        pass
    assert expected.live == 1
    assert [row["source_packets"] for row in expected.tables()["flows"].to_pylist()] == [4, 2]
    assert found.tables()["flows"].select(["source_packets"]).to_pylist() == [{"source_packets": n} for n in (4, 2)]


def test_flows_when_the_clock_is_set_back(tmp_path: Path) -> None:
    """By an hour: what comes afterwards is one flow, of as many packets as were sent, and what was before has ended
    neither at once nor never."""
    path = tmp_path / "set-back.pcap"
    times = [START + 3600 * SECOND + n * SECOND for n in range(10)] + [START + n * SECOND for n in range(300)]
    frames = [ethernet() / ipv4() / udp(1000 if time > START + 1000 * SECOND else 2000, 53) for time in times]
    path.write_bytes(pcap([Record(time, frame) for time, frame in zip(times, frames, strict=True)], nanoseconds=True))
    stage = Flows()
    for _ in capture_of(Replayed(path, frames=1, idle=1)).run(stage):
        pass
    rows = stage.tables()["flows"].sort_by("source_port").to_pylist()
    assert [(row["source_port"], row["source_packets"]) for row in rows] == [(1000, 10), (2000, 300)]


def test_flows_of_every_small_capture(captures: Path) -> None:
    """With idle time between frames, flows are those of the file, where frames are in order of time."""
    compared = 0
    for path in sorted(captures.glob("*/*.pcap")):
        if not 1000 < path.stat().st_size < 30_000 or path.name.startswith("unsupported"):
            continue
        expected, found, summary = Flows(idle_timeout=0.5), Flows(idle_timeout=0.5), Summary()
        capture = spanline.open(path)
        for _ in capture.run(expected, summary):
            pass
        if not summary.in_order or capture.interfaces.link_types.tolist() != [1]:
            continue
        for _ in capture_of(Replayed(path, frames=2, idle=3, pause=SECOND // 5)).run(found):
            pass
        file, live = expected.tables()["flows"], found.tables()["flows"]
        assert live.drop(["end_reason"]).equals(file.drop(["end_reason"])), path
        ends = zip(file.column("end_reason").to_pylist(), live.column("end_reason").to_pylist(), strict=True)
        # Which flows were idle is found out from time to time.
        assert {(there, here) for there, here in ends if there != here} <= {("forced", "idle")}, path
        compared += 1
    assert compared > 100


@pytest.mark.parametrize("command", ["flows", "rtt", "stats all", "packets -V", "follow --telnet"])
def test_memory_goes_back(live: Replayed, command: str) -> None:
    """Of a ring of few blocks: nobody keeps any beyond the next one."""
    name, *options = command.split()
    run(name, *options[: name == "stats"], "live:span0", *options[name == "stats" :])
    assert live.most_lent <= 2


# --- what a command says of the capture itself


def test_the_account(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame that was offered, by what became of it; nothing for those who want to hear nothing."""
    replayed(monkeypatch, crafted, lost=5)
    read = len(spanline.open(crafted).packets())
    result = run("flows", "live:span0", "-Y", "tcp.port == 23")
    account = result.stderr.splitlines()[-1]
    assert account.startswith(f"spanline: offered {read + 5} = read {read} + dropped 5 (ring 5); read {read} = decoded")
    assert "filtered out" in account
    assert run("flows", "live:span0", "-q").stderr == ""


@pytest.mark.parametrize("command", [("flows",), ("crunch", "-o", "flows.csv"), ("capture", "-w", "segments")])
def test_frames_that_were_put_together_are_told(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """By whatever takes frames: their lengths and number are not the network's."""
    monkeypatch.chdir(tmp_path)
    source = replayed(monkeypatch, crafted)
    source.longer = 1234
    last = run(command[0], "live:span0", *command[1:]).stderr.splitlines()[-1]
    assert last.endswith("; 1,234 longer than the MTU, put together on the way")


def test_crunch_accounts_for_everything_in_one_line(crafted: Path, live: Replayed, tmp_path: Path) -> None:
    result = run("crunch", "live:span0", "-o", tmp_path / "flows.parquet")
    (line,) = result.stderr.splitlines()
    assert re.search(r"offered (\d+) = read \1 \+ dropped 0; read \1 = decoded \d+ \+ undecodable \d+; decoded", line)


def test_gaps_are_told(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When they began, and how long they were; one that lasts has no end."""
    gaps = Gap("span0", "down", START, START + 3 * SECOND), Gap("span0", "gone", START + 9 * SECOND, None)
    replayed(monkeypatch, crafted, gaps=gaps, tail=1)
    said = run("flows", "live:span0").stderr.splitlines()[:-1]
    assert said == [
        "spanline: span0: the link is down: nothing comes since 2023-11-14T22:13:20.000000000Z",
        "spanline: span0: frames come again, after 3.00 s",
        "spanline: span0: the interface was deleted: nothing comes since 2023-11-14T22:13:29.000000000Z",
    ]


def test_info(crafted: Path, live: Replayed) -> None:
    """What is in the frames is what is in those of the file."""
    (file,) = json.loads(run("info", crafted, "--format", "json").stdout)
    (here,) = json.loads(run("info", "live:span0", "--format", "json").stdout)
    assert (here["file"], here["format"], here["interfaces"][0]["name"]) == ("live:span0", "live", "live:span0")
    for name in ("packets", "data_size", "first_packet", "last_packet", "decoded", "verdicts", "stacks"):
        assert here[name] == file[name]
    assert "File size" not in run("info", "live:span0").stdout


def test_what_is_revealed_is_logged_before_it_is_shown(live: Replayed, tmp_path: Path) -> None:
    """As often as there is more to show; an interface is named as the user named it."""
    result = run("plaintext", "live:span0", "--reveal-anyway", "--format", "json")
    assert "opensesame" in result.stdout
    log = next(Path(os.environ["XDG_STATE_HOME"]).rglob("revealed.jsonl"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    shown = sum(finding["secret"] is not None for finding in json.loads(result.stdout))
    assert sum(line["revealed"] for line in lines) == shown
    assert all(line["captures"] == ["live:span0"] for line in lines)


# --- in Python


def test_batches_of_an_iteration_are_owned(crafted: Path) -> None:
    """What is overwritten is not theirs."""
    frames = [bytes(record.frame) for record in read_frames(crafted)]
    found = []
    for batch in list(capture_of(Replayed(crafted, frames=3, borrows=True))):
        offsets, lengths = batch.packets["frame_offset"].tolist(), batch.packets["captured_length"].tolist()
        found += [bytes(batch.buffers[0][at : at + n]) for at, n in zip(offsets, lengths, strict=True)]
    assert found == frames


def read_frames(path: Path) -> list[Record]:
    found = []
    for batch in spanline.open(path):
        columns = (batch.packets[name].tolist() for name in ("timestamp", "frame_offset", "captured_length"))
        for time, at, n in zip(*columns, strict=True):
            found.append(Record(time, bytes(batch.buffers[0][at : at + n])))
    return found


def test_an_iteration_can_be_stopped_and_begun_again(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = replayed(monkeypatch, crafted, frames=1000, ends=False)
    capture = spanline.open("live:span0", duration=60, snaplen=96)
    for _ in range(2):
        batches = 0
        for _ in capture.run():
            batches += 1
            if batches == 3:
                capture.stop()
        assert batches >= 3
        assert capture.arrivals.offered == capture.arrivals.read == capture.counters.read
    assert [(one.duration, one.snaplen) for one in source.opened] == [(60, 96)] * 2


def test_whoever_leaves_early_leaves_frames_behind(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted, too."""
    source = replayed(monkeypatch, crafted, frames=3)
    capture = spanline.open("live:span0")
    batches = capture.run()
    next(batches)
    source.arrivals.offered += 7
    batches.close()
    assert (capture.arrivals.read, capture.arrivals.dropped) == (3, {"unread": 7})
    assert capture.counters.read == 3


def test_several_sources(crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of all, each of its interface; the clock is that of who is furthest behind, until it is over."""
    other = tmp_path / "other.pcap"
    other.write_bytes(pcap([Record(START + 5 * SECOND, record.frame) for record in handshake("10.9.9.9")]))
    sources = {"live:a": Replayed(crafted, frames=3, overwrites=False), "live:b": Replayed(other, overwrites=False)}
    monkeypatch.setattr(listening, "open_source", lambda name, *rest: sources[name].open(name, *rest))
    capture = spanline.open(["live:a", "live:b"])
    count = {0: 0, 1: 0}
    for batch in capture.run():
        for number in batch.packets["interface"].tolist():
            count[number] += 1
        if 1 in batch.packets["interface"] and count[0] < sources["live:a"].arrivals.read:
            assert batch.clock is None or batch.clock < START + 5 * SECOND
    assert count == {0: len(read_frames(crafted)), 1: 3}
    assert [capture.interfaces[n].name for n in (0, 1)] == ["live:a", "live:b"]
    assert capture.arrivals.read == capture.counters.read == sum(count.values())


def test_an_error_of_one_source_is_raised(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are closed, and their threads over."""
    sources = {"live:a": Replayed(crafted, ends=False, overwrites=False), "live:b": Replayed(crafted)}
    monkeypatch.setattr(sources["live:b"], "chunks", lambda: (_ for _ in [1 / 0]))
    monkeypatch.setattr(listening, "open_source", lambda name, *rest: sources[name].open(name, *rest))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(spanline.open(["live:a", "live:b"]).run())
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["live:a", "capture.pcap"], {}, "do not go together"),
        (["capture.pcap"], {"duration": 3}, "is no live source"),
        (["live:"], {}, "nothing is named"),
    ],
)
def test_what_makes_no_sense(names: list[str], options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        spanline.open(names, **options).open()
