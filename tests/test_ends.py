"""The two ends of a conversation: how they are written, and which are like them.

Oracle: the addresses and ports that were written, and those of crafted frames.
"""

from __future__ import annotations

import numpy as np
import pytest

from spanline.errors import UsageError
from spanline.stages.ends import Ends, Nearest, Numbered, conversation, likeness, stream
from tests.craft import Frame, ethernet, ipv4, ipv6, tcp
from tests.rows import decode_all, mapped


def ends(first: str, first_port: int, second: str, second_port: int) -> Ends:
    return Ends((mapped(first), first_port), (mapped(second), second_port))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("tcp.stream==5", Numbered("tcp", 5)),
        ("tcp.stream == 0", Numbered("tcp", 0)),
        (" tcp.stream eq 4294967294 ", Numbered("tcp", 4294967294)),
        ("10.0.0.1:50000,10.0.0.2:443", ends("10.0.0.1", 50000, "10.0.0.2", 443)),
        ("10.0.0.1:0 , 10.0.0.2:65535", ends("10.0.0.1", 0, "10.0.0.2", 65535)),
        ("[2001:db8::1]:50000,[2001:db8::2]:443", ends("2001:db8::1", 50000, "2001:db8::2", 443)),
        ("[::ffff:10.0.0.1]:1,10.0.0.2:2", ends("10.0.0.1", 1, "10.0.0.2", 2)),
    ],
)
def test_a_conversation_is_named_by_its_number_or_its_ends(text: str, meaning: Numbered | Ends) -> None:
    assert conversation(text) == meaning
    assert stream(text) == meaning


def test_a_stream_of_datagrams_is_named_by_its_number() -> None:
    assert stream("udp.stream==3") == Numbered("udp", 3)


@pytest.mark.parametrize("text", ["", "sctp.stream==1", "udp.stream", "10.0.0.1:1", "10.0.0.1:99999,10.0.0.2:1"])
def test_what_names_no_stream_is_told_in_a_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"write tcp\.stream==N, udp\.stream==N or A:port,B:port"):
        stream(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("tcp.stream", "names no TCP stream"),
        ("tcp.stream=5", "names no TCP stream"),
        ("tcp.stream==x", "names no TCP stream"),
        ("tcp.stream==-1", "names no TCP stream"),
        ("tcp.stream==1,tcp.stream==2", "names no TCP stream"),
        ("tcp.stream==4294967295", "there is no stream 4294967295"),
        (f"tcp.stream=={'9' * 10_000}", "names no TCP stream"),
        ("udp.stream==3", "UDP has no handshake"),
        ("ip.src", "names no TCP stream"),
        ("7", "two ends make a conversation, and here is 1"),
        ("10.0.0.1:1", "two ends make a conversation, and here is 1"),
        ("10.0.0.1:1,10.0.0.2:2,10.0.0.3:3", "two ends make a conversation, and here is 3"),
        ("10.0.0.1,10.0.0.2", "'10.0.0.1' is not an address, a colon and a port"),
        ("10.0.0.1:1,", "'' is not an address, a colon and a port"),
        ("10.0.0.1:http,10.0.0.2:2", "'10.0.0.1:http' is not an address"),
        ("10.0.0.1:-1,10.0.0.2:2", "'10.0.0.1:-1' is not an address"),
        (f"10.0.0.1:{'1' * 5000},10.0.0.2:2", "is not an address, a colon and a port"),
        ("10.0.0.1:65536,10.0.0.2:2", "port 65536 is more than 65535"),
        ("10.0.0.300:1,10.0.0.2:2", "'10.0.0.300' is not an IP address"),
        ("server:1,10.0.0.2:2", "'server' is not an IP address (names are not looked up)"),
        ("2001:db8::1:50,[2001:db8::2]:443", "stands in brackets before its port"),
        ("[2001:db8::x]:50,[2001:db8::2]:443", "'2001:db8::x' is not an IP address"),
        ("[fe80::1%eth0]:50,[fe80::2]:443", "'fe80::1%eth0' has a zone"),
        ("10.0.0.1:٣,10.0.0.2:2", "is not an address, a colon and a port"),
    ],
)
def test_what_names_no_conversation_is_told_in_a_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        conversation(text)
    assert message in str(caught.value)
    assert "write tcp.stream==N or A:port,B:port" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_ends_are_written_as_they_are_read() -> None:
    for text in ("10.0.0.1:50000,10.0.0.2:443", "[2001:db8::1]:50000,[2001:db8::2]:443"):
        assert str(conversation(text)) == text


FRAMES: list[tuple[Frame, int]] = [
    (ipv4("10.0.0.1", "10.0.0.2") / tcp(50000, 443), 4),
    (ipv4("10.0.0.2", "10.0.0.1") / tcp(443, 50000), 4),
    (ipv4("10.0.0.2", "10.0.0.1") / tcp(50000, 443), 2),
    (ipv4("10.0.0.1", "10.0.0.2") / tcp(50001, 443), 3),
    (ipv4("10.0.0.1", "10.0.0.9") / tcp(50001, 443), 2),
    (ipv4("10.0.0.9", "10.0.0.1") / tcp(1, 2), 1),
    (ipv4("10.0.0.8", "10.0.0.9") / tcp(1, 2), 0),
    (ipv6("2001:db8::1", "2001:db8::2") / tcp(50000, 443), 2),
]


def test_likeness_counts_addresses_and_ports_in_the_better_direction() -> None:
    packets = decode_all(ethernet() / frame for frame, _ in FRAMES).packets
    asked = ends("10.0.0.1", 50000, "10.0.0.2", 443)
    assert likeness(packets, asked).tolist() == [points for _, points in FRAMES]


def test_the_nearest_are_few_and_in_the_order_of_likeness_then_of_time() -> None:
    asked = ends("10.0.0.1", 50000, "10.0.0.2", 443)
    nearest = Nearest()
    for frames in (FRAMES[4:6], FRAMES[6:], FRAMES[2:4], FRAMES[2:]):
        packets = decode_all(ethernet() / frame for frame, _ in frames).packets
        nearest.update(packets, likeness(packets, asked))
    assert [(points, str(found)) for points, found in nearest.found] == [
        (3, "10.0.0.1:50001,10.0.0.2:443"),
        (2, "10.0.0.1:50001,10.0.0.9:443"),
        (2, "[2001:db8::1]:50000,[2001:db8::2]:443"),
    ]


def test_both_directions_are_one_candidate() -> None:
    frames = [ipv4("10.0.0.1", "10.0.0.9") / tcp(1, 443), ipv4("10.0.0.9", "10.0.0.1") / tcp(443, 1)] * 3
    packets = decode_all(ethernet() / frame for frame in frames).packets
    nearest = Nearest()
    nearest.update(packets, likeness(packets, ends("10.0.0.1", 50000, "10.0.0.2", 443)))
    assert [str(found) for _, found in nearest.found] == ["10.0.0.1:1,10.0.0.9:443"]


def test_nothing_in_common_is_no_candidate() -> None:
    nearest = Nearest()
    nearest.update(decode_all([]).packets, np.empty(0, np.uint8))
    packets = decode_all([ethernet() / ipv4("10.0.0.8", "10.0.0.9") / tcp(1, 2)]).packets
    nearest.update(packets, likeness(packets, ends("10.0.0.1", 50000, "10.0.0.2", 443)))
    assert nearest.found == []
