"""Who is calling: the `Authorization` header and the address, to a credential."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings

from partners.registry import Block, CredentialEntry, Registry
from partners.secrets import digest

Address = IPv4Address | IPv6Address
_NO_DIGEST = "0" * 64


class NotAuthenticated(Exception):
    """The request does not prove who sent it. `rule` is for staff, never for the sender."""

    def __init__(self, rule: str, credential: CredentialEntry | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.credential = credential


class AddressNotAllowed(NotAuthenticated):
    """The credential is right, and the address is none that it may be used from."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential that was proved, with which secret, and from where."""

    credential: CredentialEntry
    secret_id: int
    address: str


def authenticate(
    registry: Registry, authorization: str, address: Address | None, now: datetime
) -> Caller:
    """Return who the header proves to be calling from `address`."""
    username, password = _basic(authorization)
    credential = registry.credentials.get(username)
    offered = digest(password)
    proved = None
    for secret in credential.secrets if credential else ():
        if hmac.compare_digest(offered, secret.digest):
            proved = secret
    if credential is None:
        hmac.compare_digest(offered, _NO_DIGEST)  # as long as for a username that exists
        raise NotAuthenticated("unknown username")
    if proved is None:
        raise NotAuthenticated("wrong or revoked secret", credential)
    if not credential.is_live:
        raise NotAuthenticated("credential revoked", credential)
    if proved.expires_at and proved.expires_at <= now:
        raise NotAuthenticated("secret expired", credential)
    for blocks in credential.networks:
        if address is None or not any(_holds(block, address) for block in blocks):
            raise AddressNotAllowed("address not allowed", credential)
    return Caller(credential, proved.id, str(address or ""))


def _holds(block: Block, address: Address) -> bool:
    return address.version == block.version and address in block


def client_address(peer: str, forwarded_for: list[str]) -> Address | None:
    """Return the client's address: the peer's, unless the peer is a proxy that we run.

    Then it is the right-most hop of `X-Forwarded-For` that is none of our proxies; what stands
    further left is the client's own text. None where that is not an address.
    """
    address = _address(peer)
    proxies = [ip_network(proxy) for proxy in settings.TRUSTED_PROXIES]
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    while address and hops and any(_holds(proxy, address) for proxy in proxies):
        address = _address(hops.pop())
    return address


def _address(text: str) -> Address | None:
    """Return the address; an IPv4 address written as IPv6 is that IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _basic(authorization: str) -> tuple[str, str]:
    """Read HTTP Basic (RFC 7617): base64 of `username:password` in UTF-8."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if not authorization:
        raise NotAuthenticated("no Authorization header")
    if scheme.lower() != "basic" or len(encoded) > 1000:
        raise NotAuthenticated("malformed Authorization header")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotAuthenticated("malformed Authorization header") from None
    username, colon, password = decoded.partition(":")
    if not colon or not username:
        raise NotAuthenticated("malformed Authorization header")
    return username, password
