"""Names of link types."""

from __future__ import annotations

# https://www.tcpdump.org/linktypes.html
LINK_TYPES = {
    0: "NULL", 1: "ETHERNET", 3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI",
    50: "PPP_HDLC", 51: "PPP_ETHER", 100: "ATM_RFC1483", 101: "RAW", 104: "C_HDLC", 105: "IEEE802_11", 107: "FRELAY",
    108: "LOOP", 113: "LINUX_SLL", 114: "LTALK", 117: "PFLOG", 119: "IEEE802_11_PRISM", 122: "IP_OVER_FC",
    123: "SUNATM", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394",
    139: "MTP2_WITH_PHDR", 140: "MTP2", 141: "MTP3", 142: "SCCP", 143: "DOCSIS", 144: "LINUX_IRDA", 147: "USER0",
    148: "USER1", 149: "USER2", 150: "USER3", 163: "IEEE802_11_AVS", 165: "BACNET_MS_TP", 166: "PPP_PPPD",
    177: "LINUX_LAPD", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX", 192: "PPI", 195: "IEEE802_15_4_WITHFCS", 197: "ERF",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR", 204: "PPP_WITH_DIR", 220: "USB_LINUX_MMAPPED", 224: "FC_2", 226: "IPNET",
    227: "CAN_SOCKETCAN", 228: "IPV4", 229: "IPV6", 230: "IEEE802_15_4_NOFCS", 231: "DBUS", 235: "DVB_CI",
    239: "NFLOG", 240: "NETANALYZER", 243: "MPEG_2_TS", 245: "NFC_LLCP", 248: "SCTP", 249: "USBPCAP",
    251: "BLUETOOTH_LE_LL", 253: "NETLINK", 258: "PKTAP", 259: "EPON", 265: "NORDIC_BLE", 271: "VSOCK",
    276: "LINUX_SLL2", 282: "DSA_TAG_BRCM",
}  # fmt: skip


def link_type_name(number: int) -> str:
    """The name of a LINKTYPE_, else its number."""
    return LINK_TYPES.get(number, str(number))
