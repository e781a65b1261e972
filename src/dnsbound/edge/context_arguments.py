"""Checks of what a Context is given, before any of it reaches the engine: plain functions from arguments to values."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from dnsbound.edge.context_credential import CredentialLike
from dnsbound.errors import Malformed
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.tls.clientid import Profile
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.handshake_claim import ClaimRules
from dnsbound.tls.server_shim import Door, Policy
from dnsbound.verify.claim import NameSource

X509_AND_RAW: Final = (CertificateType.X509, CertificateType.RAW_PUBLIC_KEY)
RAW_AND_X509: Final = (CertificateType.RAW_PUBLIC_KEY, CertificateType.X509)

_RENEGOTIATION_INFO: Final = 0xFF01
MAX_TICKET_SECONDS: Final = 604_800
"""RFC 9846 section 4.7.1: a ticket lives seven days at most."""


def door_of(
    name: str,
    *,
    policy: str,
    claim_from: Iterable[str],
    ticket_lifetime: int,
    profiles: tuple[Profile, ...] = (Profile.CA13,),
    post_handshake: bool = False,
) -> Door:
    """The door of `Context.server`; TLSMisuse for words and numbers that mean nothing."""
    if not 0 <= ticket_lifetime <= MAX_TICKET_SECONDS:
        raise TLSMisuse(f"ticket_lifetime is from 0 to {MAX_TICKET_SECONDS} seconds")
    if policy not in list(Policy):
        raise TLSMisuse(f"policy is required or optional, not {policy!r}")
    rules = ClaimRules(door=name, name_sources=name_sources(claim_from), profiles=profiles)
    return Door(
        rules=rules, policy=Policy(policy), ticket_lifetime=ticket_lifetime, post_handshake=bool(post_handshake)
    )


def client_name(name: ClientName | str | None, credential: CredentialLike) -> ClientName | None:
    if name is None:
        return credential.name
    try:
        return ClientName.parse(name) if isinstance(name, str) else name
    except Malformed as error:
        raise TLSMisuse(str(error)) from None


def code_point(number: int) -> int:
    if not 0 <= number <= 0xFFFF or number == _RENEGOTIATION_INFO:
        raise TLSMisuse(f"{number} cannot be the code point of dane_clientid")
    return number


def name_sources(words: Iterable[str]) -> frozenset[NameSource]:
    """What `claim_from` says; TLSMisuse for words that mean nothing."""
    try:
        sources = frozenset(NameSource(word) for word in ([words] if isinstance(words, str) else words))
    except ValueError as error:
        raise TLSMisuse(f"claim_from: {error}") from None
    if not sources or NameSource.STATED in sources:
        raise TLSMisuse("claim_from names extension, san, or both")
    return sources


def own_types(has_chain: bool, *, show_raw_public_key: bool) -> tuple[int, ...]:  # noqa: FBT001 (one caller)
    if not has_chain:
        return (CertificateType.RAW_PUBLIC_KEY,)
    return X509_AND_RAW if show_raw_public_key else (CertificateType.X509,)


def check_host(server_hostname: str | None, *, required: bool) -> None:
    if server_hostname is None:
        if required:
            raise ValueError("check_hostname requires server_hostname")
    elif not server_hostname or server_hostname.startswith("."):
        raise ValueError("server_hostname cannot be an empty string or start with a leading dot.")


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def address_of(sock: socket.socket) -> str:
    """The peer's address without its port; empty where the socket has none."""
    try:
        address = sock.getpeername()
    except OSError:
        return ""
    return str(address[0]) if isinstance(address, tuple) else ""
