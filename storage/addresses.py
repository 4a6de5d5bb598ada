"""Addresses: what is this machine, and where a webhook may go (not into this service's own network, unless
that is allowed)."""

import ipaddress
import socket
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached there: an address, in brackets or not, or localhost."""
    try:
        return _meant(ipaddress.ip_address(host.strip("[]"))).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def networks_of(names: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network."""
    return tuple(ipaddress.ip_network(name) for name in names)


def permitted(address: str, networks: Iterable[Network]) -> bool:
    """Whether a webhook may go there: a public address, or one of a network that is allowed by name."""
    ip = _meant(ipaddress.ip_address(address))
    if any(ip in network for network in networks):
        return True
    reserved = ip.is_multicast or ip.is_reserved or ip.is_unspecified or getattr(ip, "is_site_local", False)
    return ip.is_global and not reserved


def literal_address(host: str) -> str | None:
    """The address that a host in a URL stands for without any name server; None for a name.

    Resolvers also take "127.1", "0x7f000001" and "2130706433" for an address, and "localhost" is always one.
    """
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def _meant(ip: Address) -> Address:
    """The IPv4 address inside an IPv6 one that is only a way to write, or to reach, it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
