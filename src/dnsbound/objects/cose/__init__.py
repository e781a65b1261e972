"""COSE: what a name signs and what is encrypted to it, for devices that count octets.

    octets = cose.sign1(b"...", credential)
    verified = await verifier.verify(cose.parse_sign1(octets, typ=None))     # a dnsbound.ObjectVerifier
    verified.name, verified.payload

`parse_sign1` and its likes say what an object claims, and nothing of that may be used before it was verified.
"""

from dnsbound.objects.cose.cose_encrypt import decrypt, decrypt0, encrypt, encrypt0
from dnsbound.objects.cose.cose_sign1 import ANY_TYP, Sign1, parse_sign1, sign1
from dnsbound.objects.cose.cwt import Cwt, CwtClaims, parse_cwt, sign_cwt
from dnsbound.objects.cose.hash_envelope import HashEnvelope, digest_of, parse_hash_envelope, sign_digest
from dnsbound.objects.cose.labels import HashAlgorithm
from dnsbound.objects.cose.sealed import open_sealed, seal
from dnsbound.objects.encryption import Opened, Recipient

__all__ = [
    "ANY_TYP",
    "Cwt",
    "CwtClaims",
    "HashAlgorithm",
    "HashEnvelope",
    "Opened",
    "Recipient",
    "Sign1",
    "decrypt",
    "decrypt0",
    "digest_of",
    "encrypt",
    "encrypt0",
    "open_sealed",
    "parse_cwt",
    "parse_hash_envelope",
    "parse_sign1",
    "seal",
    "sign1",
    "sign_cwt",
    "sign_digest",
]
