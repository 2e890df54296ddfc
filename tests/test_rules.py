"""Files of rules: what is taken, and what is said of what is not.

Oracle: hyperscan's own compiler says of each pattern whether it is one; the rest by hand.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import hyperscan
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanline.cli.text import printable
from spanline.errors import UsageError
from spanline.plaintext import rule_reading, rules_check
from spanline.plaintext.model import Sender, Severity
from spanline.plaintext.rule_file import EXAMPLE, RulesError
from spanline.plaintext.rules import WatchedRules, read_rules
from spanline.plaintext.rules_check import Job, Refusal, compile_bounded
from spanline.plaintext.scanning import Scanner
from tests.hostile_rules import WRONG_FILES, hostile_names, hostile_rules

ONE = "- {name: one, pattern: cat, message: a cat}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is compiled is kept in a home of each test's own."""
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def file_of(folder: Path, text: str | bytes, name: str = "rules.yaml") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def lines_about(*paths: str) -> tuple[str, ...]:
    with pytest.raises(RulesError) as raised:
        read_rules(paths, {"telnet", "http"})
    lines = raised.value.lines
    assert (str(raised.value), *raised.value.excerpt()) == lines
    assert all(printable(line) == line for line in lines)
    return lines


def test_a_rule_is_what_the_file_says(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        "# ours\n"
        "- name: a\n  pattern: '(b)c'\n  message: m\n"
        "- {name: b, pattern: x y, flags: xism, message: n, severity: high, direction: server, protocol: http, "
        "remedy: r}\n"
        "- name: c\n  message: >\n    two\n    lines\n  pattern: |\n    a b\n",
    )
    first, second, third = read_rules([path], {"http"})
    assert (first.name, first.expression, first.flags, first.protocol, first.sender) == ("a", b"(b)c", 0, "", None)
    assert (first.severity, first.message, first.remedy) == (Severity.MEDIUM, "m", "")
    assert (first.path, first.number, first.line) == (path, 1, 3)
    assert (second.expression, second.flags) == (
        b"(?x)x y\n",
        hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE,
    )
    assert (second.protocol, second.sender, second.severity, second.remedy) == ("http", Sender.SERVER, "high", "r")
    assert (third.expression, third.message, third.number, third.line) == (b"a b", "two lines", 3, 10)


def test_the_example_is_right(tmp_path: Path) -> None:
    rules = read_rules([file_of(tmp_path, EXAMPLE)])
    found = Scanner((), rules).scan_one(b"key: AKIAABCDEFGHIJKLMNOP.", 0)
    assert found is not None
    assert [match.places for match in found.rules] == [((5, 25),)]


@pytest.mark.parametrize(
    ("flags", "pattern", "head", "matches"),
    [
        ("", "ab", b"AB", False), ("i", "ab", b"AB", True), ("", "a.b", b"a\nb", False), ("s", "a.b", b"a\nb", True),
        ("", "^b", b"a\nb", False), ("m", "^b", b"a\nb", True), ("", "a b", b"ab", False),
        ("x", "a b # c", b"ab", True), ("ix", "A  B", b"ab", True), ("", "ä", "ä".encode(), True),
        ("", "a", b"\xff\0a", True),
    ],
)  # fmt: skip
def test_flags(tmp_path: Path, flags: str, pattern: str, head: bytes, matches: bool) -> None:
    rules = read_rules([file_of(tmp_path, f"- {{name: r, pattern: '{pattern}', flags: '{flags}', message: m}}")])
    assert (Scanner((), rules, known=()).scan_one(head, 0) is not None) == matches


def test_a_thousand_hostile_rules_give_a_thousand_clear_errors(tmp_path: Path) -> None:
    """Each one a line with the file, the rule and its line; where the pattern is wrong, hyperscan says so, too."""
    rules, names = hostile_rules(), hostile_names()
    texts = [f"- name: n{n}\n  {one.text}\n" for n, one in enumerate(rules)]
    # Those whose name is wrong have the other key twice, which is the second line about them.
    texts = [text.replace(f"name: n{n}\n  name:", "name:", 1) for n, text in enumerate(texts)]
    said = [one.said for one in rules]
    texts += [f"- name: {name}\n  pattern: x\n  message: m\n" for name, _ in names]
    said += [what for _, what in names]
    assert len(texts) > 1000
    path = file_of(tmp_path, "".join(texts))
    lines = lines_about(path)
    numbers = {
        n: [line for line in lines if f"rule {n} (" in line or f"(rule {n}, line " in line]
        for n in range(1, len(texts) + 1)
    }
    missing = [
        (n, texts[n - 1], what, numbers[n]) for n, what in enumerate(said, 1) if what not in "\n".join(numbers[n])
    ]
    assert missing == []
    assert all(line.startswith(f"{path}: rule ") and "line " in line and "; " in line for line in lines)
    assert sum(map(len, numbers.values())) == len(lines)
    for one in rules:
        if one.pattern:
            database = hyperscan.Database()
            with pytest.raises(hyperscan.error):
                database.compile(expressions=[one.pattern.encode()], flags=[hyperscan.HS_FLAG_SOM_LEFTMOST])


@pytest.mark.parametrize("text", WRONG_FILES, ids=range(len(WRONG_FILES)))
def test_a_file_that_is_no_list_of_rules_is_one_line(tmp_path: Path, text: str | bytes) -> None:
    path = file_of(tmp_path, text)
    lines = lines_about(path)
    assert WRONG_FILES[text] in lines[0]
    assert lines[0].startswith(path)


MUTATED = (
    EXAMPLE.encode()
    + b"- {name: b, pattern: 'x+', flags: ism, direction: client, severity: low, protocol: http, message: \"a\\x41\"}\n"
    + b"- name: c\n  pattern: >\n    a|b\n  message: |\n    m\n"
)


@given(st.data())
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_has_it_is_rules_or_lines(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes put in, taken out and doubled; most come from what YAML gives a meaning."""
    octets = bytearray(MUTATED)
    piece = st.sampled_from(
        [b"\n", b" ", b"'", b'"', b"- ", b": ", b"#", b"[", b"}", b"|", b"&a ", b"*a", b"!!a ", b"---\n"]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets)))
        length = data.draw(st.integers(0, 30))
        octets[at : at + length] = data.draw(st.one_of(piece, st.binary(max_size=4), st.just(bytes(octets[:length]))))
    path = file_of(tmp_path, bytes(octets))
    try:
        assert all(rule.path == path for rule in read_rules([path], {"http"}))
    except RulesError as error:
        for line in error.lines:
            assert path in line
            assert printable(line) == line


def nothing(path: Path) -> None:
    """A name that nothing has."""


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path)[-100:])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, "No such file or directory"),
        (Path.mkdir, "Is a directory"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/null/x"), "Not a directory"),
        (lambda path: path.symlink_to("x" * 300), "File name too long"),
    ],
)
def test_what_is_no_file_is_one_line(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "rules.yaml"
    make(path)
    assert lines_about(str(path)) == (f"cannot read {path}: {said}; name a file with rules",)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    (line,) = lines_about("a\0b")
    assert line == "cannot read a\\x00b: embedded null byte; name a file with rules"


def test_names_are_of_one_rule_in_all_files(tmp_path: Path) -> None:
    first, second = file_of(tmp_path, ONE), file_of(tmp_path, f"- {{}}\n{ONE}", "second.yaml")
    lines = lines_about(first, second)
    assert lines[-1] == (
        f'{second}: rule "one" (rule 2, line 2): name: rule 1 of {first} has it, too; give each rule a name of its own'
    )
    assert len(lines) == 4
    assert [rule.name for rule in read_rules([first, first])] == ["one"]


def test_mistakes_of_all_files_come_in_order(tmp_path: Path) -> None:
    paths = [file_of(tmp_path, f"- {{name: a{n}, pattern: (, message: m}}\n- 5\n", f"{n}.yaml") for n in range(3)]
    lines = lines_about(paths[0], str(tmp_path), *paths[1:])
    places = [line.split(": ")[0].removeprefix("cannot read ") for line in lines]
    assert places == [paths[0], paths[0], str(tmp_path), paths[1], paths[1], paths[2], paths[2]]


CAT, DOG = Job((b"cat",), (0,)), Job((b"dog",), (0,))
FOREVER = Job((b"(.{0,1000}a){200}",), (hyperscan.HS_FLAG_SOM_LEFTMOST,), seconds=0.2)


def children() -> set[str]:
    """The processes that this one started and that are still there."""
    return {child for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()}


def test_of_a_job_that_takes_too_long_the_others_are_done() -> None:
    before = children()
    cat, forever, dog, again = compile_bounded([CAT, FOREVER, DOG, FOREVER])
    assert forever == again == Refusal("takes more than 0.2 seconds to compile")
    for made, text in ((cat, b"a cat"), (dog, b"a dog")):
        assert isinstance(made, bytes)
        database, found = hyperscan.loadb(made, hyperscan.HS_MODE_BLOCK), []
        database.scan(text, lambda *event: event[-1].append(event[2]), 0, found, hyperscan.Scratch(database))
        assert found == [5]
    assert children() <= before


def test_all_jobs_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_check, "ALL_SECONDS", 0.3)
    results = compile_bounded([Job(FOREVER.expressions, FOREVER.flags, seconds=5)] * 50)
    whys = [one.why for one in results if isinstance(one, Refusal)]
    assert whys == ["takes more than 5 seconds to compile"] + ["not compiled, as those before it took too long"] * 49


def test_a_database_that_is_too_large_is_refused() -> None:
    large = Job((b"[^x]{1000}x",), (0,), largest=100)
    assert compile_bounded([large, CAT])[0] == Refusal("more than 0 MiB when compiled")


def test_a_child_has_bounds() -> None:
    before = children()
    thread = threading.Thread(target=compile_bounded, args=([Job(FOREVER.expressions, FOREVER.flags, seconds=1)],))
    thread.start()
    limits: dict[str, str] = {}
    while thread.is_alive() and limits.get("Max file size") != "0":
        for child in children() - before:
            try:
                text = Path(f"/proc/{child}/limits").read_text()
            except OSError:  # it is gone
                continue
            limits = {line[:26].strip(): line[26:47].strip() for line in text.splitlines()[1:]}
        time.sleep(0.001)
    thread.join()
    wanted = {"Max address space": "1073741824", "Max cpu time": "60", "Max file size": "0", "Max core file size": "0"}
    assert {name: limits[name] for name in wanted} == wanted


@pytest.mark.parametrize("program", ["import os; os.abort()", "1/0", "pass", "print('x' * 100, flush=True)"])
def test_a_child_that_breaks_down_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(rules_check, "__file__", file_of(tmp_path, program, "child.py"))
    monkeypatch.setattr(rules_check, "ALL_SECONDS", 5.0)
    results = compile_bounded([CAT, DOG])
    assert all(isinstance(one, Refusal) and one.why.strip() for one in results)


def test_what_was_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, ONE)
    Scanner((), read_rules([path]))

    def no_more(jobs: object) -> None:
        raise AssertionError("compiled again")

    with monkeypatch.context() as patch:
        patch.setattr(rule_reading, "compile_bounded", no_more)
        patch.setattr(rules_check, "compile_bounded", no_more)
        assert Scanner((), read_rules([path])).scan_one(b"a cat", 0) is not None
        file_of(tmp_path, ONE.replace("cat", "dog"))
        with pytest.raises(AssertionError, match="compiled again"):
            read_rules([path])
    for kept in (tmp_path / "XDG_CACHE_HOME").rglob("*-*"):
        kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    file_of(tmp_path, ONE)
    assert Scanner((), read_rules([path])).scan_one(b"a cat", 0) is not None


def test_without_a_place_to_keep_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    assert Scanner((), read_rules([file_of(tmp_path, ONE)])).scan_one(b"a cat", 0) is not None


def test_rules_that_are_too_much_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, ONE)
    found = read_rules([path])
    monkeypatch.setattr(rules_check, "compile_bounded", lambda jobs: [Refusal("takes more than 10 seconds to compile")])
    with pytest.raises(UsageError) as raised:
        Scanner((), found)
    assert str(raised.value) == (
        f"{path}: the rules together: takes more than 10 seconds to compile; fewer or simpler ones will do"
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def changed(watched: WatchedRules, clock: Clock) -> bool:
    """After a second, and when what was found then has been read."""
    clock.now += 1
    if watched.changed():
        return True
    if watched._reader is not None:
        watched._reader.join()
    return watched.changed()


def test_files_that_change_are_read_again(tmp_path: Path) -> None:
    path, clock = file_of(tmp_path, ONE), Clock()
    watched = WatchedRules([path], clock)
    assert not changed(watched, clock)
    file_of(tmp_path, ONE.replace("cat", "mouse"))
    assert not watched.changed()  # the second is not over
    assert changed(watched, clock)
    assert [rule.expression for rule in watched.rules] == [b"mouse"]
    assert not changed(watched, clock)


@pytest.mark.parametrize("text", ["- {name: one, pattern: (, message: m}", ": [", None])
def test_a_file_that_became_wrong_is_told_once(tmp_path: Path, text: str | None) -> None:
    path, clock = file_of(tmp_path, ONE), Clock()
    watched = WatchedRules([path], clock)
    if text is None:
        Path(path).unlink()
    else:
        file_of(tmp_path, text)
    with pytest.raises(RulesError, match=r"rules.yaml"):
        changed(watched, clock)
    assert not changed(watched, clock)
    assert [rule.expression for rule in watched.rules] == [b"cat"]
    file_of(tmp_path, ONE.replace("cat", "horse"))
    assert changed(watched, clock)
    assert [rule.expression for rule in watched.rules] == [b"horse"]


def test_files_that_are_wrong_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(RulesError):
        WatchedRules([str(tmp_path / "none.yaml")])
