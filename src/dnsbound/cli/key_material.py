"""What people hand over when they mean a key: a certificate, a chain, a CSR, a public or a private key; PEM or DER.

Of a private key only the public half leaves this module. Sections: RFC 7468 (PEM labels), RFC 2986 (CSR).
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

MAX_OCTETS: Final = 1 << 20
"""Larger than any chain of certificates that anything accepts."""

_LABEL: Final = re.compile(rb"^-----BEGIN ([A-Z0-9 ]{1,64})-----", re.MULTILINE)


class MaterialKind(StrEnum):
    """What a file held, in the words shown to people."""

    CERTIFICATE = "certificate"
    CSR = "CSR"
    PUBLIC_KEY = "public key"
    PRIVATE_KEY = "private key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaterial:
    """The public part of what was read."""

    kind: MaterialKind
    spki: bytes
    """DER SubjectPublicKeyInfo."""
    chain: tuple[bytes, ...] = ()
    """DER certificates, leaf first; empty unless the kind is CERTIFICATE."""
    name: ClientName | None = None
    """The one client name it shows."""


def read_key_material(source: str) -> KeyMaterial:
    """Read a file, or standard input for `-`, or look at the key on a token for a `pkcs11:` URI. OSError, Malformed;
    Misuse for an encrypted private key, and for what a token answers."""
    if source.startswith("pkcs11:"):
        from dnsbound.cli.hardware_key import opened_key

        return KeyMaterial(kind=MaterialKind.PRIVATE_KEY, spki=opened_key(source).spki)
    return parse_key_material(read_octets(source), "standard input" if source == "-" else source)


def read_octets(source: str) -> bytes:
    if source == "-":
        octets = sys.stdin.buffer.read(MAX_OCTETS + 1)
    else:
        with Path(source).open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise Malformed(f"{source} is larger than {MAX_OCTETS} octets")
    return octets


def parse_key_material(octets: bytes, where: str) -> KeyMaterial:
    """The first kind of thing in it, certificates before requests before keys. where: names it in errors."""
    labels = {label.decode("ascii") for label in _LABEL.findall(octets)}
    readers: list[Callable[[bytes], KeyMaterial]] = []
    if "CERTIFICATE" in labels:
        readers = [_pem_certificates]
    elif labels & {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}:
        readers = [_pem_csr]
    elif any(label.endswith("PUBLIC KEY") for label in labels):
        readers = [_pem_public_key]
    elif any(label.endswith("PRIVATE KEY") for label in labels):
        readers = [_pem_private_key]
    elif labels:
        raise Malformed(f"{where}: a PEM block of {min(labels)} is neither certificate, CSR nor key")
    else:
        readers = [_der_certificate, _der_csr, _der_public_key, _der_private_key]
    for reader in readers:
        try:
            return reader(octets)
        except Malformed as error:
            if len(readers) == 1:
                raise Malformed(f"{where}: {error}") from None
    raise Malformed(f"{where} is neither certificate, CSR nor key, in PEM or DER")


def _pem_certificates(octets: bytes) -> KeyMaterial:
    from dnsbound.credential.credential import certificates_from_pem

    return _of_chain(certificates_from_pem(octets))


def _der_certificate(octets: bytes) -> KeyMaterial:
    from dnsbound.credential.certificate_parsing import certificate_from_der

    certificate_from_der(octets)
    return _of_chain((octets,))


def _of_chain(chain: tuple[bytes, ...]) -> KeyMaterial:
    from dnsbound.credential.certificate_facts import san_dns_names, spki_of

    for certificate in chain:
        _load_public_key(spki_of(certificate))
    return KeyMaterial(
        kind=MaterialKind.CERTIFICATE,
        spki=spki_of(chain[0]),
        chain=chain,
        name=_single_name(list(san_dns_names(chain[0]))),
    )


def _pem_csr(octets: bytes) -> KeyMaterial:
    from cryptography.x509 import load_pem_x509_csr

    return _of_csr(lambda: load_pem_x509_csr(octets))


def _der_csr(octets: bytes) -> KeyMaterial:
    from cryptography.x509 import load_der_x509_csr

    return _of_csr(lambda: load_der_x509_csr(octets))


def _of_csr(load: Callable[[], object]) -> KeyMaterial:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import CertificateSigningRequest, DNSName, ExtensionNotFound, SubjectAlternativeName

    from dnsbound.credential.certificate_parsing import UNPARSABLE

    try:
        request = load()
        assert isinstance(request, CertificateSigningRequest)
        signed = request.is_signature_valid
        spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNPARSABLE:
        raise Malformed("the CSR does not parse") from None
    if not signed:
        raise Malformed("the CSR is not signed by its own key")
    try:
        shown = request.extensions.get_extension_for_class(SubjectAlternativeName).value.get_values_for_type(DNSName)
    except (*UNPARSABLE, ExtensionNotFound):
        shown = []
    return KeyMaterial(kind=MaterialKind.CSR, spki=spki, name=_single_name(shown))


def _pem_public_key(octets: bytes) -> KeyMaterial:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return _of_public_key(lambda: load_pem_public_key(octets))


def _der_public_key(octets: bytes) -> KeyMaterial:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return _of_public_key(lambda: load_der_public_key(octets))


def _of_public_key(load: Callable[[], object]) -> KeyMaterial:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from dnsbound.credential.certificate_parsing import UNPARSABLE

    try:
        key = load()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    except UNPARSABLE:
        raise Malformed("the public key does not parse") from None
    return KeyMaterial(kind=MaterialKind.PUBLIC_KEY, spki=spki)


def _load_public_key(spki: bytes) -> None:
    """Malformed unless these octets are a key: a certificate's are taken by their place in it."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    _of_public_key(lambda: load_der_public_key(spki))


def _pem_private_key(octets: bytes) -> KeyMaterial:
    from dnsbound.credential.keys import private_key_from_pem, spki_der

    try:
        key = private_key_from_pem(octets)
    except Misuse:
        raise Misuse("the private key is encrypted; hand over its public key or certificate instead") from None
    return KeyMaterial(kind=MaterialKind.PRIVATE_KEY, spki=spki_der(key.public_key()))


def _der_private_key(octets: bytes) -> KeyMaterial:
    from dnsbound.credential.keys import private_key_from_der, spki_der

    return KeyMaterial(kind=MaterialKind.PRIVATE_KEY, spki=spki_der(private_key_from_der(octets).public_key()))


def _single_name(names: list[str]) -> ClientName | None:
    try:
        return ClientName.parse(names[0]) if len(names) == 1 else None
    except Malformed:
        return None
