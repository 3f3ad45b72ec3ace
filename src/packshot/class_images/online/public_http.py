"""HTTP connections to public addresses only, with a time limit.

URLs in lists and redirects are untrusted: they may lead to a router, a cloud's metadata service or
this machine. The address is validated when the connection is made, and the connection goes to that
very address: so neither DNS rebinding nor redirects help an attacker. A server that trickles its
headers or body is cut off by a deadline.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Collection, Iterable
from typing import Any

import httpcore
import httpx

from packshot.errors import ClassImagesError

MOST_SECONDS = 120.0
"""From a request to the end of its answer."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All IPv6 addresses that the internet has so far (RFC 4291, 2.4)."""


_CLOUDS_OWN = tuple(
    map(ipaddress.IPv4Network, ("168.63.129.16/32", "192.80.8.124/32", "161.26.0.0/16"))
)
"""Public by their numbers, but within a cloud they are its own services (Azure's, Equinix's, IBM's),
which tell what only the machine itself may know."""


class AddressRefused(ClassImagesError):
    """A host whose address is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address is public; for an IPv6 address with an embedded IPv4, whether that is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None:
            return ip.is_global and ip in _UNICAST
        ip = inner
    return ip.is_global and not ip.is_multicast and not any(ip in own for own in _CLOUDS_OWN)


class PublicTransport(httpx.HTTPTransport):
    """httpx's own transport over connections to public addresses.

    Args:
        allow: (host, port) pairs that are allowed whatever they resolve to; for tests.
    """

    def __init__(self, connections: int, allow: Collection[tuple[str, int]] = ()) -> None:
        super().__init__()
        # httpx has no argument for the network beneath; its pool is this one attribute.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            network_backend=_PublicNetwork(allow),
        )


class _PublicNetwork(httpcore.SyncBackend):
    def __init__(self, allow: Collection[tuple[str, int]]) -> None:
        self._allow = allow

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._judged(host, port):
            try:
                return _Deadlined(
                    super().connect_tcp(address, port, timeout, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _judged(self, host: str, port: int) -> list[str]:
        try:
            resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} is not known ({error})") from error
        addresses = [str(entry[4][0]) for entry in resolved]
        private = next((address for address in addresses if not is_public(address)), None)
        if private and (host, port) not in self._allow:
            raise AddressRefused(f"{host} is at {private}, which is no address of the internet")
        return addresses


class _Deadlined(httpcore.NetworkStream):
    """A connection whose responses must be complete `MOST_SECONDS` after the last write."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self._until = stream, 0.0

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._until = time.monotonic() + MOST_SECONDS
        self._stream.write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"its answer took more than {MOST_SECONDS:.0f} s")
        return self._stream.read(max_bytes, min(left, timeout or left))

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Deadlined(self._stream.start_tls(*args, **kwargs))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
