/* The protocols and the codes that rows carry. Names are tshark's; Python reads them from here through _decode, so
 * that there is one list. New protocols go to the end of their group: numbers are not stored anywhere. */
#ifndef SPANLINE_PROTOCOLS_H
#define SPANLINE_PROTOCOLS_H

#define PROTOCOLS(X)                                                                                                   \
    X(NONE, "")                                                                                                        \
    X(FRAME, "frame")                                                                                                  \
    X(ETHERNET, "eth")                                                                                                 \
    X(SLL, "sll")                                                                                                      \
    X(SLL2, "sll2")                                                                                                    \
    X(NULL_LOOP, "null")                                                                                               \
    X(RAW, "raw")                                                                                                      \
    X(TOKEN_RING, "tr")                                                                                                \
    X(FDDI, "fddi")                                                                                                    \
    X(VLAN, "vlan")                                                                                                    \
    X(VLAN_AD, "ieee8021ad")                                                                                           \
    X(LLC, "llc")                                                                                                      \
    X(ARP, "arp")                                                                                                      \
    X(IPV4, "ip")                                                                                                      \
    X(IPV6, "ipv6")                                                                                                    \
    X(IPV6_HOP_BY_HOP, "ipv6.hopopts")                                                                                 \
    X(IPV6_ROUTING, "ipv6.routing")                                                                                    \
    X(IPV6_FRAGMENT, "ipv6.fraghdr")                                                                                   \
    X(IPV6_DESTINATION, "ipv6.dstopts")                                                                                \
    X(AH, "ah")                                                                                                        \
    X(TCP, "tcp")                                                                                                      \
    X(UDP, "udp")                                                                                                      \
    X(ICMP, "icmp")                                                                                                    \
    X(ICMPV6, "icmpv6")                                                                                                \
    X(SCTP, "sctp")                                                                                                    \
    X(VXLAN, "vxlan")                                                                                                  \
    X(GRE, "gre")                                                                                                      \
    X(GENEVE, "geneve")                                                                                                \
    X(ERSPAN, "erspan")                                                                                                \
    /* Parts of headers that are optional: layers only, so that each field has a fixed place in some layer. */         \
    X(GRE_KEY, "gre.key")                                                                                              \
    X(GRE_SEQUENCE, "gre.sequence_number")                                                                             \
    X(GENEVE_OPTION, "geneve.option")                                                                                  \
    X(TCP_MSS, "tcp.options.mss")                                                                                      \
    X(TCP_WINDOW_SCALE, "tcp.options.wscale")                                                                          \
    X(TCP_SACK_PERMITTED, "tcp.options.sack_perm")                                                                     \
    X(TCP_SACK, "tcp.options.sack")                                                                                    \
    X(TCP_TIMESTAMPS, "tcp.options.timestamp")

enum protocol {
#define X(name, text) PROTOCOL_##name,
    PROTOCOLS(X)
#undef X
        PROTOCOL_COUNT
};

static const char *const PROTOCOL_NAMES[] = {
#define X(name, text) text,
    PROTOCOLS(X)
#undef X
};

/* How far a frame could be read. */
enum verdict {
    VERDICT_OK,          /* every header was read */
    VERDICT_TRUNCATED,   /* a header goes on past the last captured byte: the mirror or the snaplen cut it */
    VERDICT_MALFORMED,   /* a header contradicts itself or the one around it */
    VERDICT_UNSUPPORTED, /* a header that spanline does not read, or more than MAX_TUNNELS nested */
};

enum tunnel_kind { TUNNEL_VXLAN = 1, TUNNEL_GRE = 2, TUNNEL_IP_IN_IP = 3, TUNNEL_GENEVE = 4, TUNNEL_ERSPAN = 5 };

enum {
    MAX_TUNNELS = 8,
    MAX_LAYERS = 128, /* an IPv6 chain or a stack of tags has no other bound */
    NO_VLAN = 0xFFFF,
    MAX_PATHS = 65535,
};
#define NO_TUNNEL_ID 0xFFFFFFFFU

#endif
