"""A credential: the private key of one client, what it presents, and the name it goes by.

Not a store: files are read and written on the edge (`dnsbound.edge.credential_files`). Text form: one PKCS#8 block,
then the certificates, leaf first (RFC 7468). A name that no certificate shows stands before the first block as the
explanatory text RFC 7468 section 2 allows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self, cast

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
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.credential.signing_key import private_key_of
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
    """One client's key and certificates. `chain` is DER, leaf first; empty when the bare key is the credential.

    A key that is elsewhere is given as `signer`, with None for `private_key`; everything but `to_pem` and
    `private_key_der` works the same.
    """

    name: ClientName | None
    private_key: PrivateKey | None = field(repr=False, compare=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    spki: bytes = field(init=False, repr=False)
    """DER SubjectPublicKeyInfo of the key."""
    signer: Signer = field(default=cast("Signer", None), kw_only=True, repr=False, compare=False)
    """What signs; of a key of this process, made here."""

    def __post_init__(self) -> None:
        given = cast("Signer | None", self.signer)
        if given is None:
            if self.private_key is None:
                raise Misuse("a credential has a private key, or a signer where the key is elsewhere")
            given = LocalSigner(self.private_key)
        elif self.private_key is not None and spki_der(self.private_key.public_key()) != given.spki:
            raise Misuse("the signer's key is another than the private key")
        if self.chain and spki_of(self.chain[0]) != given.spki:
            raise Misuse("the first certificate is not for this private key")
        object.__setattr__(self, "signer", given)
        object.__setattr__(self, "spki", given.spki)

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
        signer = LocalSigner(generate_private_key(algorithm))
        return cls.for_signer(
            name, signer, now=now, kind=kind, lifetime=lifetime, extended_key_usages=extended_key_usages
        )

    @classmethod
    def for_signer(
        cls,
        name: ClientName | str,
        signer: Signer,
        *,
        now: Moment,
        kind: CredentialKind = "x509",
        lifetime: Seconds = CLIENT_LIFETIME,
        extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
    ) -> Self:
        """The same for a key there is: one in hardware signs its own certificate."""
        if isinstance(name, str):
            name = ClientName.parse(name)
        chain: tuple[bytes, ...] = ()
        if kind == "x509":
            key = private_key_of(signer)
            chain = (self_signed(key, name, now=now, lifetime=lifetime, extended_key_usages=extended_key_usages),)
        return cls(name, signer.key if isinstance(signer, LocalSigner) else None, chain, signer=signer)

    @classmethod
    def from_pem(cls, pem: bytes, *, name: ClientName | str | None = None, password: bytes | None = None) -> Self:
        """Read a private key and any certificates after or before it. Without `name`, the text's own name line counts,
        then a certificate's single dNSName. Malformed when the text does not parse, Misuse when its parts do not fit
        together."""
        key = private_key_from_pem(pem, password)
        chain = certificates_from_pem(pem)
        if isinstance(name, str):
            name = ClientName.parse(name)
        return cls(name or stated_name(pem, chain), key, chain)

    def to_pem(self) -> bytes:
        """`from_pem` reads it back. It holds the private key, not encrypted. Misuse when the key is elsewhere."""
        text = private_key_to_pem(self._own_key()) + certificates_to_pem(self.chain)
        if self.name is not None and self.name != _shown_name(self.chain):
            text = b"Client name: " + self.name.to_wire() + b"\n" + text
        return text

    def private_key_der(self) -> bytes:
        """PKCS#8, not encrypted. Misuse when the key is elsewhere."""
        return private_key_to_der(self._own_key())

    def _own_key(self) -> PrivateKey:
        if self.private_key is None:
            raise Misuse("the private key is not in this process: it cannot be written down")
        return self.private_key

    @property
    def presented(self) -> Presented:
        """What a server sees of this credential."""
        return Presented(self.chain) if self.chain else Presented(raw_public_key=self.spki)

    def as_raw_key(self) -> Self:
        """The same key and name without certificates."""
        return type(self)(self.name, self.private_key, signer=self.signer)

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


def stated_name(pem: bytes, chain: tuple[bytes, ...]) -> ClientName | None:
    """The name on the text's own name line, else the one its certificates show."""
    found = _NAME_LINE.search(pem.partition(_FIRST_BLOCK)[0])
    return ClientName.from_wire(found[1]) if found else _shown_name(chain)


def _shown_name(chain: tuple[bytes, ...]) -> ClientName | None:
    """A certificate names its client when it shows exactly one dNSName that can be a client name."""
    try:
        names = san_dns_names(chain[0]) if chain else ()
        return ClientName.parse(names[0]) if len(names) == 1 else None
    except Malformed:
        return None
