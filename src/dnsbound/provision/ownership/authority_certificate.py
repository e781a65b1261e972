"""Whether a certificate may stand in the DNS as the authority of an organisation's clients, and what speaks against it.

What verifiers would refuse is refused here, by the same code; what merely is unwise is said. Sections: RFC 5280 section
4.2.1.9 (path length) and 4.2.1.10 (name constraints), RFC 7671 section 5.2.1 (selector 0 binds both).
"""

from dataclasses import dataclass
from typing import Final, Self, TypeVar

from cryptography import x509

from dnsbound.credential.keys import KeyFacts
from dnsbound.credential.name_constraints import admits_dns_name
from dnsbound.credential.path import PathCertificate, check_authority
from dnsbound.errors import Misuse, Refused
from dnsbound.iana import Selector, Usage
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment, iso

_DAY: Final = 86_400.0
SOON: Final = 90 * _DAY
"""An authority that ends within this is told of: its devices need new certificates before."""
_A_NAME: Final = "x"
"""Stands for every label that a wildcard takes."""
_T = TypeVar("_T", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityCertificate:
    """A certificate that may sign those of clients. Made by `admit`."""

    der: bytes
    subject: str
    """RFC 4514 text."""
    key: str
    """The kind of key, in words."""
    not_after: Moment
    path_length: int | None
    """How many authorities may stand between it and a client; None sets no bound."""
    permits: tuple[str, ...]
    """The dNSName subtrees it is constrained to; empty when it may name anybody."""

    @classmethod
    def admit(cls, der: bytes, *, owner: OwnerName, now: Moment) -> Self:
        """Check a certificate whose record is to stand at a name: a wildcard speaks for the names below its parent.

        Malformed for what is no certificate. Misuse for one that no verifier would take as the authority of such a
        name: no authority, not valid now, weak, for other purposes, or constrained to other names.
        """
        certificate = PathCertificate.from_der(der)
        try:
            check_authority(certificate, now=now)
        except Refused as refusal:
            raise Misuse(f"no verifier would take this authority: {refusal.detail}") from None
        basic = _value(certificate, x509.BasicConstraints)
        if basic is None:
            raise Misuse("the certificate is not marked as an authority (no basicConstraints)")
        constraints = _value(certificate, x509.NameConstraints)
        if constraints is not None and not admits_dns_name(constraints, owner.text.replace("*", _A_NAME, 1)):
            raise Misuse(f"the authority's name constraints let it certify no client of {owner}")
        trees = () if constraints is None else constraints.permitted_subtrees or ()
        return cls(
            der=der,
            subject=certificate.x509.subject.rfc4514_string(),
            key=KeyFacts.from_spki(certificate.spki).algorithm,
            not_after=certificate.x509.not_valid_after_utc.timestamp(),
            path_length=basic.path_length,
            permits=tuple(tree.value for tree in trees if isinstance(tree, x509.DNSName)),
        )

    def advice(self, owner: OwnerName, usage: Usage, selector: Selector, *, now: Moment) -> list[str]:
        """One sentence for each thing to reconsider before it speaks for the names of `owner`."""
        said = []
        if self.not_after < now + SOON:
            said.append(f"The authority ends at {iso(self.not_after)}: none of its clients logs in after that.")
        if not self.permits:
            said.append(
                f"It has no name constraint: the record lets it speak for names at {owner} alone, but wherever else it "
                "is trusted it may certify any name (RFC 5280 section 4.2.1.10)."
            )
        if self.path_length is None:
            said.append(
                "It sets no pathLenConstraint: authorities below it may make others, and all of them may certify "
                "clients (RFC 5280 section 4.2.1.9)."
            )
        if selector is Selector.SPKI:
            said.append(
                "Selector 1 names the bare key: another certificate of that key may leave out its constraints; prefer "
                f"{usage} 0 1 (RFC 7671 section 5.2.1)."
            )
        if usage is Usage.PKIX_TA:
            said.append(
                "Usage 0 counts only at doors that are configured with the root above it, and public authorities "
                "certify no name with an underscore (draft-ietf-dance-client-auth section 10)."
            )
        return said


def _value(certificate: PathCertificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
