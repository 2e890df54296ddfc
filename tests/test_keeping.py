"""What is kept in the user's folders: used again only when this installation wrote it, whatever else stands there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import hyperscan
import pytest

from spanline import keeping, matching
from spanline.keeping import cache_folder, installation_key, kept, state_folder
from spanline.protocols import applications, tables
from spanline.protocols.compiling import compile_tables


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Maker:
    """Counts how often something is made."""

    def __init__(self, content: bytes = b"made") -> None:
        self.content = content
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.content


def the_file() -> Path:
    (file,) = cache_folder().iterdir()
    return file


def test_it_is_made_once(home: Path) -> None:
    make = Maker()
    assert [kept("thing", b"source", make) for _ in range(3)] == [b"made"] * 3
    assert make.times == 1
    assert the_file().parent == home / ".cache" / "spanline"
    kept("thing", b"another source", make)
    kept("other", b"source", make)
    assert make.times == 3


def test_only_the_user_can_read_it() -> None:
    kept("thing", b"source", Maker())
    for path in cache_folder(), state_folder():
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in path.iterdir())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def open_to_others(path: Path) -> None:
    path.chmod(0o644)


def link(path: Path) -> None:
    other = path.with_name("elsewhere")
    path.rename(other)
    path.symlink_to(other)


def other_name(path: Path) -> None:
    """What this installation wrote for something else."""
    kept("other", b"source", Maker(b"other"))
    path.write_bytes(next(file for file in cache_folder().iterdir() if file.name.startswith("other")).read_bytes())


def new_key(path: Path) -> None:
    (state_folder() / "key").unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [flip, cut, open_to_others, link, other_name, new_key, folder])
def test_what_somebody_changed_is_made_again(change: object) -> None:
    make = Maker()
    kept("thing", b"source", make)
    change(the_file())  # type: ignore[operator]
    assert kept("thing", b"source", make) == b"made"
    assert make.times == 2


def test_without_a_place_it_is_made_each_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "file"
    file.touch()
    make = Maker()
    for name, value in (("HOME", str(file)), ("XDG_STATE_HOME", "/dev/null/x"), ("XDG_CACHE_HOME", "/dev/null/x")):
        monkeypatch.setenv(name, value)
        assert kept("thing", b"source", make) == b"made"
    assert make.times == 3


def test_a_folder_where_others_can_write_is_not_used() -> None:
    make = Maker()
    kept("thing", b"source", make)
    state_folder().chmod(0o777)
    kept("thing", b"source", make)
    assert make.times == 2
    with pytest.raises(PermissionError, match="somebody else can write there"):
        installation_key("any")


@pytest.mark.parametrize(("content", "mode", "message"), [(b"x" * 31, 0o600, "no key"), (b"x" * 32, 0o640, "not only")])
def test_a_wrong_key_is_refused(content: bytes, mode: int, message: str) -> None:
    installation_key("any")
    key = state_folder() / "key"
    key.write_bytes(content)
    key.chmod(mode)
    with pytest.raises(OSError, match=message):
        installation_key("any")


def test_keys_differ_by_purpose_and_stay() -> None:
    assert installation_key("a") == installation_key("a") != installation_key("b")
    assert len(installation_key("a")) == 32


def test_what_is_old_is_removed() -> None:
    kept("thing", b"old", Maker())
    old = the_file()
    os.utime(old, (0, 0))
    kept("thing", b"new", Maker())
    assert the_file() != old


def found(database: hyperscan.Database, text: bytes) -> list[int]:
    numbers: list[int] = []
    scratch = hyperscan.Scratch(database)
    database.scan(text, match_event_handler=lambda number, *_: numbers.append(number), scratch=scratch)
    return numbers


def test_kept_patterns_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions, flags = [b"^login: $", b"pass(word)?:"], [0, hyperscan.HS_FLAG_CASELESS]
    made = matching.compiled(expressions, flags)
    monkeypatch.setattr(matching.hyperscan, "dumpb", None)  # which compiling would need
    again = matching.compiled(expressions, flags)
    for text in (b"login: ", b"PASSWORD:", b"nothing"):
        assert found(made, text) == found(again, text) == ([0] if text == b"login: " else [1] if b":" in text else [])


def test_a_wrong_pattern_is_not_kept() -> None:
    with pytest.raises(hyperscan.error):
        matching.compiled([b"("], [0])
    assert not cache_folder().exists()


def test_kept_tables_are_those_of_the_protocol_files() -> None:
    made = compile_tables(applications())
    for _ in range(2):
        unpacked, patterns = tables._unpack(keeping.kept("protocols", b"x", tables._make))
        assert list(unpacked[0]) == list(made[0])
        assert list(unpacked[13]) == list(made[13])
        for n in (*range(1, 7), *range(9, 13)):
            assert unpacked[n].dtype == made[n].dtype
            assert unpacked[n].tobytes() == made[n].tobytes()
        for n in (7, 8):
            assert [part.tobytes() for part in unpacked[n]] == [part.tobytes() for part in made[n]]
        foreign = [(one.name, text) for one in applications() for text in one.foreign]
        assert [(made[0][number], text.encode("latin-1")) for number, text in patterns] == foreign
