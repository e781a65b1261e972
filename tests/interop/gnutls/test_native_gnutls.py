"""The native engine and GnuTLS's `gnutls-cli` and `gnutls-serv`: raw public keys both ways, X.509 beside them."""

from pathlib import Path

import pytest

from dnsbound import _native
from interop.daemon import free_port
from interop.native_sockets import Peer, Wire, call, save, serving
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    authority,
    client_config,
    client_identity,
    server_config,
    server_identity,
)

versions = pytest.mark.parametrize(
    ("version", "priority"), [(TLS12, "-VERS-ALL:+VERS-TLS1.2"), (TLS13, "-VERS-ALL:+VERS-TLS1.3")]
)
kinds = pytest.mark.parametrize(("client_kind", "server_kind"), [(RAW, RAW), (RAW, X509), (X509, RAW), (X509, X509)])
NAMES = {RAW: "RAWPK", X509: "X509"}


def priority_string(versions_part: str, client_kind: int, server_kind: int) -> str:
    types = f"-CTYPE-ALL:+CTYPE-CLI-{NAMES[client_kind]}:+CTYPE-SRV-{NAMES[server_kind]}"
    return f"NORMAL:{types}:{versions_part}"


def credential(kind: int, files: dict[str, str]) -> list[str]:
    if kind == RAW:
        return ["--rawpkkeyfile", files["key"], "--rawpkfile", files["raw"]]
    return ["--x509keyfile", files["key"], "--x509certfile", files["chain"]]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, str]]:
    return {
        "authority": save(authority(), tmp_path, "authority"),
        "server": save(server_identity(), tmp_path, "server"),
        "client": save(client_identity(), tmp_path, "client"),
    }


@pytest.mark.peer("gnutls-cli")
@versions
@kinds
def test_gnutls_cli(
    files: dict[str, dict[str, str]], version: int, priority: str, client_kind: int, server_kind: int
) -> None:
    facts: dict[str, object] = {}

    def speak(wire: Wire) -> None:
        wire.handshake()
        connection = wire.connection
        facts["types"] = connection.certificate_types()
        facts["chain"] = connection.peer_chain()
        facts["raw"] = connection.peer_raw_public_key()
        facts["names"] = connection.client_names()
        facts["version"] = connection.version()
        wire.write(b"hello from the engine\n")
        facts["said"] = wire.read_until(b"\n")

    config = server_config(own=[server_kind], peer=[RAW, X509])
    trust = ["--x509cafile", files["authority"]["chain"], "--verify-hostname", SERVER]
    with serving(config, speak) as port:
        command = [
            *("gnutls-cli", "-p", str(port), "--priority", priority_string(priority, client_kind, server_kind)),
            *credential(client_kind, files["client"]),
            *(["--no-ca-verification"] if server_kind == RAW else trust),
            *("--sni-hostname", SERVER, "127.0.0.1"),
        ]
        with Peer(command) as peer:
            peer.wait_for("hello from the engine")
            peer.say("hello from gnutls\n")
            peer.process.wait(15)
    assert facts["said"] == b"hello from gnutls\n"
    assert facts["types"] == (client_kind, server_kind)
    assert facts["raw"] == (client_identity().spki if client_kind == RAW else None)
    assert facts["chain"] == ([] if client_kind == RAW else list(client_identity().chain))
    assert (facts["version"], facts["names"]) == (version, [])
    assert "Handshake was completed" in peer.output


@pytest.mark.peer("gnutls-cli")
@pytest.mark.parametrize("description", [(40, "Handshake failed"), (49, "Access was denied")])
def test_gnutls_cli_understands_a_late_alert(files: dict[str, dict[str, str]], description: tuple[int, str]) -> None:
    number, words = description

    def speak(wire: Wire) -> None:
        wire.handshake()
        wire.connection.send_alert(number)
        wire.flush()
        assert wire.socket.recv(65536) is not None

    with serving(server_config(own=[RAW], peer=[RAW]), speak) as port:
        command = [
            *("gnutls-cli", "-p", str(port), "--priority", priority_string("-VERS-ALL:+VERS-TLS1.3", RAW, RAW)),
            *credential(RAW, files["client"]),
            *("--no-ca-verification", "127.0.0.1"),
        ]
        with Peer(command) as peer:
            output = peer.wait_for(f"[{number}]")
            assert words in output


@pytest.mark.peer("gnutls-serv")
@versions
@kinds
def test_gnutls_serv(
    files: dict[str, dict[str, str]], version: int, priority: str, client_kind: int, server_kind: int
) -> None:
    port = free_port()
    command = [
        *("gnutls-serv", "-p", str(port), "--echo", "--require-client-cert"),
        *("--priority", priority_string(priority, client_kind, server_kind)),
        *credential(server_kind, files["server"]),
    ]
    verification = "accept" if server_kind == RAW else "verify"
    config = client_config(own=[client_kind], peer=[server_kind], verification=verification)
    with Peer(command) as peer:
        peer.wait_for("listening on")
        wire = call(config, port, server_hostname=SERVER, client_name=CLIENT_NAME)
        wire.handshake()
        connection = wire.connection
        assert connection.version() == version
        assert connection.certificate_types() == (client_kind, server_kind)
        assert connection.certificate_requested()
        assert not connection.clientid_requested()
        if server_kind == RAW:
            assert connection.peer_raw_public_key() == server_identity().spki
        else:
            assert connection.peer_chain() == list(server_identity().chain)
        wire.write(b"echo this\n")
        assert wire.read_until(b"\n") == b"echo this\n"
        wire.close()


@pytest.mark.peer("gnutls-serv")
def test_gnutls_serv_is_authenticated_by_tlsa(files: dict[str, dict[str, str]]) -> None:
    port = free_port()
    command = [
        *("gnutls-serv", "-p", str(port), "--echo", "--disable-client-cert"),
        *("--priority", priority_string("-VERS-ALL:+VERS-TLS1.3", X509, RAW)),
        *credential(RAW, files["server"]),
    ]
    with Peer(command) as peer:
        peer.wait_for("listening on")
        record = (3, 1, 0, server_identity().spki)
        wire = call(client_config(peer=[RAW]), port, server_hostname=SERVER)
        assert wire.connection.set_server_tlsa(SERVER, [record]) == 1
        wire.handshake()
        assert wire.connection.server_tlsa_match() == record
        wire.close()
        wire = call(client_config(peer=[RAW]), port, server_hostname=SERVER)
        wire.connection.set_server_tlsa(SERVER, [(3, 1, 0, client_identity().spki)])
        with pytest.raises(_native.TlsError) as refused:
            wire.handshake()
        assert refused.value.verify_code
        wire.close()
