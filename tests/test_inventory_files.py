"""Inventories from files: what is taken, and what is said of what is not.

Oracle: by hand; the columns of exports are those of the tools' documentation, which enrich/exports.py names.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.enrich import Inventory, InventoryError, read_inventory
from spanline.enrich.fields import LISTS, SECTIONS, FieldKind
from spanline.enrich.inventory import Row
from spanline.enrich.values import value_of

YAML = """\
vms:
  - name: web-1
    addresses: [10.0.0.5, "2001:db8::5"]
    macs: 00:15:5d:01:02:03
    host: hv-1
    vcpus: 4
    memory: 8GB
    vlan: 1105
    valid_from: 2026-01-01
    valid_to: 2026-02-01T08:00:00+01:00
  - {name: 007, addresses: 10.0.0.6, application: ~}
subnets:
  - {cidr: 10.0.0.0/24, site: London}
switch_ports: [{switch: s1, name: e1/1, speed: 10G}]
east_west: [198.51.100.0/24]
internet:
  - 2001:db8::/32
hosts:
"""

CSV = """\
section,name,addresses,macs,host,vcpus,memory,vlan,valid_from,valid_to,cidr,site,switch,speed
vms,web-1,10.0.0.5; 2001:db8::5,00-15-5D-01-02-03,hv-1,4,8192 MiB,1105,2026-01-01,2026-02-01T07:00:00Z,,,,
VMs,007,10.0.0.6,,,,,,,,,,,

subnets,,,,,,,,,,10.0.0.0/24,London,,
switch_ports,e1/1,,,,,,,,,,,s1,10 Gbit/s
east_west,,,,,,,,,,198.51.100.0/24,,,
internet,,,,,,,,,,2001:db8::/32,,,
"""

WEB = {
    "name": "web-1",
    "addresses": (ipaddress.ip_address("10.0.0.5"), ipaddress.ip_address("2001:db8::5")),
    "macs": (bytes.fromhex("00155d010203"),),
    "host": "hv-1",
    "vcpus": 4,
    "memory": 8 << 30,
    "vlan": 1105,
    "valid_from": 1_767_225_600 * 10**9,
    "valid_to": 1_769_929_200 * 10**9,
}


def written(folder: Path, content: str | bytes, name: str = "some.yaml") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def vms_of(inventory: Inventory) -> list[dict[str, Any]]:
    return [dict(row.values) for row in inventory.section("vms")]


@pytest.mark.parametrize(("name", "content"), [("a.yaml", YAML), ("a.CSV", CSV), ("b.csv", "\ufeff" + CSV)])
def test_what_is_read(tmp_path: Path, name: str, content: str) -> None:
    inventory = read_inventory([written(tmp_path, content, name)])
    web, seven = vms_of(inventory)
    assert web == WEB
    assert seven == {"name": "007", "addresses": (ipaddress.ip_address("10.0.0.6"),)}
    assert inventory.section("vms")[1].line == (11 if name == "a.yaml" else 3)
    (subnet,) = inventory.section("subnets")
    assert dict(subnet.values) == {"cidr": ipaddress.ip_network("10.0.0.0/24"), "site": "London"}
    assert inventory.section("switch_ports")[0].get("speed") == 10**10
    assert inventory.east_west == [ipaddress.ip_network("198.51.100.0/24")]
    assert inventory.internet == [ipaddress.ip_network("2001:db8::/32")]


EXPORTS = [
    (
        "Hyper-V, Windows PowerShell",
        "#TYPE Selected.Microsoft.HyperV.PowerShell.VMNetworkAdapter\r\n"
        '"VMName","ComputerName","SwitchName","MacAddress","IPAddresses","AccessVlanId"\r\n'
        '"web","HV1","LAN","00155D010203","10.0.0.5;fe80::215:5dff:fe01:203;2001:db8::5","1105"\r\n'
        '"off","HV1","LAN","000000000000","","0"\r\n',
        [
            {"name": "web", "host": "HV1", "port_group": "LAN", "macs": 1, "addresses": 2, "vlan": 1105},
            {"name": "off", "host": "HV1", "port_group": "LAN"},
        ],
    ),
    (
        "Hyper-V, semicolons",
        'VMName;MacAddress;IPAddresses\nweb;00155D010203;"10.0.0.5, 10.0.0.6"\n',
        [{"name": "web", "macs": 1, "addresses": 2}],
    ),
    (
        "Hyper-V, Get-VM",
        "VMName,ComputerName,ProcessorCount,MemoryStartup\nweb,HV1,4,8589934592\n",
        [{"name": "web", "host": "HV1", "vcpus": 4, "memory": 8 << 30}],
    ),
    (
        "Hyper-V, Get-VM by name",
        '"Name","State","ProcessorCount","MemoryStartup"\n"web","Running","4","8589934592"\n',
        [{"name": "web", "vcpus": 4, "memory": 8 << 30}],
    ),
    (
        "Hyper-V, Get-VM with all it has, in German",
        "#TYPE Microsoft.HyperV.PowerShell.VirtualMachine\r\n"
        '"VMName";"VMId";"Name";"State";"ComputerName";"MemoryAssigned";"MemoryDemand";"MemoryStartup";'
        '"ProcessorCount";"NetworkAdapters";"Uptime";"Notes"\r\n'
        '"büro";"b7e3";"büro";"Off";"HV1";"0";"0";"8589934592";"4";"System.Collections.Generic.List`1[…]";'
        '"00:00:00";"zwei; Zeilen\r\nText"\r\n'
        '"web";"b7e4";"web";"Running";"HV1";"4294967296";"1";"8589934592";"2";"";"1.02:03:04";""\r\n',
        [
            {"name": "büro", "host": "HV1", "vcpus": 4, "memory": 8 << 30},
            {"name": "web", "host": "HV1", "vcpus": 2, "memory": 4 << 30},
        ],
    ),
    (
        "RVTools vInfo",
        "VM,Powerstate,Template,CPUs,Memory,NICs,Primary IP Address,Network #1,Cluster,Host\n"
        'web,poweredOn,False,4,"8,192",1,10.0.0.5,dvpg,C1,esx1.local\n',
        [
            {"name": "web", "vcpus": 4, "memory": 8 << 30, "addresses": 1, "port_group": "dvpg"}
            | {"cluster": "C1", "host": "esx1.local"},
        ],
    ),
    (
        "RVTools vNetwork",
        "VM;Adapter;Network;Switch;Connected;Mac Address;IPv4 Address;IPv6 Address;Cluster;Host\n"
        "web;Vmxnet3;dvpg;dvs;True;00:50:56:01:02:03;10.0.0.5;2001:db8::5;C1;esx1\n",
        [{"name": "web", "port_group": "dvpg", "macs": 1, "addresses": 2, "cluster": "C1", "host": "esx1"}],
    ),
    (
        "PowerCLI Get-VM",
        '"Name","NumCpu","MemoryGB","VMHost","IPAddress"\n"web","4","0.5","esx1","10.0.0.5;169.254.1.1"\n',
        [{"name": "web", "vcpus": 4, "memory": 1 << 29, "host": "esx1", "addresses": 1}],
    ),
    (
        "PowerCLI Get-VM, in German",
        "Name;PowerState;NumCpu;MemoryMB;MemoryGB;VMHost\nweb;PoweredOn;4;1536;1,5;esx1\nbig;PoweredOn;4;1;1,024;esx1\n",
        [
            {"name": "web", "vcpus": 4, "memory": 3 << 29, "host": "esx1"},
            {"name": "big", "vcpus": 4, "memory": round(1.024 * (1 << 30)), "host": "esx1"},
        ],
    ),
    (
        "PowerCLI Get-NetworkAdapter",
        '"Parent","Name","MacAddress","NetworkName"\n"web","Network adapter 1","00:50:56:01:02:03","dvpg"\n',
        [{"name": "web", "macs": 1, "port_group": "dvpg"}],
    ),
    (
        "RVTools vNetwork with all its columns",
        "VM,Powerstate,Template,SRM Placeholder,NIC label,Adapter,Network,Switch,Connected,Starts Connected,"
        "Mac Address,Type,IPv4 Address,IPv6 Address,Direct Path IO,Internal Sort Column,Annotation,Datacenter,Cluster,"
        "Host,Folder,OS according to the configuration file,OS according to the VMware Tools,VM ID,VM UUID,"
        "VI SDK Server,VI SDK UUID\n"
        'web,poweredOn,False,False,Network adapter 1,Vmxnet3,dvpg,dvs,True,True,00:50:56:01:02:03,assigned,"10.0.0.5, '
        '10.0.0.6",fe80::1,False,web 1,"a\nnote",DC,C1,esx1,vm,Other,Other,vm-1,4200-1,vc.local,1\n',
        [{"name": "web", "port_group": "dvpg", "macs": 1, "addresses": 2, "cluster": "C1", "host": "esx1"}],
    ),
    (
        "OCI VNICs",
        "display-name,private-ip,mac-address,public-ip,vlan-id\nweb,10.0.0.5,02:00:17:01:02:03,192.0.2.1,null\n",
        [{"name": "web", "addresses": 1, "macs": 1}],
    ),
    (
        "OCI VNICs in a VLAN, which has an id of another kind",
        "display-name,private-ip,mac-address,vlan-id\nweb,10.0.0.5,02:00:17:01:02:03,ocid1.vlan.oc1.eu-zurich-1.abc\n",
        [{"name": "web", "addresses": 1, "macs": 1}],
    ),
    (
        "OCI instances",
        "display-name,shape,shape-config.vcpus,shape-config.memory-in-gbs\nweb,VM.Standard.E4.Flex,4,16.0\n",
        [{"name": "web", "vcpus": 4, "memory": 16 << 30}],
    ),
]


@pytest.mark.parametrize(("content", "expected"), [one[1:] for one in EXPORTS], ids=[one[0] for one in EXPORTS])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_exports(tmp_path: Path, content: str, expected: list[dict[str, Any]], encoding: str) -> None:
    """Of lists only how many there are."""
    found = vms_of(read_inventory([written(tmp_path, content.encode(encoding), "export.csv")]))
    counted = [{key: len(one) if isinstance(one, tuple) else one for key, one in row.items()} for row in found]
    assert counted == expected


def test_rows_of_one_vm_complete_each_other(tmp_path: Path) -> None:
    """What vInfo has of a VM is known of the addresses that vNetwork has; what holds at another time is not."""
    info = "VM,CPUs,Memory,Host\nweb,4,1024,esx1\n"
    adapters = "VM,Network,Mac Address,IPv4 Address\nweb,dvpg,00:50:56:01:02:03,10.0.0.5\n"
    old = "vms: [{name: web, application: old, valid_to: 2020-01-01}, {name: web, cluster: c, valid_from: 2020-01-01}]"
    paths = [written(tmp_path, info, "i.csv"), written(tmp_path, adapters, "n.csv"), written(tmp_path, old)]
    _, of_adapter, first, second = read_inventory(paths).section("vms")
    assert (of_adapter.get("host"), of_adapter.get("vcpus"), of_adapter.get("memory")) == ("esx1", 4, 1 << 30)
    assert (first.get("cluster"), second.get("application"), second.get("host")) == (None, None, "esx1")


WRONG = [
    ("vms: [{name: a, adresses: b}]", "1, column 27: vms: no field is called 'adresses'; did you mean addresses?"),
    ("vms:\n  - addresses: 10.0.0.1\n", "2: vms: a row without name; add name"),
    ("vms:\n  - name: a\n    vcpus: four\n", "3, column 12: vms: vcpus: 'four' is no whole number; write digits, as 4"),
    ("vms: [{name: a, vlan: 4095}]", "1, column 23: vms: vlan: '4095' is no VLAN; write 0 to 4094"),
    ("vms: [{name: a, vni: -1}]", "1, column 22: vms: vni: '-1' is no VNI; write 0 to 4294967294"),
    ("vms: [{name: a, memory: lots}]", "1, column 25: vms: memory: 'lots' is no size; write 8GB or 512 MB"),
    ("vms: [{name: a, macs: [0:1]}]", "1, column 24: vms: macs: '0:1' is no MAC address; write 00:15:5d:01:02:03"),
    (
        "vms: [{name: a, addresses: [1.1.1.1, 1.1.1.256]}]",
        "1, column 38: vms: addresses: '1.1.1.256' is no address; write 10.0.0.1 or 2001:db8::1",
    ),
    (
        "vms: [{name: a, valid_from: May}]",
        "1, column 29: vms: valid_from: 'May' is no time; write 2026-01-31 or 2026-01-31T08:00:00Z",
    ),
    ("vms: [{name: a, valid_to: 9999-01-01}]", "1, column 27: vms: valid_to: '9999-01-01' is too far away; write 2026"),
    (
        "vms: [{name: a, valid_from: 2026-01-02, valid_to: 2026-01-02}]",
        "1, column 51: vms: valid_to: not behind valid_from; exchange them, or leave one out",
    ),
    ("vms: [{name: [a, b]}]", "1, column 18: vms: name has several values; write one"),
    ("vms: [{name: {a: b}}]", "1, column 14: vms: name: a table and no text; write one line of at most 200 characters"),
    ("vms: [{name: a, name: b}]", "1, column 17: 'name' is there twice; leave one of them out"),
    ("vms: [a]", "1, column 7: no row of vms; write - name: and what it is"),
    ("vms: a", "1, column 6: vms is no list; begin each row with -"),
    ("vms: []\nvms: []", "2, column 1: vms is there twice, first in line 1; put both into one"),
    ("vm: []", "1, column 1: no section is called 'vm'; did you mean vms?"),
    ("- a", "1, column 1: no table of sections; begin with vms: and a list of rows"),
    ("subnets: [{cidr: 10.0.0.1/24}]", "1, column 18: subnets: cidr: '10.0.0.1/24' has bits behind its prefix: the "),
    ("l2_networks: [{name: a}]", "1: l2_networks: a row that says neither vlan, vni nor cidrs; add one of them"),
    ("internet: [hello]", "1, column 12: internet: cidr: 'hello' is no network; write 10.0.0.0/24 or 2001:db8::/64"),
    ("switch_ports: [{switch: a, name: b, speed: fast}]", "1, column 44: switch_ports: speed: 'fast' is no rate; "),
    ("vms: [{name: &a b}]", "1, column 14: an anchor or an alias (& or *); write out what is meant, or put it in"),
    ("vms: [", "2, column 1: did not find expected node content; put texts in single quotes"),
    (f"vms: [{{name: {'a' * 201}}}]", f"1, column 14: vms: name: '{'a' * 40}…' is longer than 200 characters; write"),
    ("vms: [{name: \"a\\tb\"}]", "1, column 14: vms: name: 'a\\tb' has control characters, or others that do not pri"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), WRONG)
def test_wrong_yaml(tmp_path: Path, content: str, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InventoryError) as caught:
        read_inventory([path])
    assert str(caught.value.lines[0]).startswith(f"{path}, line {said}")
    assert len(caught.value.lines) == 1


WRONG_CSV = [
    ("section,name,vlan\nvms,a,5000\n", ", line 2, column 3: vms: vlan: '5000' is no VLAN; write 0 to 4094"),
    (
        "section,name\nvms,a,b\n",
        ", line 2, column 3: 3 columns, and 2 in the header; put texts with separators",
    ),
    ("section,name\nvm,a\n", ", line 2, column 1: no section is called 'vm'; did you mean vms?"),
    ("section,name,name\nvms,a,b\n", ", line 1, column 3: the column 'name' is there twice; leave one of them out"),
    (
        "colour,size\nred,1\n",
        ", line 1: no inventory has the columns 'colour, size'; begin with a column called",
    ),
    ('section,name\nvms,"a"b\n', ", line 2: no CSV: ',' expected after '\"'; put texts with quotes in quotes"),
    (
        "VMName,MacAddress,IPAddresses\nweb,00155D010203,System.String[]\n",
        ", line 2, column 3: 'IPAddresses' was not written out: 'System.String[]'; export it with -join ';', as docs/i",
    ),
    ("VMName,MacAddress\nweb,xyz\n", ", line 2, column 2: vms: macs: 'xyz' is no MAC address; write 00:15:5d"),
    (
        "",
        ", line 1: no inventory has the columns ''; begin with a column called section, or export it as docs/",
    ),
]


@pytest.mark.parametrize(("content", "said"), WRONG_CSV)
def test_wrong_csv(tmp_path: Path, content: str, said: str) -> None:
    path = written(tmp_path, content, "some.csv")
    with pytest.raises(InventoryError) as caught:
        read_inventory([path])
    assert str(caught.value.lines[0]).startswith(f"{path}{said}")


def test_all_that_is_wrong(tmp_path: Path) -> None:
    rows = "".join(f"  - {{name: a{n}, vlan: x}}\n" for n in range(30))
    first, second = written(tmp_path, f"vms:\n{rows}"), str(tmp_path / "none.yaml")
    with pytest.raises(InventoryError) as caught:
        read_inventory([second, first])
    error = caught.value
    assert error.lines[0] == f"cannot read {second}: No such file or directory; name a file with an inventory"
    assert error.lines[1].startswith(f"{first}, line 2, column 22: vms: vlan: 'x'")
    assert error.lines[20:] == ("and 11 more",)
    assert error.count == 31
    assert error.excerpt() == error.lines[1:]


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(InventoryError, match="cannot read"):
            read_inventory([str(path)])
    with pytest.raises(InventoryError, match="line 1: neither UTF-8 nor UTF-16 text"):
        read_inventory([written(tmp_path, b"section,\xff\xfa\n", "bad.csv")])
    with pytest.raises(InventoryError, match="not UTF-8 text"):
        read_inventory([written(tmp_path, b"\xff\xfa: 1\n")])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldKind.SIZE, "4096 mb", 4 << 30),
        (FieldKind.SIZE, "1.5TiB", 3 << 39),
        (FieldKind.SIZE, "1024", 1024),
        (FieldKind.RATE, "100 Mbit/s", 10**8),
        (FieldKind.RATE, "2.5Gbps", 2_500_000_000),
        (FieldKind.MAC, "0015.5D01.0203", bytes.fromhex("00155d010203")),
        (FieldKind.ADDRESS, "::ffff:10.0.0.1", ipaddress.ip_address("10.0.0.1")),
        (FieldKind.ADDRESS, "fe80::1%eth0", ipaddress.ip_address("fe80::1")),
        (FieldKind.NETWORK, "10.0.0.1", ipaddress.ip_network("10.0.0.1/32")),
        (FieldKind.TIME, "1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_values(kind: FieldKind, text: str, value: Any) -> None:
    assert value_of(kind, text) == value


TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(["10.0.0.1", "5", "a", "2026-01-01", "8GB", "10.0.0.0/24", ""]))
NAMES = st.sampled_from([*{field.name for fields in SECTIONS.values() for field in fields}, "other"])
ROWS = st.dictionaries(NAMES, TEXTS | st.lists(TEXTS, max_size=3) | st.none() | st.integers(), max_size=4)
FILES = st.dictionaries(
    st.sampled_from([*SECTIONS, *LISTS, "other"]), st.lists(ROWS | TEXTS, max_size=3) | TEXTS, max_size=3
)


@settings(deadline=None, max_examples=150)
@given(FILES, st.integers(0, 200), st.text(max_size=2))
def test_anything_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, content: Any, at: int, more: str) -> None:
    """Whatever stands in a file, mutated too: an inventory, or lines that name the file."""
    text = yaml.safe_dump(content, allow_unicode=True)
    folder = tmp_path_factory.mktemp("any")
    for name in ("some.yaml", "some.csv"):
        path = written(folder, (text[:at] + more + text[at:]).encode(errors="replace"), name)
        lines: tuple[str, ...] = (path,)
        try:
            rows: list[Row] = [row for rows in read_inventory([path]).rows.values() for row in rows]
            assert all(row.path == path for row in rows)
        except InventoryError as error:
            lines = error.lines
        assert all(path in line or line.startswith("and ") for line in lines)
        assert all(line.isprintable() for line in lines)


def test_the_page_about_it() -> None:
    """docs/inventory.md has every field of every section, and its examples are read."""
    page = (Path(__file__).resolve().parent.parent / "docs/inventory.md").read_text()
    for section, fields in SECTIONS.items():
        table = page.partition(f"**{section}**")[2].partition("\n\n**")[0]
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)[: len(fields)] == [field.name for field in fields]
    assert all(f"`{name}`" in page for name in LISTS)


@pytest.mark.parametrize(("kind", "rows"), [("yaml", 9), ("csv", 2)])
def test_examples_of_the_page(tmp_path: Path, kind: str, rows: int) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs/inventory.md").read_text()
    (example,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    inventory = read_inventory([written(tmp_path, example, f"example.{kind}")])
    assert sum(map(len, inventory.rows.values())) == rows
    assert len(inventory.internet) == 1
