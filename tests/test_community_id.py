"""Community IDs against the baseline that the specification publishes for implementations to compare with.

Oracle: baseline/baseline_deflt.json and baseline/baseline_seed1.json of github.com/corelight/community-id-spec, commit
c4ec2bc: every flow in it, with seed 0 and seed 1; it lists both directions of those that have two.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pytest

import spanline
from spanline.arrow import ADDRESS
from spanline.community import community_ids
from tests.commands import run
from tests.craft import Frame, ethernet, icmp, icmpv6, ipv4, ipv6, raw, sctp, tcp, udp
from tests.craft_files import pcap
from tests.rows import mapped

BASELINE = """
58 fe80::200:86ff:fe05:80da 135 fe80::260:97ff:fe07:69ea 136
    dGHyGvjMfljg6Bppwm3bg0LO8TY= kHa1FhMYIT6Ym2Vm2AOtoOARDzY=
58 fe80::260:97ff:fe07:69ea 136 fe80::200:86ff:fe05:80da 135
    dGHyGvjMfljg6Bppwm3bg0LO8TY= kHa1FhMYIT6Ym2Vm2AOtoOARDzY=
58 fe80::260:97ff:fe07:69ea 135 fe80::200:86ff:fe05:80da 136
    zavyT/cezQr1fmImYCwYnMXbgck= 2hSqmsDZ2kdcY9kbiUzOEBic0iM=
58 fe80::200:86ff:fe05:80da 136 fe80::260:97ff:fe07:69ea 135
    zavyT/cezQr1fmImYCwYnMXbgck= 2hSqmsDZ2kdcY9kbiUzOEBic0iM=
58 3ffe:501:1800:2345::2 3 3ffe:507:0:1:200:86ff:fe05:80da 0
    2ObVBgIn28oZvibYZhZMBgh7WdQ= lVEtCZpYu84Xqaa++3lXFyuu2n4=
58  3ffe:501:410:0:2c0:dfff:fe47:33e 1  3ffe:507:0:1:200:86ff:fe05:80da 4
    hLZd0XGWojozrvxqE0dWB1iM6R0= W8MHwXpWzpoSTD+cGcaJr4u0ys8=
58 3ffe:507:0:1:200:86ff:fe05:80da 128 3ffe:501:0:1001::2 129
    +TW+HtLHvV1xnGhV1lv7XoJrqQg= GfZxjAkDk2MkegpBYHV6tadtFXQ=
58 3ffe:501:0:1001::2 129 3ffe:507:0:1:200:86ff:fe05:80da 128
    +TW+HtLHvV1xnGhV1lv7XoJrqQg= GfZxjAkDk2MkegpBYHV6tadtFXQ=
58 fe80::200:86ff:fe05:80da 133 ff02::2 134
    hO+sN4H+MG5MY/8hIrXPqc4ZQz0= L7Ka0ZMYu+J3bL4ulW2PrqyXNo8=
58 fe80::260:97ff:fe07:69ea 134 ff02::1 133
    pkvHqCL88/tg1k4cPigmZXUtL00= K/ee5UCqAMAQXDorP5nSa2CGLjc=
1  192.168.0.89 8 192.168.0.1 0
    X0snYXpgwiv9TZtqg64sgzUn6Dk= 03g6IloqVBdcZlPyX8r0hgoE7kA=
1  192.168.0.1 0 192.168.0.89 8
    X0snYXpgwiv9TZtqg64sgzUn6Dk= 03g6IloqVBdcZlPyX8r0hgoE7kA=
1  10.0.0.1 11 10.0.0.2 0
    YHxtAirCG//0OzkcVAukqKQN9xM= XjUibYHaafLQ3pxQeiMI8g25q20=
6   2001:470:e5bf:dead:4957:2174:e82c:4887 63943  2607:f8b0:400c:c03::1a 25
    /qFaeAR+gFe1KYjMzVDsMv+wgU4= eJYTW6AOzFLlSUoESovMjnu7rMw=
6   2607:f8b0:400c:c03::1a 25  2001:470:e5bf:dead:4957:2174:e82c:4887 63943
    /qFaeAR+gFe1KYjMzVDsMv+wgU4= eJYTW6AOzFLlSUoESovMjnu7rMw=
132 192.168.170.8 7 192.168.170.56 7
    MP2EtRCAUIZvTw6MxJHLV7N7JDs= 5w3ZRjeKBzqT3zsaEECDGjUbYeg=
132 192.168.170.56 7 192.168.170.8 7
    MP2EtRCAUIZvTw6MxJHLV7N7JDs= 5w3ZRjeKBzqT3zsaEECDGjUbYeg=
6  128.232.110.120 34855 66.35.250.204 80
    LQU9qZlK+B5F3KDmev6m5PMibrg= 3V71V58M3Ksw/yuFALMcW0LAHvc=
6  66.35.250.204 80 128.232.110.120 34855
    LQU9qZlK+B5F3KDmev6m5PMibrg= 3V71V58M3Ksw/yuFALMcW0LAHvc=
17 192.168.1.52 54585 8.8.8.8 53
    d/FP5EW3wiY1vCndhwleRRKHowQ= Q9We8WO3piVF8yEQBNJF4uiSVrI=
17 8.8.8.8 53 192.168.1.52 54585
    d/FP5EW3wiY1vCndhwleRRKHowQ= Q9We8WO3piVF8yEQBNJF4uiSVrI=
46 10.1.12.1 0 10.1.12.2 0
    KHlLkgoJW7ifUTyTSgyVfkFHzKw= rYir8gphR31noO9iDRQmF/BteEI=
46 10.1.12.2 0 10.1.12.1 0
    KHlLkgoJW7ifUTyTSgyVfkFHzKw= rYir8gphR31noO9iDRQmF/BteEI=
"""
"""Protocol, source, its port, destination, its port (ICMP: types or type and code), ID with seed 0, ID with seed 1."""

Flow = tuple[int, str, int, str, int, str, str]


def baseline() -> list[Flow]:
    words = iter(BASELINE.split())
    rows = zip(*[words] * 7, strict=True)
    return [(int(p), a, int(a_port), b, int(b_port), one, two) for p, a, a_port, b, b_port, one, two in rows]


FLOWS = baseline()


def table(flows: list[Flow]) -> pa.Table:
    return pa.table(
        {
            "source": pa.array([mapped(flow[1]) for flow in flows], ADDRESS),
            "destination": pa.array([mapped(flow[3]) for flow in flows], ADDRESS),
            "source_port": pa.array([flow[2] for flow in flows], pa.uint16()),
            "destination_port": pa.array([flow[4] for flow in flows], pa.uint16()),
            "protocol": pa.array([flow[0] for flow in flows], pa.uint8()),
        }
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_baseline(seed: int) -> None:
    """All at once, as a Table has them; one by one; sliced; and of no flow at all."""
    wanted = [f"1:{flow[5 + seed]}" for flow in FLOWS]
    assert len(wanted) == 23
    assert community_ids(table(FLOWS), seed).to_pylist() == wanted
    assert [community_ids(table([flow]), seed).to_pylist()[0] for flow in FLOWS] == wanted
    assert community_ids(table(FLOWS).slice(5, 9), seed).to_pylist() == wanted[5:14]
    assert community_ids(pa.concat_tables([table(FLOWS[:3]), table(FLOWS[3:])]), seed).to_pylist() == wanted
    assert community_ids(table([]), seed).to_pylist() == []


MAKERS = {6: tcp, 17: udp, 132: sctp}
ANSWERED = {1: (0, 8), 58: (128, 129, 133, 134, 135, 136)}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow[0]}-{flow[1]}-{flow[2]}")
def test_the_baseline_as_frames(tmp_path: Path, flow: Flow) -> None:
    """The same through a file, the decoder, the flow table and its Table."""
    (tmp_path / "one.pcap").write_bytes(pcap([frame_of(flow)]))
    flows = spanline.flows(tmp_path / "one.pcap")
    assert flows["community_id"].to_pylist() == [f"1:{flow[5]}"]
    assert flows["source"].to_pylist() == [mapped(flow[1])]


def frame_of(flow: Flow) -> Frame:
    protocol, source, source_port, destination, destination_port, *_ = flow
    network = ipv6 if ip_address(source).version == 6 else ipv4
    if protocol in ANSWERED:
        code = 0 if source_port in ANSWERED[protocol] else destination_port
        inside = (icmp if protocol == 1 else icmpv6)(source_port, code)
    elif protocol in MAKERS:
        inside = MAKERS[protocol](source_port, destination_port)
    else:
        inside = raw(bytes(8), protocol=protocol)
    return ethernet() / network(source, destination) / inside


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a flow of every ID."""
    folder = tmp_path_factory.mktemp("community")
    frames = {flow[5]: frame_of(flow) for flow in reversed(FLOWS)}
    (folder / "all.pcap").write_bytes(pcap(list(frames.values())))
    run("crunch", folder / "all.pcap", "--store", folder / "store", "-q")
    return folder / "store"


@pytest.mark.parametrize("flow", {flow[5]: flow for flow in reversed(FLOWS)}.values(), ids=lambda flow: flow[5])
def test_queries_find_flows_by_it(flow: Flow, store: Path) -> None:
    found = spanline.query(f"Source IP Address, Community ID of flows where community id = '1:{flow[5]}'", store)
    assert found["Source IP Address"].to_pylist() == [mapped(flow[1])]
    assert found["Community ID"].to_pylist() == [f"1:{flow[5]}"]


def test_queries_list_and_group_by_it(store: Path) -> None:
    every = sorted({f"1:{flow[5]}" for flow in FLOWS})
    assert sorted(spanline.query("list(Community ID) of flows", store)["Community ID"].to_pylist()) == every
    grouped = spanline.query("flows group by Community ID", store)
    assert sorted(grouped["Community ID"].to_pylist()) == every
    assert set(grouped["Count"].to_pylist()) == {1}
    some = spanline.query(f"flows where community id not in ('{every[0]}', '{every[1]}')", store)
    assert len(some) == len(every) - 2
    assert len(spanline.query("count of flows where community id = '1:x'", store)) == 1
    assert len(spanline.query("flows where community id like '1:*=' in last 1 hour", store)) == len(every)
    assert len(spanline.query("flows where community id = '1:x' in last 1 hour 3 days ago", store)) == 0
