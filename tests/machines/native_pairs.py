"""Client and server of the native engine, joined in memory, with credentials made for the test."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from dnsbound import _native

TLS12, TLS13 = 0x0303, 0x0304
X509, RAW = 0, 2
CODE_POINT = 65300
SERVER = "server.example"
CLIENT_NAME = b"car54._device.cars.example"

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | mldsa.MLDSA65PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key and the DER chain that shows it, leaf first."""

    key: PrivateKey
    chain: tuple[bytes, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.chain[0])

    @property
    def private_key(self) -> bytes:
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make_key(kind: str) -> PrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "mldsa65":
        return mldsa.MLDSA65PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:] or 2048))
    return ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1())


def make_identity(
    name: str,
    *,
    kind: str = "p256",
    issuer: Identity | None = None,
    authority: bool = False,
    days: tuple[float, float] = (-1, 1),
    san: Sequence[str] | None = None,
) -> Identity:
    """A certificate for `name`, self-signed without an issuer; days: validity relative to now."""
    key = make_key(kind)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # What X509_V_FLAG_X509_STRICT asks for, which Python sets from 3.13 on.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
    names = [_general_name(text) for text in ([name] if san is None else san)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey) else hashes.SHA256()
    leaf = builder.sign(signer, digest).public_bytes(Encoding.DER)
    return Identity(key=key, chain=(leaf, *(() if issuer is None else issuer.chain)))


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@cache
def authority() -> Identity:
    return make_identity("Example Authority", authority=True, san=())


@cache
def server_identity() -> Identity:
    return make_identity(SERVER, issuer=authority(), san=(SERVER, "*.wild.example", "192.0.2.7", "2001:db8::7"))


@cache
def client_identity() -> Identity:
    return make_identity("car54.cars.example")


def server_config(
    *,
    identity: Identity | None = None,
    verification: str = "accept-required",
    own: Sequence[int] = (X509,),
    peer: Sequence[int] = (X509,),
    clientid: bool = True,
    versions: tuple[int, int] = (TLS12, TLS13),
) -> _native.Config:
    config = _native.Config(server_side=True)
    identity = identity or server_identity()
    config.set_credential(identity.chain, identity.private_key)
    config.set_peer_verification(verification)
    config.set_certificate_types(own=own, peer=peer)
    config.set_versions(*versions)
    if clientid:
        config.set_clientid(CODE_POINT)
    return config


def client_config(
    *,
    identity: Identity | None = None,
    bare: bool = False,
    anonymous: bool = False,
    verification: str = "verify",
    own: Sequence[int] = (X509,),
    peer: Sequence[int] = (X509,),
    clientid: bool = True,
) -> _native.Config:
    config = _native.Config(server_side=False)
    identity = identity or client_identity()
    if not anonymous:
        config.set_credential(() if bare else identity.chain, identity.private_key)
    config.set_peer_verification(verification)
    config.add_trust_anchors([authority().chain[0]])
    config.set_certificate_types(own=own, peer=peer)
    if clientid:
        config.set_clientid(CODE_POINT)
    return config


def flow(client: _native.Connection, server: _native.Connection) -> None:
    """Carry what both sides have produced to the other side."""
    server.feed(client.drain())
    client.feed(server.drain())


def shake(client: _native.Connection, server: _native.Connection) -> None:
    """Complete the handshake; a failure on either side is raised from the side that found it."""
    for _ in range(10):
        done = client.do_handshake()
        server.feed(client.drain())
        done &= server.do_handshake()
        client.feed(server.drain())
        if done:
            return
    raise AssertionError("the handshake does not come to an end")


def connect(
    server: _native.Config,
    client: _native.Config,
    *,
    name: bytes | None = CLIENT_NAME,
    session: bytes | None = None,
) -> tuple[_native.Connection, _native.Connection]:
    """(client, server), handshake complete."""
    near = _native.Connection(client, server_hostname=SERVER, client_name=name, session=session)
    far = _native.Connection(server)
    shake(near, far)
    return near, far


def read_all(connection: _native.Connection) -> bytes:
    """Everything readable now."""
    data = b""
    while octets := connection.read(65536):
        data += octets
    return data
