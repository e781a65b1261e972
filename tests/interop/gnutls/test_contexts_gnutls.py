"""Our client's Context at GnuTLS's `gnutls-serv`: raw public keys and X.509 of each side, over TLS 1.2 and TLS 1.3. The
server's raw key is believed by its TLSA record alone.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnsbound import Context, Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.testing import World
from interop.daemon import free_port
from interop.native_sockets import PATIENCE, Peer
from interop.openssl_peer.peer import Files

pytestmark = pytest.mark.peer("gnutls-serv")
HOST = "api.cars.example"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS)
KINDS = {False: "X509", True: "RAWPK"}


@contextmanager
def gnutls_serv(version: str, server: Files, *, shows_raw: bool, takes_raw: bool) -> Iterator[tuple[Peer, int]]:
    """A server that echoes lines to clients that show a certificate or key."""
    port = free_port()
    types = f"-CTYPE-ALL:+CTYPE-CLI-{KINDS[takes_raw]}:+CTYPE-SRV-{KINDS[shows_raw]}"
    shown = (
        ["--rawpkkeyfile", str(server.key), "--rawpkfile", str(server.public)]
        if shows_raw
        else ["--x509keyfile", str(server.key), "--x509certfile", str(server.chain)]
    )
    command = ["gnutls-serv", "-p", str(port), "--echo", "--require-client-cert"]
    with Peer([*command, "--priority", f"NORMAL:{types}:-VERS-ALL:+VERS-TLS{version}", *shown]) as peer:
        peer.wait_for("listening on")
        yield peer, port


def context(world: World, credential: Credential, *, raw: bool, by_tlsa: bool) -> Context:
    made = Context.client(
        credential,
        raw_public_key=raw,
        profiles=("ca13", "cid07"),
        clear_name_to=(HOST,),
        resolver=world.resolver() if by_tlsa else None,
        server_tlsa="require" if by_tlsa else "off",
    )
    made.load_verify_locations(cadata=world.web_root_pem.decode())
    return made


def echo(context: Context, port: int, version: str) -> None:
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    with context.wrap_socket(plain, server_hostname=HOST) as tls:
        assert tls.version() == f"TLSv{version}"
        tls.sendall(b"echo this\n")
        assert tls.recv(100) == b"echo this\n"


@versions
@pytest.mark.parametrize(("raw", "shows_raw"), [(False, False), (False, True), (True, False), (True, True)], ids=str)
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048])
def test_each_kind_of_key(
    world: World, tmp_path: Path, *, version: str, raw: bool, shows_raw: bool, algorithm: KeyAlgorithm
) -> None:
    """raw: the client shows a bare key; shows_raw: the server does."""
    zone = world.organisation("cars.example")
    device = zone.device("car54", algorithm=algorithm)
    own = world.web_credential(HOST)
    server = Files.save(tmp_path, "server", key=own.private_key_der(), chain=own.chain)
    with gnutls_serv(version, server, shows_raw=shows_raw, takes_raw=raw) as (_peer, port):
        ours = context(world, device.credential, raw=raw, by_tlsa=shows_raw)
        if shows_raw:
            zone.address(HOST, "127.0.0.1")
            zone.publish(f"_{port}._tcp.{HOST}", own.as_raw_key().tlsa())
            ours.prepare_blocking(HOST, port)
        echo(ours, port, version)


@versions
def test_another_raw_key_than_the_records(world: World, tmp_path: Path, version: str) -> None:
    zone = world.organisation("cars.example")
    own, other = (Credential.generate(HOST, now=world.now(), kind="raw") for _ in range(2))
    server = Files.save(tmp_path, "server", key=own.private_key_der(), chain=())
    with gnutls_serv(version, server, shows_raw=True, takes_raw=True) as (_peer, port):
        zone.address(HOST, "127.0.0.1")
        zone.publish(f"_{port}._tcp.{HOST}", other.tlsa())
        ours = context(world, zone.device("car54").credential, raw=True, by_tlsa=True)
        ours.prepare_blocking(HOST, port)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLCertVerificationError):
            ours.wrap_socket(plain, server_hostname=HOST)


@versions
def test_a_client_without_records_gets_no_raw_key(world: World, tmp_path: Path, version: str) -> None:
    """It offers none, and this server has nothing else."""
    own = Credential.generate(HOST, now=world.now(), kind="raw")
    server = Files.save(tmp_path, "server", key=own.private_key_der(), chain=())
    device = world.organisation("cars.example").device("car54")
    with gnutls_serv(version, server, shows_raw=True, takes_raw=True) as (_peer, port):
        ours = context(world, device.credential, raw=True, by_tlsa=False)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError):
            ours.wrap_socket(plain, server_hostname=HOST)
