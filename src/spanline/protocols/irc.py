"""IRC. RFC 2812."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application(
        "irc", "IRC", tcp_ports=(6667, 57000), foreign=(rb"^(PASS \S+\r?\n)?(NICK \S+\r?\nUSER |USER [^\r\n]+ :)",)
    ),
)
