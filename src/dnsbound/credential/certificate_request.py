"""Certification requests (PKCS#10) as a value: which key asks, for which names, and that it signed the request.

What the request would like of a certificate besides is not read, but for one thing: that it would be an authority.
Whether anybody may have what it asks for is decided elsewhere. Sections: RFC 2986 section 4, RFC 2985 section 5.4.1
(challengePassword), RFC 5280 sections 4.2.1.6 and 4.2.1.9.
"""

from dataclasses import dataclass
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, NameOID

from dnsbound.credential.certificate import client_subject
from dnsbound.credential.certificate_parsing import UNPARSABLE
from dnsbound.credential.keys import MAXIMUM_RSA_BITS, KeyFacts, PrivateKey, public_key_from_spki
from dnsbound.credential.signing_key import sign_built
from dnsbound.errors import Malformed
from dnsbound.names import ClientName

MAX_CHALLENGE_OCTETS: Final = 255
"""RFC 2985 section 5.4.1, ub-challengePassword."""

_BROKEN_HASHES: Final = frozenset({"md5", "sha1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A request whose signature was verified with the key it asks for: whoever made it held the private key then."""

    spki: bytes
    """DER SubjectPublicKeyInfo."""
    dns_names: tuple[str, ...]
    """The dNSNames of its subjectAltName, as they stand there."""
    other_names: int
    """How many names of other kinds stand beside them."""
    common_names: tuple[str, ...]
    challenge: str | None
    """Its challengePassword; None without one."""
    wants_authority: bool
    """It asks for a certificate that signs others."""
    weak_because: str | None
    """Why policy refuses its key or its signature, or None."""

    @classmethod
    def from_der(cls, octets: bytes) -> Self:
        """Read a request; Malformed for what is none, for what follows it, and where the signature is not its key's."""
        try:
            request = x509.load_der_x509_csr(octets)
            spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if request.public_bytes(Encoding.DER) != octets:
                raise Malformed("the certification request is not in its one DER form, or something follows it")
            weak = _weak_because(request, spki)
            if weak is None and not request.is_signature_valid:
                raise Malformed("the certification request is not signed by the key it asks for")
            dns_names, other_names = _alternative_names(request)
            return cls(
                spki=spki,
                dns_names=dns_names,
                other_names=other_names,
                common_names=tuple(
                    str(attribute.value) for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
                ),
                challenge=_challenge(request),
                wants_authority=_wants_authority(request),
                weak_because=weak,
            )
        except UNPARSABLE as error:
            raise Malformed(f"the certification request does not parse: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """What it asks to be called: its dNSNames, and its common names only where it has no subjectAltName at all
        (RFC 6125 section 6.4.4)."""
        return self.dns_names or (() if self.other_names else self.common_names)


def certificate_request(key: PrivateKey, name: ClientName | None, *, challenge: str | None = None) -> bytes:
    """DER of a request for a certificate of this key that names the client. challenge: its challengePassword."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(client_subject(name))
    if name is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name.canonical)]), critical=False)
    if challenge is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode("ascii"))
    request: x509.CertificateSigningRequest = sign_built(builder, key)
    return request.public_bytes(Encoding.DER)


def _weak_because(request: x509.CertificateSigningRequest, spki: bytes) -> str | None:
    """Asked before the signature is verified: what a key may cost is bounded first."""
    key = public_key_from_spki(spki)
    weak = KeyFacts.of(key, spki).weak_because
    if weak is not None:
        return weak
    if isinstance(key, rsa.RSAPublicKey) and key.key_size > MAXIMUM_RSA_BITS:
        return f"RSA key of {key.key_size} bits, more than {MAXIMUM_RSA_BITS}"
    used = request.signature_hash_algorithm
    if used is not None and used.name in _BROKEN_HASHES:
        return f"a signature over {used.name}"
    return None


def _alternative_names(request: x509.CertificateSigningRequest) -> tuple[tuple[str, ...], int]:
    try:
        listed = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return (), 0
    dns_names = tuple(name.value for name in listed if isinstance(name, x509.DNSName))
    return dns_names, len(listed) - len(dns_names)


def _wants_authority(request: x509.CertificateSigningRequest) -> bool:
    for extension in request.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return True
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            return True
    return False


def _challenge(request: x509.CertificateSigningRequest) -> str | None:
    try:
        octets = request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
    except x509.AttributeNotFound:
        return None
    if len(octets) > MAX_CHALLENGE_OCTETS:
        raise Malformed(f"the challengePassword is longer than {MAX_CHALLENGE_OCTETS} octets")
    return octets.decode("utf-8")
