"""One key, certificate or request of a row, whatever it is written in, as the facts that adoption needs.

Private keys are recognised in every form and refused. Sections: RFC 7468 (PEM), RFC 2986 (CSR), RFC 5280 section
4.2.1.3 and RFC 9846 section 4.5.1 (a key that may not sign cannot log in), TCG EK Credential Profile section 3.2.16.
"""

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from dnsbound.credential.certificate_facts import CertificateFacts
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed
from dnsbound.provision.adoption import tpm_public_area
from dnsbound.provision.adoption.candidate import Problem, RowFault, Shown

_ENDORSEMENT_KEY: Final = "2.23.133.8.1"
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[\s:]?)+")
_NOTHING_SHOWN: Final = Shown()
_PRIVATE: Final = "a private key; only public keys are adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A public key and what came with it."""

    spki: bytes
    certificate: bytes | None = None
    shown: Shown = _NOTHING_SHOWN
    issuer: bytes = b""
    """DER Name; empty unless it is a certificate."""
    subject: bytes = b""
    is_authority: bool = False
    """Whether it is the certificate of an authority: it may sign certificates and is no client."""
    is_ca: bool = False
    """Whether it says CA; self-signed certificates of devices often do, without a right to sign others."""


def material_of_text(text: str) -> Material:
    """One PEM block, base64 or hexadecimal of DER. RowFault."""
    stripped = text.strip()
    if "-----BEGIN" in stripped:
        found = _BLOCK.fullmatch(stripped)
        if "PRIVATE KEY-----" in stripped:
            raise RowFault(Problem.PRIVATE_KEY, _PRIVATE)
        if found is None:
            raise RowFault(Problem.UNREADABLE, "not one whole PEM block")
        return material_of_block(found[1], found[2].encode("ascii"))
    return material_of_octets(octets_of_text(stripped))


def octets_of_text(text: str) -> bytes:
    """Base64, of either alphabet and with or without its padding, or hexadecimal. RowFault."""
    if _HEXADECIMAL.fullmatch(text):
        # Octets in base64 that look like hexadecimal throughout would have to be a key of some 40 such characters.
        return bytes.fromhex(re.sub(r"[\s:]", "", text))
    compact = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(compact + "=" * (-len(compact) % 4), strict_mode=True)
    except ValueError:
        raise RowFault(Problem.UNREADABLE, "neither PEM, base64 nor hexadecimal") from None


def material_of_block(label: str, body: bytes) -> Material:
    """The contents of a PEM block. RowFault."""
    if label.endswith("PRIVATE KEY"):
        raise RowFault(Problem.PRIVATE_KEY, _PRIVATE)
    read = _OF_LABEL.get(label)
    if read is None:
        raise RowFault(Problem.UNREADABLE, f"a PEM block of {label} is neither certificate, request nor public key")
    try:
        octets = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
    except ValueError:
        raise RowFault(Problem.UNREADABLE, f"the {label} is not base64") from None
    return read(octets)


def material_of_octets(octets: bytes) -> Material:
    """DER of a certificate, a request or a public key, or the public area of a TPM's key. RowFault."""
    if tpm_public_area.looks_like_one(octets):
        return _of_tpm(octets)
    for read in (_public_key, _certificate, _request):
        try:
            return read(octets)
        except RowFault as fault:
            if fault.problem is not Problem.UNREADABLE:
                raise
    if _is_private_key(octets):
        raise RowFault(Problem.PRIVATE_KEY, _PRIVATE)
    raise RowFault(Problem.UNREADABLE, "neither certificate, request nor public key")


def _certificate(octets: bytes) -> Material:
    try:
        facts = CertificateFacts.from_der(octets)
        parsed = certificate_from_der(octets)
        signs, signs_certificates = _key_usage(parsed)
        subject = parsed.subject
    except (Malformed, *UNPARSABLE):
        raise RowFault(Problem.UNREADABLE, "the certificate does not parse") from None
    if not signs or _ENDORSEMENT_KEY in (facts.extended_key_usages or ()):
        raise RowFault(Problem.CANNOT_SIGN, "its certificate does not let the key sign, which every login needs")
    material = _public_key(facts.spki)
    return replace(
        material,
        certificate=octets,
        shown=Shown(
            san=facts.san_dns_names,
            common_name=_single(subject, NameOID.COMMON_NAME),
            serial=_single(subject, NameOID.SERIAL_NUMBER),
        ),
        issuer=facts.issuer,
        subject=facts.subject,
        is_ca=bool(facts.is_ca),
        is_authority=bool(facts.is_ca) and signs_certificates,
    )


def _key_usage(certificate: x509.Certificate) -> tuple[bool, bool]:
    """Whether the key may sign messages (or certificates), and whether it is said that it may sign certificates."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True, False
    return usage.digital_signature or usage.key_cert_sign, usage.key_cert_sign


def _single(subject: x509.Name, identifier: x509.ObjectIdentifier) -> str | None:
    values = [attribute.value for attribute in subject.get_attributes_for_oid(identifier)]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _request(octets: bytes) -> Material:
    try:
        request = x509.load_der_x509_csr(octets)
        signed = request.is_signature_valid
        spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = _requested_names(request)
    except (x509.UnsupportedGeneralNameType, *UNPARSABLE):
        raise RowFault(Problem.UNREADABLE, "the request does not parse") from None
    if not signed:
        raise RowFault(Problem.BAD_SIGNATURE, "the request is not signed by its own key")
    shown = Shown(
        san=names,
        common_name=_single(request.subject, NameOID.COMMON_NAME),
        serial=_single(request.subject, NameOID.SERIAL_NUMBER),
    )
    return Material(spki=spki, shown=shown)


def _requested_names(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def _public_key(octets: bytes) -> Material:
    try:
        spki = load_der_public_key(octets).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNPARSABLE:
        raise RowFault(Problem.UNREADABLE, "the public key does not parse") from None
    return Material(spki=spki)


def _of_tpm(octets: bytes) -> Material:
    try:
        area = tpm_public_area.TpmPublicArea.from_wire(octets)
        if not area.signs_what_it_is_given:
            raise RowFault(
                Problem.CANNOT_SIGN,
                "its TPM lets the key decrypt alone, or sign what the TPM itself made alone (TPM 2.0 Part 1, 25.1)",
            )
        return _public_key(area.spki())
    except Malformed as error:
        raise RowFault(Problem.UNREADABLE, str(error)) from None


def _is_private_key(octets: bytes) -> bool:
    try:
        load_der_private_key(octets, password=None)
    except TypeError:
        return True  # Encrypted PKCS#8: the library asks for the password.
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


_OF_LABEL: Final[dict[str, Callable[[bytes], Material]]] = {
    "CERTIFICATE": _certificate,
    "X509 CERTIFICATE": _certificate,
    "CERTIFICATE REQUEST": _request,
    "NEW CERTIFICATE REQUEST": _request,
    "PUBLIC KEY": _public_key,
    "RSA PUBLIC KEY": _public_key,
}
"""RFC 7468, and the older labels that programs still write."""
