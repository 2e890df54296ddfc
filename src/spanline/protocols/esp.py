"""ESP. RFC 4303."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("esp", "ESP", ip_protocols=(50,)),)
