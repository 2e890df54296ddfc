"""FTP and the connections that its files go over. RFC 959."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application(
        "ftp", "FTP", tcp_ports=(21,), announces="ftp", foreign=(rb"^220[- ][^\r\n]*(?i:ftp|filezilla)[^\r\n]*\r\n",)
    ),
    Application("ftp-data", "FTP data", tcp_ports=(20,)),
)
