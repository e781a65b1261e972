"""A credential: the private key of one client, what it presents, and the name it goes by.

Not a store: files are read and written on the edge (`dnsbound.edge.credential_files`). Text form: one PKCS#8 block,
then the certificates, leaf first (RFC 7468). A name that no certificate shows stands before the first block as the
explanatory text RFC 7468 section 2 allows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.association import tlsa_for_presented
from dnsbound.credential.certificate import CLIENT_LIFETIME, self_signed
from dnsbound.credential.certificate_facts import CLIENT_AUTH, san_dns_names, spki_of
from dnsbound.credential.certificate_parsing import certificate_from_der, der_from_pem
from dnsbound.credential.keys import (
    KeyAlgorithm,
    PrivateKey,
    generate_private_key,
    private_key_from_pem,
    private_key_to_der,
    private_key_to_pem,
    spki_der,
)
from dnsbound.credential.presented import Presented
from dnsbound.credential.signer import LocalSigner
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds

CredentialKind = Literal["x509", "raw"]

_NAME_LINE: Final = re.compile(rb"^Client name: *([!-~]{1,255})[ \t]*\r?$", re.MULTILINE)
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_FIRST_BLOCK: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class Credential:
    """One client's key and certificates. `chain` is DER, leaf first; empty when the bare key is the credential."""

    name: ClientName | None
    private_key: PrivateKey = field(repr=False, compare=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    spki: bytes = field(init=False, repr=False)
    """DER SubjectPublicKeyInfo of the key."""

    def __post_init__(self) -> None:
        spki = spki_der(self.private_key.public_key())
        if self.chain and spki_of(self.chain[0]) != spki:
            raise Misuse("the first certificate is not for this private key")
        object.__setattr__(self, "spki", spki)

    @classmethod
    def generate(
        cls,
        name: ClientName | str,
        *,
        now: Moment,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        kind: CredentialKind = "x509",
        lifetime: Seconds = CLIENT_LIFETIME,
        extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
    ) -> Self:
        """A fresh key, with a self-signed certificate (`x509`) or bare (`raw`). now: when the certificate starts."""
        if isinstance(name, str):
            name = ClientName.parse(name)
        key = generate_private_key(algorithm)
        if kind == "raw":
            return cls(name, key)
        leaf = self_signed(key, name, now=now, lifetime=lifetime, extended_key_usages=extended_key_usages)
        return cls(name, key, (leaf,))

    @classmethod
    def from_pem(cls, pem: bytes, *, name: ClientName | str | None = None, password: bytes | None = None) -> Self:
        """Read a private key and any certificates after or before it. Without `name`, the text's own name line counts,
        then a certificate's single dNSName. Malformed when the text does not parse, Misuse when its parts do not fit
        together."""
        key = private_key_from_pem(pem, password)
        chain = certificates_from_pem(pem)
        if isinstance(name, str):
            name = ClientName.parse(name)
        return cls(name or _stated_name(pem) or _shown_name(chain), key, chain)

    def to_pem(self) -> bytes:
        """`from_pem` reads it back. It holds the private key, not encrypted."""
        text = private_key_to_pem(self.private_key) + certificates_to_pem(self.chain)
        if self.name is not None and self.name != _shown_name(self.chain):
            text = b"Client name: " + self.name.to_wire() + b"\n" + text
        return text

    def private_key_der(self) -> bytes:
        """PKCS#8, not encrypted."""
        return private_key_to_der(self.private_key)

    @property
    def signer(self) -> LocalSigner:
        return LocalSigner(self.private_key)

    @property
    def presented(self) -> Presented:
        """What a server sees of this credential."""
        return Presented(self.chain) if self.chain else Presented(raw_public_key=self.spki)

    def as_raw_key(self) -> Self:
        """The same key and name without certificates."""
        return type(self)(self.name, self.private_key)

    def tlsa(
        self,
        usage: Usage = Usage.DANE_EE,
        selector: Selector = Selector.SPKI,
        matching_type: MatchingType = MatchingType.SHA2_256,
    ) -> TLSA:
        """The record to publish; `3 1 1` unless told otherwise (RFC 7671 section 5.1). Usages 0 and 2 name the last
        certificate of the chain (section 5.2)."""
        return tlsa_for_presented(self.presented, usage, selector, matching_type)


def certificates_from_pem(pem: bytes) -> tuple[bytes, ...]:
    """DER of every certificate block, in order; empty when there is none, Malformed when one does not parse."""
    if pem.count(b"-----BEGIN CERTIFICATE-----") != len(blocks := _CERTIFICATE.findall(pem)):
        raise Malformed("a certificate's PEM block has no end")
    return tuple(der_from_pem(block) for block in blocks)


def certificates_to_pem(chain: Sequence[bytes]) -> bytes:
    return b"".join(_pem_block(certificate) for certificate in chain)


def _pem_block(certificate: bytes) -> bytes:
    return certificate_from_der(certificate).public_bytes(Encoding.PEM)


def _stated_name(pem: bytes) -> ClientName | None:
    found = _NAME_LINE.search(pem.partition(_FIRST_BLOCK)[0])
    return ClientName.from_wire(found[1]) if found else None


def _shown_name(chain: tuple[bytes, ...]) -> ClientName | None:
    """A certificate names its client when it shows exactly one dNSName that can be a client name."""
    try:
        names = san_dns_names(chain[0]) if chain else ()
        return ClientName.parse(names[0]) if len(names) == 1 else None
    except Malformed:
        return None
