"""SSH. RFC 4253 section 4.2: each side begins with a line, then |length 4|padding 1|…"""

from spanline.protocols.language import Application

PROTOCOLS = (Application("ssh", "SSH", tcp_ports=(22, 29418), foreign=(rb"^SSH-(1\.\d+|2\.0)-[\x21-\x7e]",)),)
