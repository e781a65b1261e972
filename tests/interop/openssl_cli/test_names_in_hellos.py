"""Profile cid07 with servers that know nothing of it: they read past the name in the ClientHello and ask as ever."""

from pathlib import Path

import pytest

from dnsbound import _native
from interop.daemon import free_port
from interop.native_sockets import Peer, call, save
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    SERVER,
    TLS12,
    X509,
    authority,
    client_config,
    client_identity,
    server_identity,
)


def cid07_client(kind: int, version: int = TLS12) -> _native.Config:
    config = client_config(clientid=False, own=[kind])
    config.set_versions(TLS12, version)
    config.set_clientid(CODE_POINT, profiles=["ca13", "cid07"])
    return config


def say_hello(port: int, kind: int) -> _native.Connection:
    """A whole conversation; the connection as it then is."""
    wire = call(cid07_client(kind), port, server_hostname=SERVER, client_name=CLIENT_NAME, clear_name=True)
    wire.handshake()
    wire.write(b"echo this\n")
    wire.read_until(b"\n")
    wire.close()
    return wire.connection


@pytest.mark.peer("openssl")
def test_s_server(tmp_path: Path) -> None:
    server, trust = save(server_identity(), tmp_path, "server"), save(client_identity(), tmp_path, "client")
    port = free_port()
    certificate = ["-cert", server["chain"], "-key", server["key"], "-CAfile", trust["chain"]]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", *certificate, "-Verify", "1", "-rev", "-tls1_2"]
    with Peer(command) as peer:
        peer.wait_for("ACCEPT")
        connection = say_hello(port, X509)
        peer.wait_for("car54.cars.example")
    assert connection.version() == TLS12
    assert connection.certificate_requested()
    assert not connection.clientid_requested()


@pytest.mark.peer("gnutls-serv")
@pytest.mark.parametrize("kind", [X509, RAW])
def test_gnutls_serv(tmp_path: Path, kind: int) -> None:
    files = save(server_identity(), tmp_path, "server")
    port = free_port()
    types = f"-CTYPE-ALL:+CTYPE-CLI-{'RAWPK' if kind == RAW else 'X509'}:+CTYPE-SRV-X509"
    command = [
        *("gnutls-serv", "-p", str(port), "--echo", "--require-client-cert"),
        *("--priority", f"NORMAL:{types}:-VERS-ALL:+VERS-TLS1.2"),
        *("--x509keyfile", files["key"], "--x509certfile", files["chain"]),
        *("--x509cafile", save(authority(), tmp_path, "authority")["chain"]),
    ]
    with Peer(command) as peer:
        peer.wait_for("listening on")
        connection = say_hello(port, kind)
    assert connection.version() == TLS12
    assert connection.certificate_types() == (kind, X509)
    assert connection.certificate_requested()
    assert not connection.clientid_requested()
