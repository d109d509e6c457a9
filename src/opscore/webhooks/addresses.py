"""Where webhooks may go: nobody can make this server call what only this server can reach (CWE-918).

An address is judged where the connection is made, on the very address that is then connected to, so that a name that
answers differently the second time (DNS rebinding) gains nothing. Judging a URL when it is registered is for people:
they are told at once what would never be delivered.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from opscore.domain.refusals import Refusal

URL_LENGTH_MAX = 2_000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_PRIVATE = [
    ipaddress.ip_network(each)
    # RFC 1918, RFC 6598 (shared by the customers of a provider), RFC 4193.
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


class UrlRefused(Refusal):
    """Webhooks cannot go to this address: {why}."""


class AddressRefused(Exception):
    """The name leads to an address that webhooks may not go to; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows beside the public internet. loopback: this machine, also by plain http."""

    loopback: bool = False
    private: bool = False

    def fault(self, address: Address, *, encrypted: bool) -> str | None:
        """Return why a webhook may not go to an address; None when it may. encrypted: whether by https."""
        address = _meant(address)
        if address.is_loopback:
            return None if self.loopback else "it is this machine itself (OPSCORE_WEBHOOK_LOOPBACK allows that)"
        if not encrypted:
            return "plain http goes no further than this machine; use https"
        if any(address.version == network.version and address in network for network in _PRIVATE):
            return None if self.private else "it lies in a private network (OPSCORE_WEBHOOK_PRIVATE allows that)"
        if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
            return "it is no address of the public internet"
        return None

    def addresses(self, host: str, port: int, *, encrypted: bool) -> list[str]:
        """Return the addresses that a name has now and webhooks may go to.

        Raises AddressRefused when there is any they may not go to: such a name is not worth a second look; OSError
        when the name is not known.
        """
        found = []
        for *_, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            fault = self.fault(ipaddress.ip_address(str(where[0]).partition("%")[0]), encrypted=encrypted)
            if fault is not None:
                raise AddressRefused(f"{host} leads to {where[0]}: {fault}")
            found.append(str(where[0]))
        return list(dict.fromkeys(found))

    def require(self, url: str) -> None:
        """Refuse a URL that would never be delivered to. A name that is not known yet may be known later.

        Refuses: UrlRefused.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise UrlRefused(why="it is no URL", path=("url",)) from None
        encrypted = parts.scheme == "https"
        if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
            why = f"a URL has at most {URL_LENGTH_MAX} characters, all of them printable ASCII"
        elif not host or parts.scheme not in ("http", "https") or (not encrypted and not self.loopback):
            why = "it has to begin with https:// and name a host"
        elif parts.username is not None or parts.password is not None:
            why = "it holds a password, which would be shown in lists; the signature says who sends"
        elif parts.fragment:
            why = "what follows # is not sent; leave it out"
        else:
            try:
                self.addresses(host, port or (443 if encrypted else 80), encrypted=encrypted)
                return
            except AddressRefused as error:
                why = str(error)
            except (OSError, UnicodeError):
                return
        raise UrlRefused(why=why, path=("url",))


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return carried or address
    return address
