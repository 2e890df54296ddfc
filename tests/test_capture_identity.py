"""A capture is the same whatever its file is called and however it is compressed.

Oracle: the flows of the capture, analysed once without a store.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.errors import OutputError
from spanline.sources.identity import Sample, head_inside, head_of, identity_inside, identity_of
from spanline.store import Store
from tests.commands import many_flows, run

pytestmark = pytest.mark.usefixtures("apart")


def zstd(octets: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.compress(octets)


def lz4(octets: bytes) -> bytes:
    import lz4.frame

    made: bytes = lz4.frame.compress(octets)
    return made


def in_parts(octets: bytes) -> bytes:
    return gzip.compress(octets[:1000]) + gzip.compress(octets[1000:])


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gz": gzip.compress, "parts.gz": in_parts, "zst": zstd, "lz4": lz4,
    "xz": lzma.compress, "bz2": bz2.compress,
}  # fmt: skip


def written(folder: Path, way: str, octets: bytes) -> Path:
    path = folder / f"capture.pcap.{way}".rstrip(".")
    path.write_bytes(WAYS[way](octets))
    return path


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 17) - 1, (1 << 17) + 100, 3_000_000])
@pytest.mark.parametrize("step", [100_000, 1 << 20])
def test_bytes_are_the_same_as_a_file_and_in_pieces(size: int, step: int, tmp_path: Path) -> None:
    octets = np.random.default_rng(size).bytes(size)
    plain, packed = (written(tmp_path, way, octets) for way in ("", "gz"))
    sample = Sample()
    for at in range(0, size, step):
        sample.add(memoryview(octets)[at : at + step])
    assert sample.identity == identity_of(plain) == identity_inside(str(packed)) != identity_of(packed)
    assert head_inside(str(packed)) == head_of(identity_of(plain))
    assert not head_inside(str(plain))


@pytest.mark.parametrize("at", [0, 65_535, 131_072, 400_000 - 1])
def test_another_byte_is_another_capture(at: int, tmp_path: Path) -> None:
    octets = bytearray(400_000)
    one = identity_of(written(tmp_path, "", bytes(octets)))
    octets[at] = 1
    assert identity_of(written(tmp_path, "", bytes(octets))) != one
    assert identity_of(written(tmp_path, "", bytes(400_001))) != one


@pytest.mark.parametrize(
    ("first", "second"), [(one, other) for one in WAYS for other in WAYS if one != other and "" in (one, other)]
)
def test_a_capture_is_added_once_however_it_is_compressed(first: str, second: str, tmp_path: Path) -> None:
    octets = many_flows(tmp_path, 30).read_bytes()
    store = tmp_path / "store"
    for way in (first, first, second, second):
        result = run("crunch", written(tmp_path, way, octets), "--store", store)
        (tmp_path / f"capture.pcap.{way}".rstrip(".")).unlink()
    assert "nothing added" in result.stderr
    assert Store(store).read().num_rows == 30
    (facts,) = json.loads(run("store", "info", store, "--format", "json").stdout)
    assert len(facts["captures"]) == 1


@pytest.mark.parametrize("ways", [["", "gz"], ["gz", "zst"], ["parts.gz", "gz", ""]])
def test_of_a_folder_a_capture_is_added_once(ways: list[str], tmp_path: Path) -> None:
    octets = many_flows(tmp_path, 30).read_bytes()
    folder = tmp_path / "captures"
    for n, way in enumerate(ways):
        (folder / str(n)).mkdir(parents=True)
        written(folder / str(n), way, octets)
    told = run("crunch", folder, "--store", tmp_path / "store").stderr
    assert told.count("left out") == len(ways) - 1
    assert Store(tmp_path / "store").read().num_rows == 30


def test_what_begins_alike_is_another_capture(tmp_path: Path) -> None:
    """A file that has grown, compressed: all of it is unpacked, and it is not the same."""
    whole = many_flows(tmp_path, 30)
    octets, expected = whole.read_bytes(), len(spanline.flows(whole))
    frame = (len(octets) - 24) // 30
    less = len(octets) - 10 * frame
    store = tmp_path / "store"
    run("crunch", written(tmp_path, "gz", octets[:less]), "--store", store)
    run("crunch", written(tmp_path, "zst", octets), "--store", store)
    assert Store(store).read().num_rows == expected + 20


def test_compressed_data_that_is_cut_is_like_nothing_else(tmp_path: Path) -> None:
    octets = many_flows(tmp_path, 3000).read_bytes()
    path = written(tmp_path, "gz", octets)
    path.write_bytes(path.read_bytes()[:-1000])
    assert identity_inside(str(path)) == ""
    store = tmp_path / "store"
    run("crunch", path, "--store", store, code=2)
    assert "nothing added" in run("crunch", path, "--store", store).stderr
    run("crunch", written(tmp_path, "", octets), "--store", store)
    assert "capture.pcap" in Store(store).captures().values()


def test_two_runs_at_once_do_not_add_the_same(tmp_path: Path) -> None:
    """As two processes that looked what there is before either of them wrote."""
    store = Store(tmp_path / "store", create=True)
    capture = [("identity", "a.pcap")]
    with store.writing(capture):
        pass
    with (
        pytest.raises(OutputError, match=r"a.pcap: added to the store .* by another run meanwhile"),
        store.writing(capture),
    ):
        pass
