"""THE column table: every name that outsiders rely on, with its types, label, unit and meaning.

A row of a structured array, a column of a Table and a display-filter field are described here. `label`, `filter` and
`query` are the names that screens, display filters and the query language use.
The C structs in ext/records.h and ext/flow_record.h have the same layout; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_VLAN = 0xFFFF
NO_TUNNEL_ID = 0xFFFFFFFF
NO_STREAM = 0xFFFFFFFF
NO_TIME = np.iinfo(np.int64).min
"""A time or duration that is not known, in structured arrays; Tables have null."""

VERDICTS = ("ok", "truncated", "malformed", "unsupported")
TUNNEL_KINDS = ("", "vxlan", "gre", "ip-in-ip", "geneve", "erspan")
ERSPAN_FLAGS = {
    "cos": 0xE000,
    "encapsulation": 0x1800,
    "truncated": 0x0400,
    "egress": 0x0008,
    "granularity": 0x0006,
    "subheader": 0x0001,
}
"""Bits of `flags` in tunnel rows of ERSPAN, where its headers have them: the last three in type III, of which
encapsulation is the integrity."""
END_REASONS = ("", "idle", "active", "closed", "forced", "evicted")
CONN_STATES = ("S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH")
PACKET_FLAGS = (
    "more-fragments",
    "dont-fragment",
    "bad-checksum",
    "has-transport",
    "is-outer",
    "is-fragment",
    "overlap",
    "overlap-differs",
)
"""Bits of a packet's `flags`, lowest first.

has-transport: the ports were read. is-outer: no IP layer was read inside the innermost tunnel. is-fragment: a fragment
captured whole that did not complete its datagram. overlap: in the datagram that the frame completed fragments overlap;
overlap-differs: and do not agree on the bytes.
"""
ANALYSIS_FLAGS = (
    "retransmission",
    "fast-retransmission",
    "spurious-retransmission",
    "out-of-order",
    "lost-segment",
    "ack-lost-segment",
    "duplicate-ack",
    "keep-alive",
    "keep-alive-ack",
    "zero-window",
    "window-update",
    "window-full",
    "zero-window-probe",
    "zero-window-probe-ack",
    "reused-ports",
)
"""Bits of a stream row's `analysis`, lowest first: Wireshark's tcp.analysis fields.

A fast or spurious retransmission is a retransmission, too.
"""
ANALYSIS_PRESENT = ("stream", "length", "window-scale", "details")
"""Bits of an analysis row's `present`, lowest first: which of Wireshark's fields the packet has.

stream: time_relative, time_delta, completeness, seq, ack, window. length: length, next_seq; seq and ack are relative
and the window is scaled. window-scale: window_scale. details: there is a tcp.analysis.
"""
PAYLOAD_HEAD_FLAGS = ("full", "ended", "evicted", "early", "gap")
"""Bits of a head's `flags`, lowest first.

full: as long as heads get. ended: the conversation is over. evicted: it was given up for others. early: the head comes
once more if it grows. gap: bytes are missing in it, or before it.
"""
PAYLOAD_PIECE_FLAGS = ("overlap", "conflict", "message", "cut", "ended", "limit", "evicted", "listened")
"""Bits of a piece's `flags`, lowest first.

overlap: it came in segments that repeat a part of others; conflict: and differ there: the copy that came first counts.
message: a whole UDP datagram. cut: not all of the frame was captured, the rest is missing behind the piece. ended: the
conversation is over; such a piece has no bytes and no time. limit, evicted: of an end: more came than was kept, or the
conversation was given up for others. listened: only this side is handed out.
"""
TCP_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `numpy` is its type in a structured array ("" where it only stands in Tables), `arrow` its type in a Table: the name
    of an Arrow type, or "address" (16 bytes, IPv4 mapped), "mac", "time" (ns since the epoch, UTC), "duration" (ns),
    "label" (one of few texts) or "numbers" (a list of uint64). `filter` is its name in display filters, `query` in the
    query language.
    """

    name: str
    numpy: str
    arrow: str
    label: str = ""
    unit: str = ""
    description: str = ""
    filter: str = ""
    query: str = ""


RECORD = (
    Column("timestamp", "i8", "time", unit="ns", description="capture time since the epoch, UTC"),
    Column("offset", "u4", "uint32", unit="byte", description="of the frame's first byte, in the chunk's buffer"),
    Column("captured_length", "u4", "uint32", unit="byte"),
    Column("wire_length", "u4", "uint32", unit="byte"),
    Column("interface", "u2", "uint16", description="in the capture's list of interfaces; 65535 undeclared"),
    Column("options", "u2", "uint16", unit="4 byte", description="pcapng options behind the padded frame"),
)

MARK = (
    Column("offset", "u4", "uint32", unit="byte", description="of the block's body, in the buffer"),
    Column("length", "u4", "uint32", unit="byte"),
    Column("type", "u4", "uint32", description="pcapng block type"),
    Column("interface", "u4", "uint32", description="in the file's list of interfaces"),
    Column("swapped", "u4", "uint32", description="1 when the block's byte order is not the machine's"),
)

WRITTEN_INTERFACE = (
    Column("offset", "i8", "duration", unit="ns", description="taken from every time"),
    Column("tick", "u4", "uint32", unit="ns"),
    Column("swapped", "u4", "uint32", description="1 when options are not in the machine's byte order"),
)

PACKET = (
    Column("timestamp", "i8", "time", "Time", "ns", "capture time since the epoch, UTC", "frame.time_epoch"),
    Column("flow_hash", "u8", "uint64", "Flow hash", "", "keyed, symmetric hash of addresses, ports and protocol"),
    Column("source", "(16,)u1", "address", "Source", "", "source address, IPv4 mapped", "ip.src"),
    Column("destination", "(16,)u1", "address", "Destination", "", "destination address, IPv4 mapped", "ip.dst"),
    Column("frame_offset", "u4", "uint32", "Offset", "byte", "of the frame, in the batch's buffers[0]"),
    Column("captured_length", "u4", "uint32", "Captured", "byte", "of the whole frame", "frame.cap_len"),
    Column("wire_length", "u4", "uint32", "Length", "byte", "of the whole frame", "frame.len"),
    Column("tcp_seq", "u4", "uint32", "Seq", "", "raw TCP sequence number", "tcp.seq_raw"),
    Column("tcp_ack", "u4", "uint32", "Ack", "", "raw TCP acknowledgment number", "tcp.ack_raw"),
    Column("payload_offset", "u4", "uint32", "Payload at", "byte", "in the batch's buffers[payload_buffer]"),
    Column("payload_length", "u4", "uint32", "Payload", "byte", "by the IP length, not by what was captured"),
    Column("tunnel_id", "u4", "uint32", "VNI", "", "VNI, GRE key or ERSPAN session, innermost; 0xFFFFFFFF none"),
    Column("inner_length", "u4", "uint32", "Inner length", "byte", "wire length of the innermost frame"),
    Column("interface", "u2", "uint16", "Interface", "", "in the capture's list; 65535 undeclared"),
    Column("path", "u2", "uint16", "Path", "", "index into the capture's paths: the stack of protocols"),
    Column("source_port", "u2", "uint16", "Source port", "", "ICMP: the type"),
    Column("destination_port", "u2", "uint16", "Destination port", "", "ICMP: the code"),
    Column("vlan", "u2", "uint16", "VLAN", "", "innermost tag; 0xFFFF none", "vlan.id"),
    Column("ether_type", "u2", "uint16", "EtherType", "", "innermost", "eth.type"),
    Column("ip_id", "u2", "uint16", "IP id", "", "low 16 bits for IPv6 fragments", "ip.id"),
    Column("fragment_offset", "u2", "uint16", "Fragment offset", "byte", "", "ip.frag_offset"),
    Column("tcp_flags", "u2", "uint16", "Flags", "", "12 bits", "tcp.flags"),
    Column("tcp_window", "u2", "uint16", "Window", "", "raw, not scaled", "tcp.window_size_value"),
    Column("application", "u2", "uint16", "Application", "", "index into the batch's applications; 0 none"),
    Column("ip_version", "u1", "uint8", "IP", "", "4, 6; 0 no IP layer", "ip.version"),
    Column("ip_protocol", "u1", "uint8", "Protocol", "", "IP protocol number", "ip.proto"),
    Column("ttl", "u1", "uint8", "TTL", "", "or hop limit", "ip.ttl"),
    Column("tos", "u1", "uint8", "ToS", "", "or traffic class", "ip.dsfield"),
    Column("tunnel_count", "u1", "uint8", "Tunnels", "", "encapsulations crossed"),
    Column("verdict", "u1", "uint8", "Verdict", "", "index into schema.VERDICTS"),
    Column("verdict_layer", "u1", "uint8", "Verdict layer", "", "where decoding stopped: index into PROTOCOLS"),
    Column("payload_buffer", "u1", "uint8", "Buffer", "", "index into the batch's buffers"),
    Column("eth_source", "(6,)u1", "mac", "Source MAC", "", "innermost", "eth.src"),
    Column("eth_destination", "(6,)u1", "mac", "Destination MAC", "", "innermost", "eth.dst"),
    Column("transport_length", "u1", "uint8", "", "byte", "of the transport header, which ends at the payload"),
    Column("flags", "u1", "uint8", "", "", "bits, named by schema.PACKET_FLAGS"),
)

TUNNEL = (
    Column("source", "(16,)u1", "address", "Source", "", "of the outer IP layer"),
    Column("destination", "(16,)u1", "address", "Destination", "", "of the outer IP layer"),
    Column("packet", "u4", "uint32", "Packet", "", "row in the batch's packets"),
    Column("id", "u4", "uint32", "Id", "", "VNI, GRE key or ERSPAN session; 0xFFFFFFFF none"),
    Column("sequence", "u4", "uint32", "Sequence", "", "GRE sequence number", "gre.sequence_number"),
    Column("source_port", "u2", "uint16", "Source port", "", "of the outer UDP header"),
    Column("destination_port", "u2", "uint16", "Destination port", "", "of the outer UDP header"),
    Column("vlan", "u2", "uint16", "VLAN", "", "of the outer frame; of ERSPAN, of its header; 0xFFFF none"),
    Column("flags", "u2", "uint16", "Flags", "", "the header's first two bytes; of ERSPAN, ERSPAN_FLAGS"),
    Column("level", "u1", "uint8", "Level", "", "1 is the outermost"),
    Column("kind", "u1", "uint8", "Kind", "", "index into schema.TUNNEL_KINDS"),
    Column("reserved", "(10,)u1", ""),
)

LAYER = (
    Column("packet", "u4", "uint32", "Packet", "", "row in the batch's packets"),
    Column("offset", "u4", "uint32", "Offset", "byte", "of the header, in the batch's buffers[buffer]"),
    Column("length", "u4", "uint32", "Length", "byte", "of the header"),
    Column("size", "u4", "uint32", "Size", "byte", "captured, from the header's first byte to its layer's end"),
    Column("protocol", "u1", "uint8", "Protocol", "", "index into PROTOCOLS"),
    Column("buffer", "u1", "uint8", "Buffer", "", "index into the batch's buffers"),
    Column("ordinal", "u1", "uint8", "Ordinal", "", "among the frame's headers of this protocol, from 1"),
    Column("reserved", "u1", ""),
)

INNER_FRAME = (
    Column("offset", "u4", "uint32", "Offset", "byte", "of the frame's first byte, in the batch's buffers[buffer]"),
    Column("captured_length", "u4", "uint32", "Captured", "byte"),
    Column("wire_length", "u4", "uint32", "Length", "byte"),
    Column(
        "protocol", "u1", "uint8", "Protocol", "", "index into PROTOCOLS of what it begins with; 0 for whole frames"
    ),
    Column("buffer", "u1", "uint8", "Buffer", "", "index into the batch's buffers"),
    Column("reserved", "(2,)u1", ""),
)

DATAGRAM = (
    Column("packet", "u4", "uint32", "Packet", "", "row in the batch's packets: the frame that completed it"),
    Column("offset", "u4", "uint32", "Offset", "byte", "in the batch's buffers[1]"),
    Column("length", "u4", "uint32", "Length", "byte", "of the datagram, without IP headers"),
    Column("protocol", "u4", "uint32", "Protocol", "", "IP protocol number of what it begins with"),
)

MESSAGE = (
    Column("packet", "u4", "uint32", "Packet", "", "row in the batch's packets: the frame that completed it"),
    Column("offset", "u4", "uint32", "Offset", "byte", "in the batch's buffers[buffer]"),
    Column("length", "u4", "uint32", "Length", "byte", "of what was captured and kept of it"),
    Column("application", "u2", "uint16", "Application", "", "index into the names of protocols.compiling"),
    Column("buffer", "u1", "uint8", "Buffer", "", "index into the batch's buffers"),
    Column("reserved", "u1", ""),
)

FRAGMENT = (
    Column("timestamp", "i8", "time", unit="ns", description="of the datagram's first fragment"),
    Column("source", "(16,)u1", "address"),
    Column("destination", "(16,)u1", "address"),
    Column("identification", "u4", "uint32"),
    Column("tunnel_id", "u4", "uint32"),
    Column("vlan", "u2", "uint16"),
    Column("ip_version", "u1", "uint8"),
    Column("key_protocol", "u1", "uint8", description="IPv4: datagrams of other protocols have other identifications"),
    Column("offset", "u2", "uint16", unit="byte"),
    Column("length", "u2", "uint16", unit="byte"),
    Column("protocol", "u1", "uint8"),
    Column("more", "u1", "uint8"),
    Column("reserved", "(6,)u1", ""),
)

STREAM = (
    Column("stream", "u4", "uint32", "Stream", "", "of the innermost TCP or UDP; 0xFFFFFFFF none", "tcp.stream"),
    Column("slot", "u4", "uint32", "", "", "dense number, used again for other streams; 0xFFFFFFFF none"),
    Column("analysis", "u2", "uint16", "Analysis", "", "bits, named by schema.ANALYSIS_FLAGS"),
    Column("direction", "u1", "uint8", "Direction", "", "0 from the sender of the stream's first packet, 1 to it"),
    Column("begins", "u1", "uint8", "", "", "1: the stream's first packet, its slot was another's before"),
    Column("reserved", "u4", ""),
)

ANALYSIS = (
    Column("time_relative", "i8", "duration", "", "ns", "since the stream's first packet", "tcp.time_relative"),
    Column("time_delta", "i8", "duration", "", "ns", "since the stream's packet before", "tcp.time_delta"),
    Column("initial_rtt", "i8", "duration", "", "ns", "NO_TIME not shown", "tcp.analysis.initial_rtt"),
    Column("ack_rtt", "i8", "duration", "", "ns", "NO_TIME not shown", "tcp.analysis.ack_rtt"),
    Column("seq", "u4", "uint32", "", "", "relative", "tcp.seq"),
    Column("ack", "u4", "uint32", "", "", "relative", "tcp.ack"),
    Column("next_seq", "u4", "uint32", "", "", "relative", "tcp.nxtseq"),
    Column("window", "u4", "uint32", "", "byte", "scaled", "tcp.window_size"),
    Column("length", "u4", "uint32", "", "byte", "of the payload", "tcp.len"),
    Column("duplicate_ack_number", "u4", "uint32", "", "", "0 none", "tcp.analysis.duplicate_ack_num"),
    Column("duplicate_ack_frame", "u4", "uint32", "", "", "frame number", "tcp.analysis.duplicate_ack_frame"),
    Column("window_scale", "i2", "int16", "", "", "factor; -1 unknown, -2 unused", "tcp.window_size_scalefactor"),
    Column("completeness", "u1", "uint8", "", "", "bits, before this packet", "tcp.completeness"),
    Column("present", "u1", "uint8", "", "", "bits, named by schema.ANALYSIS_PRESENT"),
)

OTHER_STREAM = (
    Column("packet", "u4", "uint32", "Packet", "", "row in the batch's packets"),
    Column("stream", "u4", "uint32", "Stream", "", "of an outer or quoted header"),
    Column("protocol", "u1", "uint8", "Protocol", "", "IP protocol number: TCP or UDP"),
    Column("reserved", "(3,)u1", ""),
)

PAYLOAD_HEAD = (
    Column("serial", "u8", "uint64", "Conversation", "", "number of the conversation, from 1"),
    Column("slot", "u4", "uint32", "", "", "its place, used again for others once it is over"),
    Column("start", "u4", "uint32", "", "byte", "of the first byte, in the bytes that come with the rows"),
    Column("length", "u4", "uint32", "Length", "byte"),
    Column("sender", "u1", "uint8", "Sender", "", "0 the conversation's source, 1 its destination"),
    Column("flags", "u1", "uint8", "", "", "bits, named by schema.PAYLOAD_HEAD_FLAGS"),
    Column("reserved", "(2,)u1", ""),
)

PAYLOAD_PIECE = (
    Column("serial", "u8", "uint64", "Conversation", "", "number of the conversation, from 1"),
    Column(
        "offset", "u8", "uint64", "Offset", "byte", "of the first byte in what this side sent, with what is missing"
    ),
    Column("time", "i8", "time", "Time", "ns", "of the frame that brought the last of these bytes"),
    Column("frame", "u8", "uint64", "Frame", "", "its number"),
    Column("slot", "u4", "uint32", "", "", "of the conversation"),
    Column("start", "u4", "uint32", "", "byte", "of the first byte, in the bytes that come with the rows"),
    Column("length", "u4", "uint32", "Length", "byte"),
    Column("gap", "u4", "uint32", "Gap", "byte", "missing right before it"),
    Column("sender", "u1", "uint8", "Sender", "", "0 the conversation's source, 1 its destination"),
    Column("flags", "u1", "uint8", "", "", "bits, named by schema.PAYLOAD_PIECE_FLAGS"),
    Column("reserved", "(6,)u1", ""),
)

PAYLOAD_CONVERSATION = (
    Column("source", "(16,)u1", "address", "Source", "", "the client, when that was known at the first packet"),
    Column("destination", "(16,)u1", "address", "Destination"),
    Column("first_seen", "i8", "time", "First seen", "ns", "time of the first packet"),
    Column("serial", "u8", "uint64", "Conversation", "", "its number, from 1; 0 where there is none"),
    Column("vni", "u4", "uint32", "VNI", "", "VNI, GRE key or ERSPAN session, innermost; 0xFFFFFFFF none"),
    Column("source_port", "u2", "uint16", "Source port"),
    Column("destination_port", "u2", "uint16", "Port"),
    Column("vlan", "u2", "uint16", "VLAN", "", "of the first packet's innermost frame; 0xFFFF none"),
    Column("protocol", "u1", "uint8", "Protocol", "", "IP protocol number: TCP or UDP"),
    Column("client", "u1", "uint8", "", "", "which end opened it: 0 source, 1 destination"),
    Column("client_known", "u1", "uint8", "", "", "0: `client` is only who sent the first packet"),
    Column("reserved", "(3,)u1", ""),
)


_FLOW_DIRECTION = [
    ("last_seen", "i8"),
    ("packets", "u8"),
    ("bytes", "u8"),
    ("payload_bytes", "u8"),
    ("ack_packets", "u4"),
    ("psh_packets", "u4"),
    ("sequence", "u4", (5,)),
    ("ttl_min", "u1"),
    ("ttl_max", "u1"),
    ("once", "u1"),
    ("bits", "u1"),
]
_FLOW_EVENTS = [
    ("flag_counts", "u4", (6,)),
    ("sequence", "u4", (4,)),
    ("retransmissions", "u4"),
    ("zero_windows", "u2"),
    ("gaps", "u2"),
    ("bad_checksums", "u2"),
    ("tcp_flags", "u2"),
]

FLOW_RECORD_DTYPE = np.dtype(
    [
        ("source", "u1", (16,)),
        ("destination", "u1", (16,)),
        ("first_seen", "i8"),
        ("last_seen", "i8"),
        ("vni", "u4"),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("vlan", "u2"),
        ("protocol", "u1"),
        ("flags", "u1"),
        ("state", "u1", (2,)),
        ("previous_state", "u1", (2,)),
        ("direction", _FLOW_DIRECTION, (2,)),
        ("started", "i8", (2,)),
        ("syn_last", "i8"),
        ("synack_last", "i8"),
        ("syn_synack_rtt", "i8"),
        ("synack_ack_rtt", "i8"),
        ("initial_rtt", "i8"),
        ("history", "u8", (3,)),
        ("events", _FLOW_EVENTS, (2,)),
        ("syn_retransmissions", "u2"),
        ("synack_retransmissions", "u2"),
        ("history_length", "u1"),
        ("end_reason", "u1"),
        ("application", "u2"),
    ]
)
"""struct flow_record of ext/flow_record.h: what the flow table hands out, before it becomes rows of FLOW."""

TALLY_ENTRY_DTYPE = np.dtype(
    [
        ("first", "u8"),
        ("first_time", "i8"),
        ("last_time", "i8"),
        ("packets", "u8", (2,)),
        ("bytes", "u8", (2,)),
        ("source", "u1", (16,)),
        ("destination", "u1", (16,)),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("stream", "u4"),
    ]
)
"""struct tally_entry of ext/tally.h: two ends, and what they sent."""


TREE_NODE_DTYPE = np.dtype(
    [
        ("address", "u1", (16,)),
        ("count", "u8"),
        ("burst_start", "i8"),
        ("newest_start", "i8"),
        ("newest_count", "u4"),
        ("older", "u4"),
        ("window", "u4"),
        ("burst", "u4"),
        ("parent", "u4"),
        ("port", "u2"),
        ("place", "u1"),
        ("reserved", "u1"),
    ]
)
"""struct tree_node of ext/tree_nodes.h: what a TreeTally hands out."""

TREE_QUOTE_DTYPE = np.dtype([("packet", "u4"), ("destination_port", "u2"), ("transport", "u1"), ("reserved", "u1")])
"""struct tree_quote of ext/tree_tally.h: the last transport header that an ICMP error quotes."""

_STREAM_DIRECTION = [
    ("last_seen", "i8"),
    ("advanced", "i8"),
    ("sequence", "u4", (4,)),
    ("window", "u4"),
    ("analysis", "u2"),
    ("scale", "i1"),
    ("bits", "u1"),
    ("duplicate_acks", "u4"),
    ("sent", [("first", "u4"), ("last", "u4"), ("count", "u2"), ("start", "u1"), ("unsorted", "u1")]),
]
STREAM_RECORD_DTYPE = np.dtype(
    [
        ("source", "u1", (16,)),
        ("destination", "u1", (16,)),
        ("first_seen", "i8"),
        ("last_seen", "i8"),
        ("number", "u4"),
        ("used", "u4"),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("protocol", "u1"),
        ("bits", "u1"),
        ("completeness", "u1"),
        ("reserved", "u1"),
        ("direction", _STREAM_DIRECTION, (2,)),
        ("initial_rtt", "i8"),
        ("acked_anew", "u4", (2,)),
    ]
)
"""struct stream_record of ext/stream_record.h: what the stream table's state consists of."""
SEGMENT_DTYPE = np.dtype([("seq", "u4"), ("next", "u4"), ("time", "i8")])
"""struct sent_segment of ext/segments.h: sent, and not acknowledged."""


def _both(name: str, arrow: str, label: str, unit: str = "", description: str = "") -> tuple[Column, Column]:
    """A column for each direction: `source_…` is sent by the originator, `destination_…` by the responder."""
    return (
        Column(f"source_{name}", "", arrow, f"Source {label}", unit, description, "", f"Source {label}"),
        Column(f"destination_{name}", "", arrow, f"Destination {label}", unit, description, "", f"Destination {label}"),
    )


FLOW = (
    Column("first_seen", "", "time", "First seen", "ns", "time of the first packet, UTC"),
    Column("last_seen", "", "time", "Last seen", "ns", "time of the last packet, UTC"),
    Column("source", "", "address", "Source", "", "the originator", "", "Source IP Address"),
    Column("destination", "", "address", "Destination", "", "the responder", "", "Destination IP Address"),
    Column("source_port", "", "uint16", "Source port", "", "ICMP: the type", "", "Source Port"),
    Column("destination_port", "", "uint16", "Port", "", "ICMP: the answer's type, else the code", "", "Port"),
    Column("protocol", "", "uint8", "Protocol", "", "IP protocol number", "", "Protocol"),
    Column("vlan", "", "uint16", "VLAN", "", "of the first packet's innermost frame", "", "VLAN"),
    Column("vni", "", "uint32", "VNI", "", "VNI, GRE key or ERSPAN session of the first packet", "", "VNI"),
    *_both("packets", "uint64", "Packets", "", "frames"),
    *_both("bytes", "uint64", "Bytes", "byte", "wire length of the innermost frame"),
    *_both("payload_bytes", "uint64", "Payload", "byte", "behind the transport header, by the IP length"),
    *_both("tcp_flags", "uint16", "Flags", "", "OR of all, 12 bits"),
    Column("syn_synack_rtt", "", "duration", "SYN→SYN-ACK", "ns", "SYN-ACK minus the SYN it answers: mirror to server"),
    Column("synack_ack_rtt", "", "duration", "SYN-ACK→ACK", "ns", "first client ACK minus SYN-ACK: mirror to client"),
    Column("handshake_rtt", "", "duration", "Handshake RTT", "ns", "sum of the two", "", "Average TCP RTT"),
    Column("initial_rtt", "", "duration", "Initial RTT", "ns", "Wireshark's rule", "tcp.analysis.initial_rtt"),
    Column("syn_retransmissions", "", "uint16", "SYN again", "", "SYNs after the first"),
    Column("synack_retransmissions", "", "uint16", "SYN-ACK again", "", "SYN-ACKs after the first"),
    Column("syn_ambiguous", "", "bool", "SYN ambiguous", "", "several SYNs before the SYN-ACK: first and last differ"),
    Column("conn_state", "", "label", "State", "", "Zeek's conn_state", "", "Conn State"),
    Column("history", "", "string", "History", "", "Zeek's history"),
    Column("application", "", "string", "Application", "", "null where unknown", "", "Application Protocol"),
    Column("foreign_port", "", "bool", "Foreign port", "", "found by content on a port where it is not expected"),
    Column("community_id", "", "string", "Community ID", "", "version 1, seed 0", "", "Community ID"),
    Column("end_reason", "", "label", "End", "", "one of schema.END_REASONS"),
    *_both("first_seen", "time", "first seen", "ns", "time of this direction's first packet"),
    *_both("last_seen", "time", "last seen", "ns", "time of this direction's last packet"),
    *_both("ttl_min", "uint8", "TTL min", "", "or hop limit"),
    *_both("ttl_max", "uint8", "TTL max", "", "or hop limit"),
    *(column for flag in TCP_FLAGS for column in _both(f"{flag}_packets", "uint32", flag.upper(), "", "with the flag")),
    *_both("retransmissions", "uint32", "Retransmitted", "", "segments with no new sequence number (Zeek's t)"),
)
FINDING = (
    Column("time", "", "time", "Time", "ns", "of the attempt, UTC"),
    Column("community_id", "", "string", "Community ID", "", "of the flow, version 1, seed 0"),
    Column("vlan", "", "uint16", "VLAN", "", "of the flow's innermost frame"),
    Column("vni", "", "uint32", "VNI", "", "VNI, GRE key or ERSPAN session of the flow"),
    Column("transport", "", "label", "Transport", "", "one of schema.TRANSPORTS"),
    Column("protocol", "", "string", "Protocol", "", "as tshark names it; null for a rule where none is known"),
    Column("foreign_port", "", "bool", "Foreign port", "", "on a port where this protocol is not expected"),
    Column("client", "", "address", "Client", "", "who logs in"),
    Column("client_port", "", "uint16", "Client port"),
    Column("server", "", "address", "Server"),
    Column("server_port", "", "uint16", "Server port"),
    Column("kind", "", "label", "Kind", "", "one of plaintext.model.Kind"),
    Column("account", "", "string", "Account", "", "null where nobody says"),
    Column("secret", "", "string", "Secret", "", "length and keyed HMAC; null where there is none to be read"),
    Column("scheme", "", "string", "Scheme", "", "how the secret is told, in the protocol's words; of a rule its name"),
    Column("outcome", "", "label", "Outcome", "", "one of plaintext.model.Outcome"),
    Column("inferred", "", "bool", "Inferred", "", "told from one direction, or from what usually follows"),
    Column("frames", "", "numbers", "Frames", "", "numbers of the frames that show it, from 1"),
    Column("severity", "", "label", "Severity", "", "one of plaintext.model.Severity"),
    Column("remedy", "", "string", "Remedy", "", "what to do about it"),
    Column("detail", "", "string", "Detail", "", "what else is worth a few words; null without"),
)
"""A row for each attempt to log in, unprotected service and match of a rule: plaintext.model.Finding."""

TRANSPORTS = ("tcp", "udp")


def dtype(columns: tuple[Column, ...]) -> np.dtype[np.void]:
    """The structured dtype of `columns`: packed, in their order."""
    return np.dtype([(column.name, column.numpy) for column in columns])


RECORD_DTYPE = dtype(RECORD)
MARK_DTYPE = dtype(MARK)
WRITTEN_INTERFACE_DTYPE = dtype(WRITTEN_INTERFACE)
PACKET_DTYPE = dtype(PACKET)
TUNNEL_DTYPE = dtype(TUNNEL)
LAYER_DTYPE = dtype(LAYER)
INNER_FRAME_DTYPE = dtype(INNER_FRAME)
DATAGRAM_DTYPE = dtype(DATAGRAM)
FRAGMENT_DTYPE = dtype(FRAGMENT)
MESSAGE_DTYPE = dtype(MESSAGE)
STREAM_DTYPE = dtype(STREAM)
ANALYSIS_DTYPE = dtype(ANALYSIS)
OTHER_STREAM_DTYPE = dtype(OTHER_STREAM)
PAYLOAD_HEAD_DTYPE = dtype(PAYLOAD_HEAD)
PAYLOAD_PIECE_DTYPE = dtype(PAYLOAD_PIECE)
PAYLOAD_CONVERSATION_DTYPE = dtype(PAYLOAD_CONVERSATION)
