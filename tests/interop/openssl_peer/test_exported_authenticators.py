"""Exported authenticators over connections with OpenSSL's own library, which exports the keying material for one end.

It knows no authenticators itself: they are computed here, once more, from the formulas of RFC 9261 section 5 alone, so
what agrees is the exporter, the transcript, the signature and the MAC of two implementations.
"""

import asyncio
import hashlib
import hmac
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_der_x509_certificate

import dnsbound
from dnsbound import Context, Credential, Reason, Refused
from dnsbound.edge.exported_authentication import ExportedAuthentication, answer_request
from dnsbound.testing import Device, World
from dnsbound.testing.background_loop import BackgroundLoop
from interop.openssl_peer.peer import DANE_CLIENTID, Files, OpensslPeer

HOST = "api.cars.example"
PATIENCE = 20.0
CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED = 11, 13, 15, 20
SIGNATURE_ALGORITHMS, ECDSA_SECP256R1_SHA256 = 13, 0x0403

Save = Callable[[Credential], Files]

CONNECTIONS = {
    "1.3 SHA-256": (["--min", "1.3", "--suites", "TLS_AES_128_GCM_SHA256"], "sha256"),
    "1.3 SHA-384": (["--min", "1.3", "--suites", "TLS_AES_256_GCM_SHA384"], "sha384"),
    "1.2 SHA-256": (["--max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"], "sha256"),
    "1.2 SHA-384": (["--max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"], "sha384"),
}
connections = pytest.mark.parametrize("connection", CONNECTIONS)


def vector(octets: bytes, size: int) -> bytes:
    return len(octets).to_bytes(size, "big") + octets


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + vector(body, 3)


@dataclass(frozen=True)
class Keys:
    """RFC 9261 section 5.1, for what the client sends."""

    handshake_context: bytes
    finished_key: bytes
    digest: str

    @classmethod
    def of(cls, peer: OpensslPeer, digest: str) -> "Keys":
        size = hashlib.new(digest).digest_size
        context = peer.export(b"EXPORTER-client authenticator handshake context", b"", size)
        return cls(context, peer.export(b"EXPORTER-client authenticator finished key", b"", size), digest)

    def transcript(self, *messages: bytes) -> bytes:
        return hashlib.new(self.digest, self.handshake_context + b"".join(messages)).digest()

    def signed(self, request: bytes, certificate: bytes) -> bytes:
        return b" " * 64 + b"Exported Authenticator\0" + self.transcript(request, certificate)

    def finished(self, *messages: bytes) -> bytes:
        return message(FINISHED, hmac.digest(self.finished_key, self.transcript(*messages), self.digest))


def authenticator(keys: Keys, request: bytes, device: Device, name: bytes) -> bytes:
    """Certificate, CertificateVerify, Finished."""
    context = request[5 : 5 + request[4]]
    extension = struct.pack("!H", DANE_CLIENTID) + vector(vector(name, 1), 2)
    entry = vector(device.credential.chain[0], 3) + vector(extension, 2)
    certificate = message(CERTIFICATE, vector(context, 1) + vector(entry, 3))
    key = device.credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(keys.signed(request, certificate), ec.ECDSA(hashes.SHA256()))
    verify = message(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2))
    return certificate + verify + keys.finished(request, certificate, verify)


# --- the client is OpenSSL's, the server ours


@contextmanager
def asking_door(world: World) -> Iterator[int]:
    """Sends a request, reads the answer, and says who it was or why not. Both behind a length of two octets."""
    access = dnsbound.AccessList.allowing("api", ["car54._device.cars.example"])
    judge = dnsbound.Authenticator(access, world.resolver(), door="api", deadline=2.0)
    options = {"authenticator": judge, "policy": "optional", "ask": "always", "profiles": ("ca13", "cid07")}
    context = Context.server(world.web_credential(HOST), **options)  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late = ExportedAuthentication(writer)
        writer.write(vector(late.request(), 2))
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        try:
            writer.write(str((await late.verify(answer)).name).encode())
        except Refused as refusal:
            writer.write(refusal.reason.value.encode())
        writer.close()

    with BackgroundLoop("asking door") as loop:
        server = loop.run(dnsbound.start_server(serve, "127.0.0.1", 0, context=context))
        yield server.sockets[0].getsockname()[1]
        loop.run(closed(server))


async def closed(server: asyncio.Server) -> None:
    server.close()  # on its loop: a server is for one thread


@connections
def test_our_server_believes_what_the_formulas_give(world: World, connection: str) -> None:
    device = world.organisation("cars.example").device("car54")
    options, digest = CONNECTIONS[connection]
    with asking_door(world) as port, OpensslPeer("client", "--port", str(port), *options) as peer:
        peer.connect()
        request = peer.read()[2:]
        assert request[0] == CERTIFICATE_REQUEST
        made = authenticator(Keys.of(peer, digest), request, device, str(device.name).encode())
        peer.write(vector(made, 2))
        assert peer.read() == str(device.name).encode()


WRONG: dict[str, tuple[Callable[[Keys, bytes, Device], bytes], Reason]] = {
    "another name": (
        lambda keys, request, device: authenticator(keys, request, device, b"car99._device.cars.example"),
        Reason.NOT_PERMITTED,
    ),
    "another connection's keys": (
        lambda keys, request, device: authenticator(
            Keys(bytes(len(keys.handshake_context)), keys.finished_key, keys.digest),
            request,
            device,
            str(device.name).encode(),
        ),
        Reason.NO_POSSESSION,
    ),
    "an empty one": (
        lambda keys, request, _device: keys.finished(
            request, message(CERTIFICATE, vector(request[5 : 5 + request[4]], 1) + vector(b"", 3))
        ),
        Reason.NO_CREDENTIAL,
    ),
}


@pytest.mark.parametrize("case", WRONG)
@connections
def test_and_nothing_else(world: World, connection: str, case: str) -> None:
    device = world.organisation("cars.example").device("car54")
    options, digest = CONNECTIONS[connection]
    make, reason = WRONG[case]
    with asking_door(world) as port, OpensslPeer("client", "--port", str(port), *options) as peer:
        peer.connect()
        request = peer.read()[2:]
        peer.write(vector(make(Keys.of(peer, digest), request, device), 2))
        assert peer.read() == reason.value.encode()
    assert [query.name for query in world.queries if query.rdtype == "TLSA"] == []


# --- the server is OpenSSL's, the client ours


def request_of(context: bytes) -> bytes:
    algorithms = vector(vector(struct.pack("!H", ECDSA_SECP256R1_SHA256), 2), 2)
    extensions = struct.pack("!H", SIGNATURE_ALGORITHMS) + algorithms
    extensions += struct.pack("!H", DANE_CLIENTID) + vector(b"\0", 2)
    return message(CERTIFICATE_REQUEST, vector(context, 1) + vector(extensions, 2))


@connections
def test_our_clients_answer_is_what_the_formulas_say(world: World, save: Save, connection: str) -> None:
    device = world.organisation("cars.example").device("car54")
    options, digest = CONNECTIONS[connection]
    ours = Context.client()
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    own = save(world.web_credential(HOST)).options()
    with OpensslPeer("server", *own, "--ask", "no", *options) as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with ours.wrap_socket(plain, server_hostname=HOST) as tls:
            peer.event("handshake")
            request = request_of(b"a context of the peer's")
            made = answer_request(tls, request, device.credential)
            tls.sendall(made)
            heard = peer.read()
        keys = Keys.of(peer, digest)
    certificate = heard[: 4 + int.from_bytes(heard[1:4], "big")]
    rest = heard[len(certificate) :]
    verify = rest[: 4 + int.from_bytes(rest[1:4], "big")]
    assert rest[len(verify) :] == keys.finished(request, certificate, verify)
    assert verify[4:6] == struct.pack("!H", ECDSA_SECP256R1_SHA256)
    leaf = load_der_x509_certificate(device.credential.chain[0])
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(verify[8:], keys.signed(request, certificate), ec.ECDSA(hashes.SHA256()))
    assert vector(str(device.name).encode(), 1) in certificate
