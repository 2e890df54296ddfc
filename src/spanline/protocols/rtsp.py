"""RTSP. RFC 2326; written like HTTP, with RTP between (section 10.12)."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("rtsp", "RTSP", tcp_ports=(554, 7236, 8554), framing="http"),)
