"""The dane_clientid extension: what its extension_data means, both ways, in profile `ca13`.

    opaque ClientName<0..2^8-1>;      struct { ClientName name; } DaneClientId;

A server sends it with a zero-length name in CertificateRequest; a client answers in the first CertificateEntry of its
Certificate with its full TLSA owner name (draft-ietf-dance-client-auth section 7). Shape on the wire is also checked by
the native engine, on arrival; this codec decides the name, and serves whoever has the octets in hand.

Profiles `ca10` (whole extension_data may be empty) and `cid07` (TLS 1.2) have a place in the table and are not built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.iana import TLS_1_3
from dnsbound.names import ClientName
from dnsbound.wire import Reader, prefixed


class Profile(StrEnum):
    """Which text of the drafts is spoken."""

    CA13 = "ca13"
    """draft-ietf-dance-client-auth-13."""
    CA10 = "ca10"
    CID07 = "cid07"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """What differs between profiles."""

    minimum_version: int
    """Lowest protocol version the extension may be used in."""
    request: bytes
    """extension_data of the server's request."""


PROFILES: Final[Mapping[Profile, ProfileRules]] = MappingProxyType(
    {Profile.CA13: ProfileRules(minimum_version=TLS_1_3, request=b"\x00")}
)
"""Profiles that are built. Absent means refused."""


def profile_rules(profile: Profile) -> ProfileRules:
    """Rules of a profile; Misuse for one that is not built."""
    try:
        return PROFILES[profile]
    except KeyError:
        raise Misuse(f"profile {profile} of dane_clientid is not built; this package speaks ca13") from None


def parse_request(extension_data: bytes) -> None:
    """Check a server's request: one zero-length name. Malformed otherwise; it says nothing else."""
    if client_name_octets(extension_data):
        raise Malformed("dane_clientid of a CertificateRequest carries a name", 1)


def parse_answer(extension_data: bytes) -> ClientName:
    """Read a client's answer.

    Raises Malformed where the octets do not have the extension's form (decode_error), and Refused with EMPTY_NAME or
    BAD_NAME where they do (handshake_failure; draft-ietf-dance-client-auth section 8.2).
    """
    return claimed_name(client_name_octets(extension_data))


def build_answer(name: ClientName) -> bytes:
    """extension_data with the client's name."""
    return prefixed(name.to_wire(), 1)


def claimed_name(octets: bytes) -> ClientName:
    """The name in a ClientName's octets, without their length; Refused with EMPTY_NAME or BAD_NAME."""
    if not octets:
        raise Refused(Reason.EMPTY_NAME, "dane_clientid with a zero-length name")
    try:
        return ClientName.from_wire(octets)
    except Malformed as error:
        raise Refused(Reason.BAD_NAME, str(error)) from error


def client_name_octets(extension_data: bytes) -> bytes:
    """The octets of the one ClientName in an extension_data, which may be none; Malformed for another form."""
    reader = Reader(extension_data, "dane_clientid")
    octets = reader.prefixed(1)
    reader.finish()
    return octets
