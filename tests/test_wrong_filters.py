"""Wrong display filters are refused with the place and what is wrong. Oracle: tshark refuses every one of them, too."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from spanline.filters import FilterError, compile_filter
from spanline.filters.syntax import DEEPEST
from tests.commands import run

WRONG = [
    ("IP.src", 1, "there is no field 'IP.src'"),
    ("ip.SRC == 1.2.3.4", 1, "there is no field 'ip.SRC'"),
    ("tcp.prot == 80", 1, "there is no field 'tcp.prot'"),
    ("ip.source == 1.2.3.4", 1, "there is no field 'ip.source'"),
    ("Tcp.port == 80", 1, "there is no field 'Tcp.port'"),
    ("foo.bar", 1, "there is no field 'foo.bar'"),
    ("80", 1, "'80' is not a field"),
    ("1 == tcp.port", 1, "'1' is not a field"),
    ("80 < tcp.port", 1, "'80' is not a field"),
    ("1.2.3.4 == ip.src", 1, "'1.2.3.4' is not a field"),
    ('"tcp"', 1, "a value alone is no test"),
    ("'a'", 1, "a value alone is no test"),
    ("-1 == tcp.port", 1, "what is compared begins with a field, not a value"),
    ("{1+1} == tcp.port", 2, "arithmetic here begins with a field, not a value"),
    ("2 & tcp.flags", 1, "arithmetic here begins with a field, not a value"),
    ("tcp.flags && 2", 14, "'2' is not a field"),
    ("tcp.port == 80 == 80", 13, "'80' is not a field"),
    ("tcp.port < 80 < 90", 12, "'80' is not a field"),
    ("tcp.port == https", 13, "'https' is not a number"),
    ("tcp.port == 65536", 13, "'65536' is more than the largest value, 65535"),
    ("tcp.port == 0xffff1", 13, "'0xffff1' is more than the largest value, 65535"),
    ("tcp.port == 1.5", 13, "'1.5' is not a number"),
    ("tcp.port == 80a", 13, "'80a' is not a number"),
    ("tcp.port == 09", 13, "'09' is not a number"),
    ("tcp.port == 0x", 13, "'0x' is not a number"),
    ("tcp.port == 1e1", 13, "'1e1' is not a number"),
    ("tcp.port == 100-1", 13, "'100-1' is not a number"),
    ('tcp.port == "80"', 13, "a number is written without quotes"),
    ("tcp.port == 'ab'", 13, "\"'ab'\" is not one character"),
    ("tcp.port == ''", 13, "\"''\" is not one character"),
    ("tcp.port == 1,000", 14, "',' was not expected here"),
    ("ip.ttl == 256", 11, "'256' is more than the largest value, 255"),
    ("ip.ttl == 1_0", 11, "'1_0' is not a number"),
    ("frame.len == 99999999999", 14, "'99999999999' is more than the largest value, 4294967295"),
    ("frame.len == -2147483648", 14, "'2147483648' is too large behind a -: it is below the least number, -2147483647"),
    ("tcp.port * 1.5 == 2", 12, "'1.5' is not a number"),
    ("ip.proto == tcp", 13, "ip.proto and tcp cannot be compared"),
    ("ip.proto == TC", 13, "'TC' is neither a number nor the name of a value"),
    ("ip.proto & TCP", 12, "'TCP' is not a number"),
    ('eth.type == "IPv4 "', 13, "'IPv4 ' is neither a number nor the name of a value"),
    ("tcp.flags == SYN", 14, "'SYN' is not a number"),
    ("tcp.flags.syn == true", 18, "'true' is neither true nor false"),
    ('tcp.flags.syn == "True"', 18, "'True' is neither true nor false"),
    ("tcp.flags.syn == maybe", 18, "'maybe' is neither true nor false"),
    ("tcp.flags.syn == -1", 18, "- makes no sense before true or false"),
    ("tcp.flags.syn == tcp.port", 18, "tcp.flags.syn and tcp.port cannot be compared"),
    ("tcp.flags.syn & 1", 1, "tcp.flags.syn has no &"),
    ("tcp.flags.syn + 1 == 2", 1, "tcp.flags.syn has no +"),
    ("tcp.flags.syn contains 1", 1, "tcp.flags.syn cannot contain anything"),
    ('ip.src == "1.2.3.4"', 11, "an IPv4 address is written without quotes"),
    ("ip.src == 1.2.3", 11, "'1.2.3' is not an IPv4 address"),
    ("ip.src == 1.2.3.400", 11, "'1.2.3.400' is not an IPv4 address"),
    ("ip.src == 01.2.3.4", 11, "'01.2.3.4' is not an IPv4 address"),
    ("ip.src == 10.0.0.0/33", 11, "an IPv4 prefix has at most 32 bits, not 33"),
    ("ip.src == 10.0.0.0/", 20, "the filter ends too early"),
    ("ip.src == 10.0.0.0/255.0.0.0", 23, "'.0.0.0' was not expected here"),
    ("ip.src == localhost", 11, "'localhost' is not an IPv4 address"),
    ("ip.src == 0x01020304", 11, "'0x01020304' is not an IPv4 address"),
    ("ip.src == ::1", 11, "'::1' is not an IPv4 address"),
    ("ip.src == eth.src", 11, "ip.src and eth.src cannot be compared"),
    ("ip.src/24 == 1.2.3.0", 1, "ip.src has no /"),
    ("ip.src + 1 == 1.2.3.5", 1, "ip.src has no +"),
    ("ip.src contains 0a", 1, "ip.src cannot contain anything"),
    ('ip.src matches "a"', 1, "ip.src cannot be matched with an expression"),
    ("ipv6.src == 1.2.3.4", 13, "'1.2.3.4' is not an IPv6 address"),
    ("ipv6.src == fe80::1/129", 13, "an IPv6 prefix has at most 128 bits, not 129"),
    ("ipv6.src == 1::2::3", 13, "'1::2::3' is neither an address nor bytes like 00:1a:2b"),
    ("ipv6.src == fe80", 13, "'fe80' is not an IPv6 address"),
    ("eth.src == 00:11:22", 12, "a MAC address has 6 bytes, and '00:11:22' has 3"),
    ("eth.src == 00:11:22:33:44:55:66", 12, "a MAC address has 6 bytes, and '00:11:22:33:44:55:66' has 7"),
    ("eth.src == 00:11:22:33:44:5g", 12, "'00:11:22:33:44:5g' is neither an address nor bytes like 00:1a:2b"),
    ("eth.src == Broadcast", 12, "'Broadcast' is not a MAC address"),
    ('eth.src == "00:11:22:33:44:55"', 12, "a MAC address is written without quotes"),
    ('eth.src contains "a"', 18, "bytes of a MAC address are written without quotes"),
    ("tcp contains GET", 14, "'GET' is not bytes"),
    ("tcp contains 0x123", 14, "'0x123' is not bytes"),
    ("tcp contains ::1", 14, "'::1' is not bytes"),
    ("tcp & 01", 1, "tcp has no &"),
    ('tcp.port contains "80"', 1, "tcp.port cannot contain anything"),
    ('tcp.port matches "80"', 1, "tcp.port cannot be matched with an expression"),
    ("tcp matches GET", 13, "a regular expression stands in double quotes"),
    ('tcp matches "("', 13, "the regular expression is not understood: missing ): ("),
    ('tcp matches "[a"', 13, "the regular expression is not understood: missing ]: [a"),
    ('tcp matches "*a"', 13, "the regular expression is not understood: no argument for repetition operator: *"),
    ('tcp matches "a{3,2}"', 13, "the regular expression is not understood: invalid repetition size: {3,2}"),
    ("tcp matches tcp", 13, "a regular expression stands in double quotes"),
    ('tcp contains "\\q"', 15, "\\q is no escape sequence"),
    ('tcp contains "\\xg"', 15, "\\x is no escape sequence"),
    ('tcp contains "\\400"', 15, "\\400 is no byte: octal escapes end at \\377"),
    ('tcp contains "\\u12"', 15, "\\u is no escape sequence"),
    ('tcp contains "a', 14, "the quote has no end"),
    ("tcp contains 'a", 14, "the quote has no end"),
    ('tcp contains "a" "b"', 18, "'\"b\"' was not expected here"),
    ('ip contains "a" contains "b"', 17, "'contains' was not expected here"),
    ("tcp[3:0] == 1", 5, "a length of 0 is not positive"),
    ("tcp[5-2] == 00", 5, "the range '5-2' ends before it begins"),
    ("tcp[5-5] == 00", 5, "the range '5-5' ends before it begins"),
    ("tcp[-3-1] == 00", 5, "a range has both ends from the beginning or both from the end"),
    ("tcp[0-] == 00", 5, "'0-' is not a range"),
    ("tcp[] == 00", 5, "brackets need a place"),
    ("tcp[a] == 00", 5, "'a' is not a range"),
    ("tcp[0,] == 00", 7, "brackets need a place"),
    ("tcp[1:-1] == 00", 5, "a length of -1 is not positive"),
    ("tcp[99999999999] == 00", 5, "'99999999999' is beyond any frame"),
    ("tcp[0:2", 4, "the bracket has no end"),
    ("tcp[0:2]]", 9, "']' was not expected here"),
    ("tcp.port[0] == 1", 1, "tcp.port cannot be cut into bytes"),
    ("tcp[0:4] == 0x01020304", 13, "'0x01020304' is not bytes"),
    ("tcp[0] in {1}", 1, "only a field can be tested for being in a set"),
    ("ip.src#a == 1.2.3.4", 7, "# needs the number of a layer"),
    ("ip.src# 2 == 1.2.3.4", 7, "# needs the number of a layer"),
    ("ip.src#[2-] == 1.2.3.4", 9, "'2-' is not a range"),
    ("ip.src#1#2", 9, "'#2' was not expected here"),
    ("ip[1]#2 == 1", 6, "'#2' was not expected here"),
    ("tcp.port in {}", 14, "'}' was not expected here"),
    ("tcp.port in {80,}", 17, "'}' was not expected here"),
    ("tcp.port in {80 90}", 17, "'90' was not expected here"),
    ("tcp.port in {1..}", 17, "'}' was not expected here"),
    ("tcp.port in {1..2..3}", 18, "'..' was not expected here"),
    ("tcp.port in {79+1}", 16, "'+' was not expected here"),
    ("tcp.port in {{79}}", 14, "'{' was not expected here"),
    ('tcp.port in {"80"}', 14, "a number is written without quotes"),
    ("tcp.port in {tcp[0]}", 14, "a slice cannot be in a set"),
    ("tcp.port in 80", 13, "'80' was not expected here"),
    ("tcp.port in {80", 16, "the filter ends too early"),
    ("1 in {1}", 1, "'1' is not a field"),
    ("len(frame) in {60..70}", 1, "only a field can be tested for being in a set"),
    ("tcp.port + 1 in {1}", 14, "'in' was not expected here"),
    ("len(ip)", 1, "a function alone is no test"),
    ("count", 1, "there is no field 'count'"),
    ("LEN(ip) > 4", 1, "there is no function 'LEN'"),
    ("foo(ip) == 1", 1, "there is no function 'foo'"),
    ("len() == 1", 1, "len() needs an argument"),
    ("len(1) == 1", 5, "'1' is not a field"),
    ("len(ip.src, ip.dst) == 1", 13, "len() takes one argument"),
    ("len(lower(frame.interface_name)) > 1", 5, "len() takes a field"),
    ('lower(ip) == "a"', 7, "lower() takes no ip"),
    ('string(frame.time) contains "2020"', 8, "string() takes no frame.time"),
    ('string(tcp) == "a"', 8, "string() takes no tcp"),
    ("abs(ip.src) == 1", 5, "abs() takes no ip.src"),
    ("max(80, tcp.srcport) == 80", 5, "'80' is not a field"),
    ("max(tcp.srcport, ip.src) > 4", 18, "tcp.srcport and ip.src cannot be compared"),
    ("max(tcp.port,) > 1", 14, "')' was not expected here"),
    ("frame.time == 5", 15, "'5' is not a date"),
    ('frame.time == "yesterday"', 15, "'yesterday' is not a date"),
    ('frame.time == "2020-13-01"', 15, "'2020-13-01' is not a date"),
    ('frame.time == "2020-01-01 25:00:00"', 15, "'2020-01-01 25:00:00' is not a date"),
    ('frame.time == "2020-01-01 00:00:00 CET"', 15, "'2020-01-01 00:00:00 CET' is not a date"),
    ("frame.time + 1 > 1", 1, "frame.time has no +"),
    ('frame.time_epoch == "1"', 21, "a time in seconds is written without quotes"),
    ("frame.time_epoch == abc", 21, "'abc' is not a time in seconds"),
    ("frame.time_epoch == 0x10", 21, "'0x10' is not a time in seconds"),
    ("frame.time_epoch * 2 > 1", 1, "frame.time_epoch has no *"),
    ("frame.time == frame.time_epoch", 15, "frame.time and frame.time_epoch cannot be compared"),
    ("tcp.port = 80", 10, "'=' was not expected here"),
    ("tcp.port <> 80", 11, "'>' was not expected here"),
    ("tcp.port => 80", 10, "'=' was not expected here"),
    ("tcp.port =! 80", 10, "'=' was not expected here"),
    ("tcp.port == == 80", 13, "'==' was not expected here"),
    ("tcp.port ==", 12, "the filter ends too early"),
    ("== tcp.port", 1, "'==' was not expected here"),
    ("tcp.port 80", 10, "'80' was not expected here"),
    ("tcp.port equals 80", 10, "'equals' was not expected here"),
    ("tcp.port not == 80", 14, "'==' was not expected here"),
    ('tcp not contains "a"', 9, "'contains' was not expected here"),
    ("tcp.port == (79+1)", 13, "'(' was not expected here"),
    ("(ip.src) == 1.2.3.4", 10, "'==' was not expected here"),
    ("tcp.port IN {80}", 10, "'IN' was not expected here"),
    ("ip AND tcp", 4, "'AND' was not expected here"),
    ("NOT tcp", 5, "'tcp' was not expected here"),
    ("ip xor tcp", 4, "'xor' was not expected here"),
    ("ip ^ tcp", 4, "'^' was not expected here"),
    ("ip | tcp", 4, "'|' was not expected here"),
    ("ip & tcp", 1, "ip has no &"),
    ("ip tcp", 4, "'tcp' was not expected here"),
    ("ip;tcp", 3, "';' was not expected here"),
    ("ip and", 7, "the filter ends too early"),
    ("and ip", 1, "'and' was not expected here"),
    ("not", 4, "the filter ends too early"),
    ("()", 2, "')' was not expected here"),
    ("(ip", 4, "a ) is missing at the end"),
    ("ip)", 3, "')' was not expected here"),
    ("ip and (tcp or)", 15, "')' was not expected here"),
    ("all tcp.port", 13, "the filter ends too early"),
    ("all (tcp.port == 80)", 5, "'(' was not expected here"),
    ("all tcp.port == any tcp.port", 17, "'any' was not expected here"),
    ("any not tcp.port == 80", 5, "'not' was not expected here"),
    ("all tcp.flags & 2", 18, "the filter ends too early"),
    ("port 80", 6, "'80' was not expected here"),
    ("host 1.2.3.4", 6, "'1.2.3.4' was not expected here"),
    ("$ip.src == 1", 1, "'$' was not expected here"),
    ("@ip.src == 01:02:03:04", 1, "'@' was not expected here"),
    ("ip.src == é", 11, "'é' may only stand in double quotes"),
    ("ip.src == 1.2.3.4 # comment", 19, "# needs the number of a layer"),
    ("tcp.port == 80 // comment", 17, "'/' was not expected here"),
]

HINTS = [
    ("tcp.prot == 80", "did you mean tcp.port"),
    ("IP.src", "did you mean ip.src"),
    ("ip.proto == TC", "did you mean TCP"),
    ("tcp.port = 80", "write == for equality"),
    ("tcp.port <> 80", "write !="),
    ("ip AND tcp", "write and"),
    ("NOT tcp", "write not"),
    ("tcp.port in {80 90}", "write commas"),
    ("tcp.port == (79+1)", "grouped by { and }"),
    ("tcp.port == 09", "a leading 0 means octal"),
    ('ip.src matches "a"', "string(ip.src)"),
    ("tcp[5-2] == 00", "write 2-5"),
    ("port 80", "tcp.port == 80"),
    ("foo(ip) == 1", "there are len, count"),
]

TOO_DEEP = [
    "not (tcp and " * 1000 + "udp" + ")" * 1000,
    "max(" * 1000 + "tcp.port" + ")" * 1000 + " == 1",
    "frame.number" + " + 1" * 1000 + " == 1",
    "frame.number == " + "1 + " * 1000 + "1",
    "eth.src" + "[0:1]" * 1000 + " == 00",
]


@pytest.mark.parametrize(("filter", "column", "message"), WRONG)
def test_place_and_message(filter: str, column: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(filter)
    assert (caught.value.column, caught.value.message) == (column, message)


@pytest.mark.parametrize(("filter", "hint"), HINTS)
def test_hint(filter: str, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(filter)
    assert hint in caught.value.hint


@pytest.mark.parametrize("filter", [row[0] for row in WRONG[::12]])
def test_tshark_refuses_it_too(capture: Path, filter: str) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    done = subprocess.run(["tshark", "-n", "-r", capture, "-Y", filter], capture_output=True, timeout=60, check=False)
    assert done.returncode


@pytest.mark.parametrize("filter", TOO_DEEP)
def test_depth_is_limited(filter: str) -> None:
    with pytest.raises(FilterError, match=f"more than {DEEPEST} "):
        compile_filter(filter)


def test_expressions_that_take_unbounded_time() -> None:
    for expression in r"(?=a)", r"(?<!a)b", r"(a)\\1", "(?>a)", "a++":
        with pytest.raises(FilterError, match="regular expression"):
            compile_filter(f'tcp matches "{expression}"')


@pytest.mark.parametrize("command", ["packets", "flows", "rtt", "info"])
def test_a_command_says_it_in_a_line_and_shows_the_place(capture: Path, command: str) -> None:
    result = run(command, "-Y", "ip.src == 10.0.0.1 and tcp.prot == 80", capture, code=2)
    message, shown, mark = result.stderr.splitlines()
    assert message.startswith("spanline: there is no field 'tcp.prot'; did you mean tcp.port")
    assert (shown, mark) == ("ip.src == 10.0.0.1 and tcp.prot == 80", " " * 23 + "^~~~~~~~")
    assert not result.stdout


@pytest.mark.parametrize("where", [0, 20, 500, 999])
def test_of_a_long_filter_the_place_is_shown(where: int) -> None:
    tests = ["tcp.port == 80"] * 1000
    tests[where] = "tcp.prot == 80"
    with pytest.raises(FilterError) as caught:
        compile_filter(" || ".join(tests))
    shown, mark = caught.value.excerpt()
    assert len(shown) <= 80
    assert len(mark) <= 80
    assert shown[mark.index("^") :].startswith("tcp.prot")
    assert mark.strip() == "^~~~~~~~"


@pytest.mark.parametrize(
    "filter", ["tcp.port == \x1b[31m", "tcp contains GET\u202e", "\0", "ip.src == \ud800", "ip\n\n tcp"]
)
def test_nothing_strange_reaches_a_terminal(capture: Path, filter: str) -> None:
    result = run("packets", "-Y", filter, capture, code=2)
    assert all(line.isprintable() for line in result.stderr.splitlines())
    assert len(result.stderr.splitlines()) == 3
