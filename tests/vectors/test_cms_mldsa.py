"""The published example of CMS with ML-DSA-44 and signed attributes (RFC 9882 appendix B)."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from dnsbound.credential.signature import BadSignature
from dnsbound.names import ClientName
from dnsbound.objects.cms import from_pem, parse

MESSAGE = Path(__file__).parent / "cms-ml-dsa-44.pem"
SEED = bytes(range(32))
"""Of the key that the examples of RFC 9881 and RFC 9882 share."""


def test_cm_07_the_published_message_verifies() -> None:
    signed = parse(from_pem(MESSAGE.read_bytes()), name=ClientName.parse("lamps.example"))
    assert (signed.algorithm, signed.presented.is_empty) == ("ML-DSA-44", True)
    assert signed.payload == b"ML-DSA-44 signed-data example with signed attributes"
    signed.check(MLDSA44PrivateKey.from_seed_bytes(SEED).public_key())
    with pytest.raises(BadSignature):
        signed.check(MLDSA44PrivateKey.from_seed_bytes(SEED[::-1]).public_key())
