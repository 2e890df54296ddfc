"""Frames into capture files: what other programs read in them is what they read in the source.

Oracles: tshark, capinfos and tcpdump on the source and on the copy; the crafted blocks, byte for byte.
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import spanline
from spanline.errors import OutputError, SpanlineError, UsageError
from spanline.writing import capture_suffixes, open_capture_output
from tests.commands import PROGRAM, handshake, run, spawn
from tests.craft import Frame, arp, ethernet, ipv4, sll, tcp, udp
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_fragments import pieces
from tests.tshark import manifest

FRAMES = [ethernet() / ipv4(identification=n) / udp(1000 + n, 53) / bytes(range(n)) for n in range(9)]
FIELDS = (
    "frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_id", "frame.interface_name",
    "frame.interface_description", "frame.encap_type", "frame.comment", "frame.packet_flags", "frame.drop_count",
    "frame.packet_id", "frame.interface_queue", "frame.protocols",
)  # fmt: skip
WITHOUT_INTERFACES = tuple(field for field in FIELDS if "interface" not in field)


def fields(path: Path, names: tuple[str, ...] = FIELDS) -> list[str]:
    """What tshark prints of each frame."""
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    wanted = [argument for name in names for argument in ("-e", name)]
    result = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", *wanted], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def rows(path: Path | str, *, interfaces: bool = True) -> list[tuple[int, int, bytes, int]]:
    """Time, wire length, captured bytes and link type (or interface) of each frame, as spanline reads them."""
    found = []
    for batch in spanline.open(path):
        for record in batch.records:
            at, number = int(record["offset"]), int(record["interface"])
            octets = batch.buffers[0][at : at + int(record["captured_length"])].tobytes()
            kind = number if interfaces else batch.interfaces[number].link_type
            found.append((int(record["timestamp"]), int(record["wire_length"]), octets, kind))
    return found


def copy(source: Path | list[Path], target: Path) -> Path:
    capture = spanline.open(source)
    with open_capture_output(str(target), capture) as writer:
        for batch in capture:
            writer.write(batch)
    return target


def rich_capture(order: Pcapng) -> bytes:
    """Every block with a frame, every kind of clock, every option of a frame."""
    u32, u64 = (lambda n: order.pack("I", n)), (lambda n: order.pack("Q", n))
    custom = (2988, order.pack("I", 32473) + b"text")
    described = [(1, b"spare"), (4, bytes(8)), (6, bytes(6)), (8, u64(10**9)), (12, b"Linux"), (13, b"\4"), custom]
    options = [(1, b"first"), (1, "zweite, größer".encode()), (2, u32(1)), (4, u64(7)), (5, u64(2**40)), (6, u32(3))]
    blocks = [
        order.section(hardware="AMD", system="Linux 6", application="dumpcap", comment="a section's comment"),
        order.interface(name="eth0", description="the first", tsresol=6, options=[*described, (11, b"\0tcp")]),
        order.interface(113, name="any", snaplen=96, tsresol=9),
        order.interface(name="ms", tsresol=3, tsoffset=3600),
        order.interface(name="binary", tsresol=0x8A, options=[(11, b"\1" + bytes(8))]),
        order.interface(name="ps", tsresol=12, tsoffset=-7200),
        order.enhanced(FRAMES[3], START // 1000 + 5, options=[*options, (2989, u32(32473) + b"\1\2\3")]),
        order.enhanced(sll() / ipv4() / tcp(), START + 9, interface=1, wire_length=1500, comment="cut"),
        order.enhanced(FRAMES[1], START // 10**6, interface=2, flags=2, dropped=9),
        order.enhanced(FRAMES[2], (START << 10) // 10**9 + 77, interface=3),
        order.enhanced(FRAMES[5], 10**18 + 123, interface=4),
        order.simple(FRAMES[4]),
        order.obsolete(FRAMES[6], START // 1000 + 9, dropped=0xFFFF, comment="obsolete"),
        order.statistics(received=9, dropped=1),
        order.interface(147, name="unused"),
        order.enhanced(b"", START // 1000 + 99, comment=""),
    ]
    return b"".join(blocks)


@pytest.mark.parametrize("big_endian", [False, True])
def test_everything_that_a_file_says_of_a_frame(big_endian: bool, tmp_path: Path) -> None:
    """tshark prints the same of source and copy, and so does spanline.

    But for a simple packet block, which has no time: everywhere in spanline its frame has that of the one before.
    """
    source = tmp_path / "source.pcapng"
    source.write_bytes(rich_capture(Pcapng(big_endian=big_endian)))
    target = copy(source, tmp_path / "copy.pcapng")
    assert rows(target) == rows(source)
    expected, found = fields(source), fields(target)
    assert expected[5].startswith("\t")
    expected[5] = found[5].split("\t")[0] + expected[5]
    assert found == expected
    assert copy(target, tmp_path / "again.pcapng").read_bytes() == target.read_bytes()


def described(path: Path) -> list[str]:
    """What capinfos says of the interfaces, without the counts of statistics blocks."""
    if not shutil.which("capinfos"):
        pytest.skip("no capinfos")
    text = subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line.strip() for line in text[text.index("Interface #0") :].splitlines()]
    return [line for line in lines if not line.startswith(("Number of stat entries", "Time p", "Time t"))]


def test_interfaces(tmp_path: Path) -> None:
    """capinfos describes them alike; a binary clock becomes one of nanoseconds, and so does one of picoseconds."""
    source = tmp_path / "source.pcapng"
    source.write_bytes(rich_capture(Pcapng(big_endian=True)))
    target = copy(source, tmp_path / "copy.pcapng")
    assert described(target)[:12] == described(source)[:12]
    names = "link_type", "snaplen", "name", "description", "os", "filter", "offset", "options"
    before, after = spanline.open(source), spanline.open(target)
    for capture in before, after:
        assert sum(map(len, capture)) == 8
    assert len(before.interfaces) == len(after.interfaces) == 6
    for n in range(6):
        first, second = before.interfaces[n], after.interfaces[n]
        assert [getattr(first, name) for name in names] == [getattr(second, name) for name in names]
        assert second.resolution == (1e-9 if n in (3, 4) else first.resolution)
    (section,) = after.files[0].sections
    assert section["comment"] == "a section's comment"
    assert (section["hardware"], section["os"]) == ("AMD", "Linux 6")
    assert section["application"] == f"spanline {spanline.__version__}"


@pytest.mark.parametrize("nanoseconds", [False, True])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_pcap(nanoseconds: bool, big_endian: bool, suffix: str, tmp_path: Path) -> None:
    """To the same bytes, but for the snaplen, where the source is little-endian pcap and the copy pcap too."""
    records = [Record(START + 123_456_789 * n, frame, 900) for n, frame in enumerate(FRAMES)]
    source = tmp_path / "source.pcap"
    source.write_bytes(pcap(records, nanoseconds=nanoseconds, big_endian=big_endian))
    target = copy(source, tmp_path / f"copy.{suffix}")
    assert rows(target) == rows(source)
    assert fields(target, WITHOUT_INTERFACES) == fields(source, WITHOUT_INTERFACES)
    if suffix == "pcap" and sys.byteorder == "little":
        assert target.read_bytes() == pcap(records, nanoseconds=nanoseconds)


@pytest.mark.parametrize("suffix", ["pcapng.zst", "pcap.gz", "pcap.lz4", "PCAPNG.GZ", "pcap.zst"])
def test_compressed(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "source.pcap"
    source.write_bytes(pcap(FRAMES * 3000))
    target = copy(source, tmp_path / f"copy.{suffix}")
    assert target.stat().st_size < source.stat().st_size / 4
    capture = spanline.open(target)
    assert sum(map(len, capture)) == 27_000
    assert capture.files[0].compression == {"zst": "zstd", "gz": "gzip", "lz4": "lz4"}[suffix.lower().split(".")[1]]
    assert not capture.problems
    assert rows(target) == rows(source)
    if suffix.endswith("gz"):
        assert gzip.decompress(target.read_bytes()) == source.read_bytes()


def test_what_matched(tmp_path: Path) -> None:
    """tcpdump with the filter writes the same file as spanline, which had the filter before it."""
    source, target = tmp_path / "source.pcap", tmp_path / "copy.pcap"
    source.write_bytes(pcap([*handshake(), *FRAMES, ethernet() / arp()]))
    run("packets", "-f", "udp portrange 1002-1005", "-n", "3", "-w", target, source)
    assert [row[2] for row in rows(target)] == [bytes(frame) for frame in FRAMES[2:5]]
    run("packets", "-f", "udp", "-w", target, source)
    if shutil.which("tcpdump"):
        expected = subprocess.run(["tcpdump", "-r", str(source), "-w", "-", "udp"], capture_output=True, check=True)
        assert target.read_bytes() == expected.stdout


def test_several_files(tmp_path: Path) -> None:
    """Interfaces of each under their numbers in one section; frames by time, each with its own comment."""
    for name, start in ("a", START), ("b", START + 500):
        blocks = [Pcapng().enhanced(frame, start + 1000 * n, comment=f"{name}{n}") for n, frame in enumerate(FRAMES)]
        file = Pcapng().section(comment=name) + Pcapng().interface(name=name) + b"".join(blocks)
        (tmp_path / f"{name}.pcapng").write_bytes(file)
    target = copy([tmp_path / "a.pcapng", tmp_path / "b.pcapng"], tmp_path / "copy.pcapng")
    names = "frame.interface_id", "frame.interface_name", "frame.comment"
    expected = [f"{n}\t{name}\t{name}{m}" for m in range(len(FRAMES)) for n, name in enumerate("ab")]
    assert fields(target, names) == expected


def test_fragments_are_written_as_they_were_captured(tmp_path: Path) -> None:
    source = tmp_path / "source.pcap"
    source.write_bytes(pcap([ethernet() / part for part in pieces(ipv4() / udp(7, 8) / bytes(99), 32)]))
    assert copy(source, tmp_path / "copy.pcap").read_bytes() == source.read_bytes()


def test_nothing_matched(tmp_path: Path) -> None:
    """A file without frames that others read, with the interfaces."""
    source = tmp_path / "source.pcapng"
    source.write_bytes(rich_capture(Pcapng()))
    for suffix in "pcapng", "pcap":
        target = tmp_path / f"copy.{suffix}"
        run("packets", "-f", "port 9", "-w", target, source, code=2)  # link type 147 has no program
        assert fields(target) == []
    capture = spanline.open(tmp_path / "copy.pcapng")
    assert sum(map(len, capture)) == 0
    assert [capture.interfaces[n].name for n in range(6)] == ["eth0", "any", "ms", "binary", "ps", "unused"]


def test_undeclared_interfaces(tmp_path: Path) -> None:
    """Nobody knows what their frames are: they are left out, and counted."""
    source, target, ng = tmp_path / "source.pcapng", tmp_path / "copy.pcapng", Pcapng()
    source.write_bytes(ng.file(FRAMES[:2]) + ng.enhanced(FRAMES[2], interface=7) + ng.enhanced(FRAMES[3]))
    lines = run("packets", "-w", target, source, code=2).stderr.splitlines()
    assert lines[0] == "spanline: 1 frame of interfaces that are never declared cannot be written"
    assert [row[2] for row in rows(target)] == [bytes(FRAMES[n]) for n in (0, 1, 3)]


def mixed(*interfaces: bytes) -> bytes:
    frames = [Pcapng().enhanced(FRAMES[n], START // 1000, interface=n) for n in range(len(interfaces))]
    return Pcapng().section() + b"".join(interfaces) + b"".join(frames)


NO_PCAP = {
    "link-types": (mixed(Pcapng().interface(1), Pcapng().interface(113)), "both link types 1 and 113"),
    "before-1970": (mixed(Pcapng().interface(tsoffset=-(2**31))), "before 1970"),
    "ns-after-us": (mixed(Pcapng().interface(tsresol=6)) + mixed(Pcapng().interface(tsresol=9)), None),
}


@pytest.mark.parametrize("name", NO_PCAP)
def test_what_has_no_room_in_pcap(name: str, tmp_path: Path) -> None:
    """One line that says to use .pcapng, which has it; and no file."""
    source, target = tmp_path / "source.pcapng", tmp_path / "copy.pcap"
    data, reason = NO_PCAP[name]
    source.write_bytes(data)
    if reason is None:  # both were declared before the first frame was written: then all are in ns
        assert rows(copy(source, target), interfaces=False) == rows(source, interfaces=False)
        return
    (line,) = run("packets", "-w", target, source, code=2).stderr.splitlines()
    assert reason in line
    assert ".pcapng" in line
    assert list(tmp_path.iterdir()) == [source]
    assert rows(copy(source, tmp_path / "copy.pcapng")) == rows(source)


def test_a_clock_that_came_too_late(tmp_path: Path) -> None:
    """A file in µs cannot go on in ns; interfaces of files that follow are not known when it begins."""
    first, second, target = (tmp_path / name for name in ("a.pcap", "b.pcap", "copy.pcap"))
    first.write_bytes(pcap(FRAMES))
    second.write_bytes(pcap([Record(START + 10**12, FRAMES[0])], nanoseconds=True))
    with pytest.raises(OutputError, match="began in µs"):
        copy([first, second], target)
    assert len(rows(copy([first, second], tmp_path / "copy.pcapng"))) == len(FRAMES) + 1


def test_link_types_beyond_16_bits(tmp_path: Path) -> None:
    source = tmp_path / "source.pcap"
    source.write_bytes(pcap(FRAMES, link_type=70_000))
    with pytest.raises(OutputError, match="70000"):
        copy(source, tmp_path / "copy.pcapng")
    assert copy(source, tmp_path / "copy.pcap").read_bytes() == source.read_bytes()


def test_large_frames_and_options(tmp_path: Path) -> None:
    """Larger than a piece of output: 262,144 bytes with comments of 256 KiB."""
    source, ng = tmp_path / "source.pcapng", Pcapng()
    frame = ethernet() / Frame() / bytes(262_130)
    comments = [(1, bytes([65 + n]) * 60_000) for n in range(4)]
    blocks = [ng.enhanced(frame, START + n, options=comments) for n in range(9)]
    source.write_bytes(ng.section() + ng.interface() + b"".join(blocks))
    target = copy(source, tmp_path / "copy.pcapng")
    assert rows(target) == rows(source)
    assert fields(target, ("frame.comment",)) == fields(source, ("frame.comment",))


def damaged_options(ng: Pcapng) -> bytes:
    """Options that do not end, that are longer than their block, and garbage behind the end of options."""
    lies = [ng.pack("HH", 1, 4) + b"good" + ng.pack("HH", 1, 999), ng.pack("HH", 2, 4), ng.pack("HH", 0, 0) + b"more"]
    frame = bytes(FRAMES[0])[:40]
    blocks = [ng.block(6, ng.pack("IIIII", 0, 0, n, 40, 40) + frame + lie) for n, lie in enumerate(lies)]
    return ng.section() + ng.interface() + b"".join(blocks)


@pytest.mark.parametrize("big_endian", [False, True])
def test_damaged_options(big_endian: bool, tmp_path: Path) -> None:
    """What is whole is kept; the copy is sound."""
    source = tmp_path / "source.pcapng"
    source.write_bytes(damaged_options(Pcapng(big_endian=big_endian)))
    target = copy(source, tmp_path / "copy.pcapng")
    assert fields(target, ("frame.comment", "frame.len")) == ["good\t40", "\t40", "\t40"]


# --- targets

TARGETS = (
    "out",
    "out.txt",
    "out.pcap.bz2",
    "out.zst",
    "out.pcapng.",
    ".pcap.xyz",
    "out.cap.gz",
    "out.parquet",
    "pcapng",
)


@pytest.mark.parametrize("name", TARGETS)
def test_wrong_names(name: str, capture: Path, tmp_path: Path) -> None:
    """One line that lists the suffixes, before anything is read."""
    (line,) = run("packets", "-w", tmp_path / name, capture, code=2).stderr.splitlines()
    assert ".pcapng" in line
    assert ".lz4" in line
    assert list(tmp_path.iterdir()) == [capture]


def test_suffixes() -> None:
    assert capture_suffixes("-") == (".pcapng", "")
    assert capture_suffixes("a.b/c.d.PCAP.Gz") == (".pcap", ".gz")
    with pytest.raises(UsageError):
        capture_suffixes("a.pcapng/b")


BAD_TARGETS = {
    "no-folder": ("nowhere/out.pcap", "No such file"),
    "a-folder": ("folder.pcap", "directory"),
    "full": ("full.pcapng", "No space left"),
    "full-compressed": ("full.pcap.zst", "No space left"),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_targets_that_cannot_be_written(name: str, capture: Path, tmp_path: Path) -> None:
    target, reason = BAD_TARGETS[name]
    (tmp_path / "folder.pcap").mkdir()
    if name.startswith("full"):
        (tmp_path / target).symlink_to("/dev/full")
    (line,) = run("packets", "-w", tmp_path / target, capture, code=2).stderr.splitlines()
    assert line.startswith(f"spanline: cannot write {tmp_path / target}: ")
    assert reason in line


def test_not_with_other_output(capture: Path, tmp_path: Path) -> None:
    for options in (["-o", tmp_path / "a.csv"], ["--format", "json"]):
        assert "choose one" in run("packets", "-w", tmp_path / "a.pcap", *options, capture, code=2).stderr


def test_over_its_own_source(capture: Path) -> None:
    """The file is replaced when all of it was read."""
    before = rows(capture)
    run("packets", "-f", "tcp", "-w", capture, capture)
    assert rows(capture) == before[:3]


def test_standard_output(capture: Path) -> None:
    result = spawn("packets", "-w", "-", str(capture))
    assert result.returncode == 0
    assert result.stdout[:4] == bytes.fromhex("0a0d0d0a")
    again = spawn("packets", "-w", "-", "-", input=result.stdout)
    assert again.stdout == result.stdout


def test_not_to_a_terminal(capture: Path) -> None:
    master, terminal = os.openpty()
    result = subprocess.run(
        [*PROGRAM, "packets", "-w", "-", capture], stdout=terminal, stderr=subprocess.PIPE, timeout=60
    )
    os.close(terminal)
    os.close(master)
    assert result.returncode == 2
    assert b"not for terminals" in result.stderr


def test_whoever_read_it_went_away(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap(FRAMES * 5000))
    writer = subprocess.Popen([*PROGRAM, "packets", "-w", "-", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.close()
    _, said = writer.communicate(timeout=60)
    assert (writer.returncode, said) == (141, b"")


# --- the shared captures


def test_every_capture(captures: Path, tmp_path: Path) -> None:
    """Source and copy are the same to spanline, in both formats where both have room."""
    refused = {".pcapng": 0, ".pcap": 0}
    compared = 0
    for name in manifest(captures):
        path = captures / name
        if path.stat().st_size > 100_000:
            continue
        for suffix in refused:
            target = tmp_path / f"copy{suffix}"
            try:
                copy(path, target)
            except OutputError:
                refused[suffix] += 1
                continue
            except SpanlineError:  # no capture
                continue
            assert content(target, suffix) == content(path, suffix), name
            compared += 1
    assert compared > 1500
    assert refused == {".pcapng": 4, ".pcap": 5}


def content(path: Path, suffix: str) -> tuple[bytes, bytes]:
    """Bytes, and times, lengths and interfaces, of all frames of interfaces that are declared."""
    octets, described = [], []
    for batch in spanline.open(path):
        records = batch.records[batch.records["interface"] < len(batch.interfaces)].copy()
        for at, size in records[["offset", "captured_length"]].tolist():
            octets.append(batch.buffers[0][at : at + size].tobytes())
        records["offset"] = records["options"] = 0
        if suffix == ".pcap":
            records["interface"] = 0
        described.append(records.tobytes())
    return b"".join(octets), b"".join(described)


REAL = (
    "apps/bgp__tcpdump__bgp-extended-shutdown-msg.pcapng", "apps/http2__TracePcap__free5gc.pcap",
    "apps/http__BruteShark__HTTP_-_NTLM.pcapng",
    "formats/pcapng-multi__zeek__pcapng-multi-interface.pcapng", "formats/pcapng-multi__zeek__snap-arp.pcapng",
)  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_captures(name: str, captures: Path, tmp_path: Path) -> None:
    """tshark prints the same of source and copy."""
    source = captures / name
    is_pcapng = source.read_bytes()[:4] == struct.pack("<I", 0x0A0D0D0A)
    names = FIELDS if is_pcapng else WITHOUT_INTERFACES
    assert fields(copy(source, tmp_path / "copy.pcapng"), names) == fields(source, names)
