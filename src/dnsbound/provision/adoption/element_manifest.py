"""Manifests of secure elements as Microchip's Trust Platform delivers them: a JSON array with one JWS for each element.

An entry is a JWS in the flattened JSON form (RFC 7515 section 7.2.2) over a `SecureElement`: its unique id, and its
public keys as JWKs (RFC 7517), each with the certificates that go with it. The protected header says who signed:
`x5t#S256` and `kid` are the digest and the key identifier of the signer's certificate.

Format: Microchip, Trust Platform Manifest File Format, sections 2.3 to 2.7. Signatures: RFC 7518 section 3.4.
"""

import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.provision.adoption.candidate import Candidate, Problem, RowFault, Shown
from dnsbound.provision.adoption.key_material import material_of_octets
from dnsbound.provision.adoption.source import ReadingRules

_ALGORITHMS: Final[Mapping[str, tuple[type[ec.EllipticCurve], hashes.HashAlgorithm]]] = MappingProxyType(
    {
        "ES256": (ec.SECP256R1, hashes.SHA256()),
        "ES384": (ec.SECP384R1, hashes.SHA384()),
        "ES512": (ec.SECP521R1, hashes.SHA512()),
    }
)
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = MappingProxyType(
    {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
)


def is_manifest_entry(value: Mapping[str, object]) -> bool:
    """Whether an object of a JSON file is an entry of a manifest."""
    return {"payload", "protected", "signature"} <= set(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One secure element. certificate: of the key that was chosen, if the manifest has one."""

    unique_id: str
    spki: bytes
    certificate: bytes | None
    common_name: str | None
    san: tuple[str, ...]
    checked: bool
    """Whether the signature is known to be the signer's."""

    @classmethod
    def parse(cls, entry: Mapping[str, object], rules: ReadingRules) -> Self:
        """RowFault. The signature is checked first, when the signer is known."""
        protected, payload, signature = (_text(entry, member) for member in ("protected", "payload", "signature"))
        if rules.manifest_signer is not None:
            _check_signature(protected, payload, signature, rules.manifest_signer)
        element = _object(payload)
        unique_id = _text(element, "uniqueId")
        header = entry.get("header")
        if isinstance(header, dict) and header.get("uniqueId", unique_id) != unique_id:
            raise RowFault(Problem.UNREADABLE, "the entry's header names another element than what is signed")
        jwk = _chosen(element, rules.manifest_key)
        spki = _spki(jwk)
        certificates = jwk.get("x5c", [])
        if not isinstance(certificates, list):
            raise RowFault(Problem.UNREADABLE, "x5c is no list of certificates")
        checked = rules.manifest_signer is not None
        if not certificates:
            return cls(unique_id=unique_id, spki=spki, certificate=None, common_name=None, san=(), checked=checked)
        material = material_of_octets(_base64(certificates[0]))
        if material.certificate is None or material.spki != spki:
            raise RowFault(Problem.NO_KEY, "the certificate of the element is of another key")
        shown = material.shown
        return cls(
            unique_id=unique_id,
            spki=spki,
            certificate=material.certificate,
            common_name=shown.common_name,
            san=shown.san,
            checked=checked,
        )

    def candidate(self, where: str) -> Candidate:
        shown = Shown(serial=self.unique_id, common_name=self.common_name, san=self.san)
        return Candidate(
            where=where, spki=self.spki, certificate=self.certificate, shown=shown, unchecked=not self.checked
        )


def _check_signature(protected: str, payload: str, signature: str, signer: x509.Certificate) -> None:
    header = _object(protected)
    if header.get("crit") is not None:
        raise RowFault(Problem.BAD_SIGNATURE, "the entry's header has extensions that must be understood")
    thumbprint = header.get("x5t#S256")
    if thumbprint is not None and _base64(thumbprint) != hashlib.sha256(signer.public_bytes(Encoding.DER)).digest():
        raise RowFault(Problem.BAD_SIGNATURE, "the entry says that another certificate's key signed it")
    key = signer.public_key()
    curve, digest = _ALGORITHMS.get(str(header.get("alg")), (None, None))
    if curve is None or digest is None or not isinstance(key, ec.EllipticCurvePublicKey):
        raise RowFault(Problem.BAD_SIGNATURE, "the entry is not signed with ES256, ES384 or ES512")
    size = (key.curve.key_size + 7) // 8
    octets = _base64(signature)
    if not isinstance(key.curve, curve) or len(octets) != 2 * size:
        raise RowFault(Problem.BAD_SIGNATURE, "the signature is not of the signer's kind of key")
    r, s = (int.from_bytes(half, "big") for half in (octets[:size], octets[size:]))
    try:
        key.verify(encode_dss_signature(r, s), f"{protected}.{payload}".encode(), ec.ECDSA(digest))
    except InvalidSignature:
        raise RowFault(Problem.BAD_SIGNATURE, "the manifest's signer did not sign the entry") from None


def _chosen(element: Mapping[str, object], kid: str) -> dict[str, Any]:
    keys = element.get("publicKeySet")
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if listed is None:
        raise RowFault(Problem.NO_KEY, "the entry has no public keys (a lite manifest)")
    if not isinstance(listed, list) or not all(isinstance(key, dict) for key in listed):
        raise RowFault(Problem.UNREADABLE, "publicKeySet is no JWK set")
    chosen = [key for key in listed if key.get("kid") == kid]
    if len(chosen) != 1:
        raise RowFault(Problem.NO_KEY, f"the element has not one key {kid!r} (--manifest-key names another)")
    return dict(chosen[0])


def _spki(jwk: Mapping[str, object]) -> bytes:
    if "d" in jwk or jwk.get("kty") == "oct":
        raise RowFault(Problem.PRIVATE_KEY, "the entry holds a private or secret key; only public keys are adopted")
    curve = _CURVES.get(str(jwk.get("crv")))
    if jwk.get("kty") != "EC" or curve is None:
        raise RowFault(Problem.UNREADABLE, "the element's key is not of P-256, P-384 or P-521")
    x, y = (int.from_bytes(_base64(jwk.get(member)), "big") for member in ("x", "y"))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except ValueError:
        raise RowFault(Problem.UNREADABLE, "the element's key is no point of its curve") from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _text(members: Mapping[str, object], member: str) -> str:
    value = members.get(member)
    if not isinstance(value, str) or not value:
        raise RowFault(Problem.UNREADABLE, f"the entry has no {member}")
    return value


def _object(encoded: str) -> dict[str, Any]:
    """A JSON object in base64url (RFC 7515 section 2)."""
    try:
        value = json.loads(_base64(encoded))
    except (ValueError, RecursionError):
        raise RowFault(Problem.UNREADABLE, "a part of the entry is no JSON") from None
    if not isinstance(value, dict):
        raise RowFault(Problem.UNREADABLE, "a part of the entry is no JSON object")
    return value


def _base64(value: object) -> bytes:
    """Base64url, as in JWS and JWK; x5c is in plain base64 (RFC 7517 section 4.7)."""
    if not isinstance(value, str) or not value.isascii():
        raise RowFault(Problem.UNREADABLE, "a part of the entry is not base64")
    plain = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        raise RowFault(Problem.UNREADABLE, "a part of the entry is not base64") from None
