"""Letting public keys, certificates and plain texts in, and private keys not.

What enters the inventory is parsed and must come out octet for octet the same: whatever is not a public key, or is
followed by something else, does not get in.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector
from dnsbound.limits import INVENTORY_TEXT
from dnsbound.provision.errors import PrivateKeyRefused
from dnsbound.records.tlsa import TLSA

_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{40,}")
"""What could be octets written as text; the shortest private key structure is longer."""
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)


def admit_public_key(der: bytes) -> bytes:
    """The DER SubjectPublicKeyInfo as it may be kept. Malformed; PrivateKeyRefused for a private key in any form."""
    _refuse_private_key(der)
    try:
        key = load_der_public_key(der)
        written = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except _UNREADABLE:
        raise Malformed("the public key is not a DER SubjectPublicKeyInfo of a known algorithm") from None
    if written != der:
        raise Malformed("the public key is not in its one DER form, or something follows it")
    return der


def admit_certificate(der: bytes, spki: bytes) -> bytes:
    """The DER certificate as it may be kept beside the key it must be of. Malformed, Misuse, PrivateKeyRefused."""
    _refuse_private_key(der)
    certificate = certificate_from_der(der)
    try:
        written = certificate.public_bytes(Encoding.DER)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNPARSABLE:
        raise Malformed("the certificate's public key is not of a known algorithm") from None
    if written != der:
        raise Malformed("something follows the certificate")
    if key != spki:
        raise Misuse("the certificate is of another key than the one to be registered")
    return der


def admit_text(text: str, what: str) -> str:
    """A text that people wrote, as it may be kept: one printable line without a private key in it. Misuse."""
    INVENTORY_TEXT.checked(len(text))
    if not text.isprintable():
        raise Misuse(f"the {what} has line breaks or other characters that do not print")
    if "PRIVATE KEY" in text:
        raise PrivateKeyRefused(f"the {what} holds a private key")
    for run in _ENCODED.findall(text):
        for octets in _decoded(run):
            _refuse_private_key(octets)
    return text


def _decoded(run: str) -> Iterator[bytes]:
    """The octets that a run of characters could stand for."""
    padded = run + "=" * (-len(run) % 4)
    for decode, digits in ((base64.b64decode, padded), (base64.urlsafe_b64decode, padded), (bytes.fromhex, run)):
        with suppress(ValueError):
            yield decode(digits)


def admit_tlsa(record: TLSA) -> TLSA:
    """The record as it may be published: usable, and holding a certificate, a public key or a digest, nothing else."""
    because = record.unusable_because
    if because is not None:
        raise Malformed(f"no verifier could use this TLSA record: {because}")
    if record.matching_type == MatchingType.FULL:
        if record.selector == Selector.SPKI:
            admit_public_key(record.data)
        else:
            _refuse_private_key(record.data)
            try:
                certificate_from_der(record.data)
            except Malformed:
                raise Malformed("the TLSA record's association data is not a DER certificate") from None
    return record


def _refuse_private_key(octets: bytes) -> None:
    refusal = PrivateKeyRefused("this is a private key; the inventory keeps public keys only")
    if b"PRIVATE KEY" in octets:
        raise refusal
    try:
        load_der_private_key(octets, password=None)
    except TypeError:
        # An encrypted PKCS#8 structure: the library asks for the password.
        raise refusal from None
    except (ValueError, UnsupportedAlgorithm):
        return
    raise refusal
