"""What a materialiser has found out about one name and may put into files, and how long that holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.times import Moment


class MaterialKind(StrEnum):
    """What was matched by a record."""

    CERTIFICATE = "certificate"
    """DER: of a record 3 0 0, or enrolled and matched by any record."""
    PUBLIC_KEY = "public-key"
    """DER SubjectPublicKeyInfo, of a record 3 1 0."""
    PIN = "pin"
    """SHA-256 of a certificate, of a record 3 0 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One thing that one record vouches for."""

    name: ClientName
    kind: MaterialKind
    octets: bytes
    kept_until: Moment
    """When it must be gone at the latest, if nobody vouches for it again."""
    grants: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, MaterialKind, bytes]:
        """What it is, however long it holds."""
        return self.name.canonical, self.kind, self.octets

    @property
    def ssh_key(self) -> SshKey | None:
        """None where no key is at hand, or SSH has no such key."""
        try:
            if self.kind is MaterialKind.PUBLIC_KEY:
                return SshKey.from_spki(self.octets)
            if self.kind is MaterialKind.CERTIFICATE:
                return SshKey.from_spki(spki_of(self.octets))
        except Malformed:
            pass
        return None
