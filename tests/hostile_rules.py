"""Rules that are wrong, a thousand of them, and what has to be said of each."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from spanline.plaintext.rule_file import MOST_BYTES

RANDOM = random.Random(1)


@dataclass(frozen=True)
class Hostile:
    """`text` is one rule of a file, `said` is in the line about it; `pattern`, where it is only the pattern that is
    wrong, is what hyperscan is asked about, too."""

    text: str
    said: str
    pattern: str = ""


def with_pattern(pattern: str, said: str, *, compiles: bool = False) -> Hostile:
    return Hostile(f"pattern: {json.dumps(pattern)}\n  message: m", said, "" if compiles else pattern)


def word(length: int) -> str:
    return "".join(RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=length))


def wrong_syntax() -> Iterator[Hostile]:
    for n in range(100):
        before = word(n)
        yield with_pattern(f"{before}(", f"pattern: Missing close parenthesis for group started at position {n + 1};")
        yield with_pattern(f"{before}x)", "pattern: Unmatched parentheses")
        yield with_pattern(f"{before}[z-a]", f"pattern: Range out of order in character class at position {n + 4}")
    for n in range(20):
        # Positions are of characters, whatever bytes they are.
        yield with_pattern("ä" * n + "(", f"for group started at position {n + 1};")
    for text in (
        "[a",
        "a**",
        "+a",
        "*",
        "?",
        "a{3,2}",
        "(?<",
        "(?P<1>a)",
        "(?z)",
        "[[:foo:]]",
        "(?#",
        "(?",
        "\\",
        "[",
        "a(",
    ):
        yield with_pattern(text, "pattern: ")


def unsupported() -> Iterator[Hostile]:
    for n in range(1, 41):
        yield with_pattern(f"({word(n)}).*\\1", "pattern: Back-references are unsupported; write out what is repeated")
    for look in ("(?=a)", "(?!a)", "(?<=a)", "(?<!a)"):
        for n in range(20):
            yield with_pattern(word(n) + look + word(3), "Zero-width assertions are not supported; look for the text")
    for text in ("a++b", "a*+b", "a?+b", "a{2,3}+b"):
        yield with_pattern(text, "Possessive quantifiers are not supported; leave out the +")
    for text in ("(?>a)b", "(?>a|b)", "x(?>y)"):
        yield with_pattern(text, "Atomic groups are unsupported; write (?:…)")
    for text in (
        r"\Ka",
        r"a\Kb",
        r"\Ra",
        r"\Xa",
        "(?R)a",
        "(?1)a",
        "(?&n)a",
        "(a)(?(1)b|c)",
        "(?P<n>a)(?P=n)",
        r"(a)\g1",
    ):
        yield with_pattern(text, "pattern: ")
    for verb in ("UTF8", "UTF", "UCP", "ACCEPT", "COMMIT", "CRLF", "NO_START_OPT"):
        yield with_pattern(f"(*{verb})a", f"pattern: '(*{verb})' at position 1; leave it out", compiles=True)


def matching_nothing() -> Iterator[Hostile]:
    for text in (
        "a*",
        "a?",
        "(a|b)*",
        "a|",
        "|a",
        "()",
        "a{0,3}",
        ".*",
        "(?i)",
        "a*b*c*",
        r"\d*",
        "(a*)+",
        "[^x]*",
        "^",
        "$",
    ):
        yield with_pattern(text, "matches the empty text, and so everywhere; say what must be there")
    for n in range(1, 26):
        yield with_pattern("|".join(["a" * k + "*" for k in range(1, n + 1)]), "matches the empty text")


def too_large() -> Iterator[Hostile]:
    for n in range(40):
        yield with_pattern(f"{word(4)}a{{{32768 << n}}}", "pattern: ")
    for n in range(20):
        yield with_pattern(f"a{{{20000 + n}}}b", "pattern: Resource limit exceeded; shorten it, or its repeats")
    yield with_pattern("a.{0,31000}b.{0,9}", "pattern: Pattern is too large; shorten its repeats", compiles=True)
    for n in range(20):
        yield with_pattern(word(16001 + 500 * n), "pattern: Pattern length exceeds limit; shorten it")
    yield with_pattern("(.{0,1000}a){200}", "takes more than 2 seconds to compile; shorten its repeats", compiles=True)
    yield with_pattern("(.{0,1000}[ab]){300}", "takes more than 2 seconds to compile; shorten", compiles=True)


WRONG_TYPES = {
    "5": "a number", "-1.5": "a number", "0x1F": "a number", ".inf": "a number", "true": "a truth value",
    "no": "a truth value", "~": "nothing", "null": "nothing", "": "nothing", "2026-01-02": "a date", "[a, b]": "a list",
    "[]": "a list", "{a: b}": "a table", "{}": "a table", "[[[a]]]": "a list", "=": "no text",
}  # fmt: skip


def wrong_values() -> Iterator[Hostile]:
    for key in ("name", "pattern", "flags", "protocol", "direction", "severity", "message", "remedy"):
        for value, said in WRONG_TYPES.items():
            others = [f"{other}: x" for other in ("pattern", "message") if other != key]
            yield Hostile("\n  ".join([f"{key}: {value}", *others]), f"{key}: {said} and no text; ")
    good = "pattern: x\n  message: m"
    for n in range(30):
        yield Hostile(f"{good}\n  severity: {word(3 + n)}", "is none; write high, medium or low")
        yield Hostile(f"{good}\n  direction: {word(4 + n)}", "is none; write client, server or either")
        yield Hostile(f"{good}\n  protocol: x{word(9 + n)}", "no protocol is called 'x")
    for letter in "abcdefghjklnopqrtuvwyzIUX ,|ä8":
        yield Hostile(f'{good}\n  flags: "i{letter}"', f"flags: no flag is called {letter!r}; write letters of ismx")
    for key in ("message", "remedy"):
        for control in (
            "\\a",
            "\\e",
            "\\x7f",
            "\\n",
            "\\r",
            "\\u202e",
            "\\u2066",
            "\\u200f",
            "\\x85",
            "\\0",
            "\\u2028",
        ):
            rest = f'pattern: x\n  {key}: "a{control}b"' + ("\n  message: m" if key == "remedy" else "")
            yield Hostile(rest, f"{key}: has control characters, or others that do not print; write it in one plain")
        for text in ('""', '" "', "''"):
            rest = f"pattern: x\n  {key}: {text}" + ("\n  message: m" if key == "remedy" else "")
            yield Hostile(rest, f"{key}: empty; write a text")
        rest = f"pattern: x\n  {key}: {'m' * 501}" + ("\n  message: m" if key == "remedy" else "")
        yield Hostile(rest, f"{key}: longer than 500 characters; shorten it")
    for n in range(10):
        yield Hostile(
            f'pattern: "{"x" * n}\\0y"\n  message: m', f"pattern: a zero byte at position {n + 1}; write \\x00"
        )
    yield Hostile("pattern: ''\n  message: m", "pattern: empty; write what to look for")


def wrong_keys() -> Iterator[Hostile]:
    good = "pattern: x\n  message: m"
    for key, meant in {
        "patern": "pattern", "pattren": "pattern", "Pattern": "pattern", "flag": "flags", "protcol": "protocol",
        "directon": "direction", "serverity": "severity", "mesage": "message", "remedies": "remedy", "NAME": "name",
    }.items():  # fmt: skip
        yield Hostile(f"{good}\n  {key}: x", f"no setting is called {key!r}; did you mean {meant}?")
    for n in range(30):
        yield Hostile(
            f"{good}\n  q{word(12 + n)}q: x", "; there are name, pattern, flags, protocol, direction, severity"
        )
    for key in ("1", "~", "[a]", "{a: b}", '""', '"\\e[31m"', '"\\u202e"', "true"):
        yield Hostile(f"{good}\n  {key}: x", "no setting is called ")
    for key in ("pattern", "message"):
        yield Hostile(f"{good}\n  {key}: again", f"{key!r} is there twice, again in line ")
        yield Hostile(
            "\n  ".join(line for line in ("pattern: x", "message: m") if key not in line), f"has no {key}; add"
        )


def hostile_rules() -> list[Hostile]:
    families = (wrong_syntax, unsupported, matching_nothing, too_large, wrong_values, wrong_keys)
    return [one for family in families for one in family()]


def hostile_names() -> list[tuple[str, str]]:
    """What is wrong with names, as they stand in the file, and what has to be said."""
    controls = [f'"n{n}\\x{n:02x}"' for n in (*range(32), *range(0x7F, 0xA0))]
    others = [
        f'"\\u{n:04x}x"' for n in (0x200B, 0x200E, 0x202A, 0x202E, 0x2066, 0x2069, 0x2028, 0xFEFF, 0xE000, 0xFFF9)
    ]
    return [
        *((one, "name: has control characters, or others that do not print") for one in controls + others),
        *((f"n{word(100 + n)}", "name: longer than 100 characters; shorten it") for n in range(20)),
        ('""', "name: empty; write a text"),
        ("' '", "name: empty; write a text"),
    ]


ALIASES = "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" + "".join(
    f"l{n}: &l{n} [{','.join([f'*{before}'] * 9)}]\n" for n, before in enumerate(["b", *(f"l{n}" for n in range(20))])
)

WRONG_FILES: dict[str | bytes, str] = {
    "": "no rule in it; begin with - name:",
    "# nothing\n": "no rule in it; begin with - name:",
    "---\n...\n": "line 2: not a list of rules; begin each rule with - name:",
    "[]": "no rule in it; begin with - name:",
    "rules: [a]": "line 1: not a list of rules; begin each rule with - name:",
    "just text": "line 1: not a list of rules",
    "5": "line 1: not a list of rules",
    "- name: a\n pattern: b\n": "line 2, column 2: ",
    "- name: a\n  pattern: b: c\n": "line 2, column 13: mapping values are not allowed in this context; put pat",
    "- name: 'a\n": "found unexpected end of stream",
    '- name: a\n  pattern: "\\d"\n': "line 2, column 13: found unknown escape character; put patterns in single quotes",
    "- name: a\n\tpattern: x\n": "line 2, column 1: found a tab character that violates indentation; indent with",
    "- {name: a": "did not find expected ',' or '}'",
    "- [a": "did not find expected ',' or ']'",
    "- name: @a\n": "line 1, column 9: found character that cannot start any token",
    "- name: %a\n": "line 1, column 9: found character that cannot start any token",
    "%YAML 9.9\n---\n- a": "line 1, column 1: found incompatible YAML document",
    ALIASES: "line 1: not a list of rules; begin each rule with - name:",
    "- "
    + ALIASES.replace(
        "\n", "\n  "
    ): "line 1: an anchor or an alias (& or *); write out what is meant, or put it in quotes",
    "- &a [*a]": "line 1: an anchor or an alias",
    "- *a": "line 1: an anchor or an alias",
    "- name: &x y\n": "line 1: an anchor or an alias",
    "- <<: *a": "line 1: an anchor or an alias",
    "- !!python/object/apply:os.system ['true']": "line 1: a tag (!); write plain text, or put it in quotes",
    "- name: !!binary aGVsbG8=": "line 1: a tag (!)",
    "!!set {a, b}": "line 1: a tag (!)",
    "- name: !x y": "line 1: a tag (!)",
    "- {name: a, pattern: b, message: c}\n---\n- d\n": "line 2: a second document (---); put all rules into one list",
    "- " * 100_000: "line 1: lists inside lists without end; rules need none",
    "[" * 100_000: "line 1: lists inside lists without end; rules need none",
    "{" * 100_000: "line 1: not a list of rules",
    "- " + "{a: " * 100_000: "line 1: lists inside lists without end; rules need none",
    "- {a: [" + "[{b: " * 100_000: "line 1: lists inside lists without end; rules need none",
    "- ? " * 50_000: "line 1: lists inside lists without end",
    b"- name: \xff\n": "line 1: not UTF-8 text; save it as UTF-8",
    b"- name: a\n- name: \xc3\x28\n": "line 2: not UTF-8 text",
    b"\xff\xfe- name: a": "line 1: not UTF-8 text",
    "- name: a".encode("utf-16-le"): "line 1: the control character U+0000; in a pattern write \\x and two digits",
    "- name: \x1b[31m\n": "line 1: the control character U+001B",
    "- name: a\n  pattern: \x00\n": "line 2: the control character U+0000",
    "- name: \x7f": "line 1: the control character U+007F",
    "#" * (MOST_BYTES + 1): "larger than 1 MiB; are these rules?",
    "- {name: a, pattern: b, message: c}\n" * 4097: "line 4097: more than 4096 rules; leave out what can go",
    "- a\n": "rule 1 (line 1): text and no rule; write - name: and what it is called",
    "- 5\n": "rule 1 (line 1): a number and no rule; write - name:",
    "- [a]\n": "rule 1 (line 1): a list and no rule; write - name:",
    "-\n": "rule 1 (line 1): nothing and no rule; write - name:",
    "- {}\n": "rule 1 (line 1): has no name; add name: and a text",
}
