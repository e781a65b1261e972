"""Channel bindings, what they are made of: RFC 5929 (tls-unique, tls-server-end-point), RFC 9266 (tls-exporter)."""

from typing import Final

from cryptography.hazmat.primitives import hashes

from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed

BINDINGS: Final = frozenset({"tls-unique", "tls-server-end-point", "tls-exporter"})
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
EXPORTER_OCTETS: Final = 32


def server_end_point(certificate: bytes) -> bytes | None:
    """RFC 5929 section 4.1: the DER certificate's hash, by the hash of its signature, SHA-256 in place of MD5 and
    SHA-1. None where the signature algorithm has no single hash (such as Ed25519) or is unknown: undefined there."""
    try:
        algorithm = certificate_from_der(certificate).signature_hash_algorithm
    except (Malformed, *UNPARSABLE):
        return None
    if algorithm is None:
        return None
    if algorithm.name in {"md5", "sha1"}:
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()
