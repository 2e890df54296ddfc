"""How many bytes the types of numbers have in tshark: what a value may be at most, and what len() gives."""

from __future__ import annotations

from spanline.fields import Field, Kind

_SIZES = {
    1: """
    geneve.flags geneve.option.length geneve.option.type geneve.reserved geneve.version
    ah.length ah.next_header arp.hw.size arp.proto.size fddi.fc icmp.code icmp.type icmpv6.code icmpv6.type igmp.type
    ip.dsfield ip.dsfield.dscp ip.dsfield.ecn ip.flags ip.hdr_len ip.proto ip.ttl ip.version ipv6.dstopts.nxt
    ipv6.fraghdr.nxt ipv6.hlim ipv6.hopopts.nxt ipv6.nxt ipv6.routing.nxt ipv6.routing.segleft ipv6.routing.type
    ipv6.version llc.dsap llc.ssap tcp.hdr_len tcp.options.wscale.shift tls.handshake.type tr.ac tr.fc tr.frame_type
    """,
    2: """
    arp.hw.type arp.opcode arp.proto.type dns.flags.rcode dns.qry.type erspan.bso erspan.cos erspan.encap erspan.ft
    erspan.gra erspan.hw erspan.o erspan.p erspan.sgt erspan.spanid erspan.truncated erspan.version
    erspan.vlan eth.len eth.type geneve.option.class geneve.proto_type gre.flags.version gre.flags_and_version gre.proto
    http.response.code icmp.checksum icmp.ident icmp.seq icmpv6.checksum icmpv6.echo.identifier
    icmpv6.echo.sequence_number ieee8021ad.dei ieee8021ad.id ieee8021ad.priority ip.checksum ip.frag_offset
    ip.id ip.len ipv6.fraghdr.offset ipv6.plen sctp.dstport sctp.port sctp.srcport sll.etype sll.halen
    sll.hatype sll.pkttype tcp.checksum tcp.dstport tcp.flags tcp.options.mss_val tcp.port tcp.srcport
    tcp.urgent_pointer tcp.window_size_value udp.checksum udp.dstport udp.length udp.port udp.srcport vlan.etype
    vlan.id vlan.len vlan.priority vxlan.flags vxlan.gbp
    """,
    3: """
    geneve.vni ipv6.flow vxlan.vni
    """,
    8: """
    geneve.option.gcp.profile
    """,
}
_BY_NAME = {name: size for size, names in _SIZES.items() for name in names.split()}
_WIDTHS = {Kind.IPV4: 4, Kind.IPV6: 16, Kind.ETHER: 6, Kind.UNSIGNED: 4, Kind.SIGNED: 4}


def size_of(field: Field) -> int:
    """Bytes of a field's type; 0 for those that tshark gives no length, like times and flags."""
    return _BY_NAME.get(field.name, _WIDTHS.get(field.kind, 0))
