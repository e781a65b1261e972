"""Channel bindings, what they are made of: RFC 5929 (tls-unique, tls-server-end-point), RFC 9266 (tls-exporter)."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

BINDINGS: Final = frozenset({"tls-unique", "tls-server-end-point", "tls-exporter"})
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
EXPORTER_OCTETS: Final = 32


def server_end_point(certificate: bytes) -> bytes | None:
    """RFC 5929 section 4.1: the DER certificate's hash, by the hash of its signature, SHA-256 in place of MD5 and
    SHA-1. None where the signature algorithm has no single hash (such as Ed25519) or is unknown: undefined there."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    if algorithm.name in {"md5", "sha1"}:
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()
