"""Keys, certificates and lists of them, for the tests of adoption."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from dnsbound.provision.adoption.candidate import BadRow, Candidate, Row
from dnsbound.provision.adoption.source import ReadingRules
from dnsbound.provision.adoption.sources import rows

START = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spki(number: int = 0) -> bytes:
    return key(number).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def b64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def private_pem(number: int = 0) -> bytes:
    return key(number).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_der(number: int = 0) -> bytes:
    return key(number).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def public_pem(number: int = 0) -> bytes:
    return key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def weak_spki() -> bytes:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return weak.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def subject(common_name: str, serial: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if serial is not None:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
    return x509.Name(attributes)


@cache  # a signature is another one every time
def certificate(
    number: int = 0,
    *names: str,
    common_name: str = "device",
    serial: str | None = None,
    issuer: int | None = None,
    issuer_name: str = "device",
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> bytes:
    """DER. number, issuer: of the keys; the issuer is the key itself without one."""
    made = (
        x509.CertificateBuilder()
        .subject_name(subject(common_name, serial))
        .issuer_name(subject(common_name, serial) if issuer is None else subject(issuer_name))
        .public_key(key(number).public_key())
        .serial_number(1000 + number)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=9000))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    for extension in extensions:
        made = made.add_extension(extension, critical=False)
    return made.sign(key(number if issuer is None else issuer), hashes.SHA256()).public_bytes(Encoding.DER)


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, encipher: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        key_encipherment=encipher,
        **dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
            False,
        ),
    )


@cache
def authority(number: int = 9, common_name: str = "Cars CA") -> bytes:
    return certificate(
        number,
        common_name=common_name,
        extensions=(x509.BasicConstraints(ca=True, path_length=None), key_usage(key_cert_sign=True)),
    )


@cache
def request(number: int = 0, *names: str, common_name: str = "device") -> bytes:
    """DER of a certificate signing request."""
    made = x509.CertificateSigningRequestBuilder().subject_name(subject(common_name))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return made.sign(key(number), hashes.SHA256()).public_bytes(Encoding.DER)


def pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), body, label.encode())


def element(number: int = 0, unique_id: str = "0123f1822c38dd7a01", **members: Any) -> dict[str, Any]:
    """What a manifest says of a secure element."""
    numbers = key(number).public_key().public_numbers()
    jwk = {"kid": "0", "kty": "EC", "crv": "P-256"} | {
        member: b64url(value.to_bytes(32, "big")) for member, value in (("x", numbers.x), ("y", numbers.y))
    }
    return {
        "version": 1,
        "model": "ATECC608B",
        "uniqueId": unique_id,
        "publicKeySet": {"keys": [jwk | {"x5c": [b64(certificate(number, common_name=unique_id))]}]},
    } | members


def manifest_entry(payload: dict[str, Any], signer: int = 8, **header: Any) -> dict[str, Any]:
    """An entry of a manifest, signed."""
    protected = b64url(json.dumps({"typ": "JWT", "alg": "ES256"} | header).encode())
    body = b64url(json.dumps(payload).encode())
    r, s = decode_dss_signature(key(signer).sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
    return {
        "payload": body,
        "protected": protected,
        "header": {"uniqueId": payload["uniqueId"]},
        "signature": b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big")),
    }


def tpm_public(number: int = 0, *, attributes: int = 0x00040072, sized: bool = False) -> bytes:
    """TPMT_PUBLIC of a P-256 key. attributes: of an unrestricted signing key."""
    numbers = key(number).public_key().public_numbers()
    points = b"".join(b"\0\x20" + value.to_bytes(32, "big") for value in (numbers.x, numbers.y))
    # ECC, SHA-256, attributes, no policy, no symmetric algorithm, ECDSA with SHA-256, P-256, no key derivation
    head = b"\0\x23\0\x0b" + attributes.to_bytes(4, "big") + b"\0\0" + b"\0\x10" + b"\0\x18\0\x0b" + b"\0\3" + b"\0\x10"
    area = head + points
    return len(area).to_bytes(2, "big") + area if sized else area


def read(*places: Path | str, rules: ReadingRules | None = None) -> list[Row]:
    return list(rows([str(place) for place in places], rules or ReadingRules()))


def read_octets(directory: Path, octets: bytes, name: str = "list", rules: ReadingRules | None = None) -> list[Row]:
    path = directory / name
    path.write_bytes(octets)
    return read(path, rules=rules)


def the_candidate(found: list[Row]) -> Candidate:
    [row] = found
    assert isinstance(row, Candidate), row
    return row


def the_bad_row(found: list[Row]) -> BadRow:
    [row] = found
    assert isinstance(row, BadRow), row
    return row
