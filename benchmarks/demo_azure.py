"""Write a small capture as Azure Network Watcher leaves it in a storage account: what one VM sent and got.

    python benchmarks/demo_azure.py azure.cap

The VM is 10.0.0.4, a web server that is administered over RDP; one of its calls to a slow database begins with a SYN
that was lost. Two things should not be there: somebody shares files with BitTorrent, and logs in to another machine
with telnet. The capture is the same, byte for byte, every time. The names, users and passwords are invented, and the
outer addresses are those set aside for documentation.
"""

from __future__ import annotations

import argparse
import random
from os import PathLike

import demo_messages as messages
from demo import Conversation, Mirror, Server, ipv4_frame, lookup, use_telnet

MACHINE, ADMINISTRATOR = "10.0.0.4", "198.51.100.20"
BITTORRENT_PORT = 6881
CLIENTS = ("203.0.113.7", "203.0.113.26", "203.0.113.80")
WEB = Server(MACHINE, 80, 0.0006, 0.2, "www.example.com")
DESKTOP = Server(MACHINE, 3389, 0.0005, 0.1)
DATABASE = Server("10.0.0.5", 5432, 0.0480, 0.15, "db.example.com")
UPDATES = Server("192.0.2.80", 443, 0.0090, 0.2, "updates.example.com")
PEERS = tuple(Server(f"192.0.2.{n}", BITTORRENT_PORT, 0.0700, 0.3) for n in (131, 177))


class Machine(Mirror):
    """Collects frames as the VM's own network card has them: in no tunnel."""

    def packet(self, now: float, vni: int, source: str, destination: str, protocol: int, payload: bytes) -> None:
        identifier = self.identifiers.get((vni, source), 1000) + 1
        self.identifiers[vni, source] = identifier
        self.frames.append((now, ipv4_frame(source, destination, protocol, identifier & 0xFFFF, payload)))


def serve(machine: Machine, client: str, now: float) -> None:
    """Pages that a client of the web server asks for."""
    talk = Conversation(machine, 0, client, WEB, now).open()
    for number in range(3):
        page = messages.http_response("200 OK", "text/html", messages.web_page(f"Page {number}", 4 + number))
        talk.exchange(messages.http_request("GET", f"/page/{number}.html", WEB.name), page)
        talk.now += 0.4
    talk.close()


def query(machine: Machine, now: float, lost_syns: int) -> None:
    """A connection to the database that is closed before it asks anything."""
    Conversation(machine, 0, MACHINE, DATABASE, now).open(lost_syns=lost_syns).close()


def update(machine: Machine, now: float) -> None:
    """The VM looks for updates with TLS."""
    begin = lookup(machine, 0, MACHINE, now, UPDATES.name, UPDATES.address) + 0.001
    talk = Conversation(machine, 0, MACHINE, UPDATES, begin).open()
    hello = messages.tls_client_hello(machine.rng, UPDATES.name)
    talk.exchange(hello, messages.tls_server_hello(machine.rng, hello, 2800))
    talk.send(0, messages.tls_finished(machine.rng))
    talk.exchange(messages.tls_data(machine.rng, 300), messages.tls_data(machine.rng, 2000), 0.004)
    talk.close()


def administer(machine: Machine, now: float) -> None:
    """The beginning of a remote desktop session; the rest of it is TLS."""
    talk = Conversation(machine, 0, ADMINISTRATOR, DESKTOP, now).open()
    talk.exchange(messages.rdp_request("admin"), messages.rdp_confirm())
    hello = messages.tls_client_hello(machine.rng, "vm.example.com")
    talk.exchange(hello, messages.tls_server_hello(machine.rng, hello, 1200))
    talk.send(0, messages.tls_finished(machine.rng))
    talk.close()


def share_files(machine: Machine, peer: Server, now: float) -> None:
    """Handshake and a few pieces with a BitTorrent peer."""
    talk = Conversation(machine, 0, MACHINE, peer, now).open()
    torrent = machine.rng.randbytes(20)
    talk.exchange(
        messages.bittorrent_handshake(torrent, b"-XX0001-123456789012"),
        messages.bittorrent_handshake(torrent, b"-YY0001-210987654321"),
    )
    talk.exchange(messages.BITTORRENT_INTERESTED, messages.BITTORRENT_UNCHOKE)
    for piece in range(4):
        request = messages.bittorrent_request(piece)
        talk.exchange(request, messages.bittorrent_piece(piece, machine.rng.randbytes(16384)))
    talk.close()


def write_demo(path: str | PathLike[str], seed: int = 1) -> int:
    """Write the capture to `path`; return the number of frames."""
    machine = Machine(random.Random(seed))
    for number, client in enumerate(CLIENTS):
        serve(machine, client, 0.5 + 7.0 * number)
    for number in range(4):
        query(machine, 2.0 + 5.0 * number, lost_syns=1 if number == 2 else 0)
    update(machine, 4.0)
    administer(machine, 6.0)
    for number, peer in enumerate(PEERS):
        share_files(machine, peer, 9.0 + 3.0 * number)
    use_telnet(machine, 0, MACHINE, 15.0, "opc", "not-a-real-password")
    return machine.write(path)


def main() -> None:
    """Write the capture where the command line says."""
    parser = argparse.ArgumentParser(description="Write a capture as Azure Network Watcher would.")
    parser.add_argument("path", help="the pcap file to write")
    arguments = parser.parse_args()
    print(f"{write_demo(arguments.path)} frames written to {arguments.path}")


if __name__ == "__main__":
    main()
