"""TLS to api-ssl: what operators of RouterOS are told."""

from __future__ import annotations

import socket
import ssl

from ...link import Access, Address
from .. import tls

API_SSL = tls.Service(
    name="api-ssl",
    ports="api-ssl is 8729; 8728 is the API without TLS",
    renew="`/certificate add name=NAME common-name=ADDRESS days-valid=825`, `/certificate sign NAME`, "
    "`/ip/service set api-ssl certificate=NAME`",
    shown="which certificate `/ip/service print` shows for api-ssl",
    versions="`/ip/service set api-ssl tls-version=only-1.2`",
)


def secured(sock: socket.socket, access: Access, address: Address) -> tuple[ssl.SSLSocket, str]:
    """The TLS socket and the SHA-256 of its certificate (64 hex digits), verified by CA, by pin, or to be pinned."""
    return tls.secured(sock, access, address, API_SSL)
