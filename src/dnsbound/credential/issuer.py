"""A small certificate authority as a value: for estates that publish `2 0 1`, and for tests.

It signs end-entity certificates for client names and authorities below itself. It keeps no list of what it signed: the
zone does. Sections: RFC 7671 section 5.2 (the chain a client sends ends in the authority's certificate).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.certificate import (
    AUTHORITY_LIFETIME,
    ISSUED_LIFETIME,
    Issuer,
    authority_certificate,
    authority_subject,
    client_certificate,
)
from dnsbound.credential.certificate_facts import CLIENT_AUTH, spki_of
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.credential.credential import Credential, certificates_from_pem, certificates_to_pem
from dnsbound.credential.keys import (
    KeyAlgorithm,
    PrivateKey,
    generate_private_key,
    private_key_from_pem,
    private_key_to_pem,
    public_key_from_spki,
    spki_der,
)
from dnsbound.credential.signer import Signer
from dnsbound.credential.signing_key import private_key_of
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """An authority's key and its certificates: its own first, then those above it up to the root. A key that is
    elsewhere is `signing_key.private_key_of` its signer."""

    private_key: PrivateKey = field(repr=False, compare=False)
    chain: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.chain:
            raise Misuse("an authority has a certificate")
        if spki_of(self.chain[0]) != spki_der(self.private_key.public_key()):
            raise Misuse("the first certificate is not for this private key")

    @classmethod
    def create(
        cls,
        common_name: str,
        *,
        now: Moment,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        lifetime: Seconds = AUTHORITY_LIFETIME,
        path_length: int | None = None,
        signer: Signer | None = None,
    ) -> Self:
        """A root: a fresh key, or the signer's, and a certificate it signs for itself."""
        key = generate_private_key(algorithm) if signer is None else private_key_of(signer)
        issuer = Issuer(
            key=key,
            subject=authority_subject(common_name),
            key_identifier=x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        )
        own = authority_certificate(
            key.public_key(), common_name, issuer=issuer, now=now, lifetime=lifetime, path_length=path_length
        )
        return cls(key, (own,))

    @classmethod
    def from_pem(cls, pem: bytes, *, password: bytes | None = None) -> Self:
        return cls(private_key_from_pem(pem, password), certificates_from_pem(pem))

    def to_pem(self) -> bytes:
        """`from_pem` reads it back. It holds the private key, not encrypted."""
        return private_key_to_pem(self.private_key) + certificates_to_pem(self.chain)

    def intermediate(
        self,
        common_name: str,
        *,
        now: Moment,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        lifetime: Seconds = AUTHORITY_LIFETIME,
        path_length: int | None = 0,
    ) -> Self:
        """An authority below this one, with a fresh key."""
        key = generate_private_key(algorithm)
        own = authority_certificate(
            key.public_key(), common_name, issuer=self._issuer, now=now, lifetime=lifetime, path_length=path_length
        )
        return type(self)(key, (own, *self.chain))

    def certify(
        self,
        name: ClientName | str,
        spki: bytes,
        *,
        now: Moment,
        lifetime: Seconds = ISSUED_LIFETIME,
        extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
    ) -> tuple[bytes, ...]:
        """Certificate of the name for this DER SubjectPublicKeyInfo, then the chain up to and with the root."""
        if isinstance(name, str):
            name = ClientName.parse(name)
        leaf = client_certificate(
            public_key_from_spki(spki),
            name,
            issuer=self._issuer,
            now=now,
            lifetime=lifetime,
            extended_key_usages=extended_key_usages,
        )
        return (leaf, *self.chain)

    def issue(
        self,
        name: ClientName | str,
        *,
        now: Moment,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        lifetime: Seconds = ISSUED_LIFETIME,
        extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
    ) -> Credential:
        """A fresh key and its chain."""
        if isinstance(name, str):
            name = ClientName.parse(name)
        key = generate_private_key(algorithm)
        spki = spki_der(key.public_key())
        chain = self.certify(name, spki, now=now, lifetime=lifetime, extended_key_usages=extended_key_usages)
        return Credential(name, key, chain)

    def tlsa(
        self,
        selector: Selector = Selector.CERT,
        matching_type: MatchingType = MatchingType.SHA2_256,
        usage: Usage = Usage.DANE_TA,
    ) -> TLSA:
        """The record that vouches for every client below the root: `2 0 1` (RFC 7671 section 5.2.1 prefers selector 0,
        which binds the certificate's constraints too)."""
        return tlsa_for_certificate(self.chain[-1], usage, selector, matching_type)

    @property
    def _issuer(self) -> Issuer:
        own = certificate_from_der(self.chain[0])
        try:
            key_identifier = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            key_identifier = x509.SubjectKeyIdentifier.from_public_key(self.private_key.public_key())
        except UNPARSABLE as error:
            raise Malformed("the authority's certificate does not parse") from error
        return Issuer(key=self.private_key, subject=own.subject, key_identifier=key_identifier)
