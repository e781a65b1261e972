"""The native engine and the system's `openssl s_client` and `openssl s_server`, over loopback."""

import re
from pathlib import Path

import pytest

from dnsbound import _native
from interop.native_sockets import Peer, Wire, call, run, save, serving
from machines.native_pairs import (
    CLIENT_NAME,
    SERVER,
    TLS12,
    TLS13,
    authority,
    client_config,
    client_identity,
    make_identity,
    server_config,
    server_identity,
)

pytestmark = pytest.mark.peer("openssl")
versions = pytest.mark.parametrize(("version", "flag"), [(TLS12, "-tls1_2"), (TLS13, "-tls1_3")])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, str]]:
    return {
        "authority": save(authority(), tmp_path, "authority"),
        "server": save(server_identity(), tmp_path, "server"),
        "client": save(client_identity(), tmp_path, "client"),
    }


def s_client(port: int, files: dict[str, dict[str, str]], *more: str) -> list[str]:
    certificate = ["-cert", files["client"]["chain"], "-key", files["client"]["key"]]
    trust = ["-CAfile", files["authority"]["chain"], "-verify_return_error", "-verify_hostname", SERVER]
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", SERVER, *certificate, *trust, *more]


@versions
def test_s_client_with_a_certificate(files: dict[str, dict[str, str]], version: int, flag: str) -> None:
    label = "EXPORTER-dnsbound-interop"
    facts: dict[str, object] = {}

    def speak(wire: Wire) -> None:
        wire.handshake()
        connection = wire.connection
        wire.write(b"hello from the engine\n")
        facts["said"] = wire.read_until(b"\n")
        facts["chain"] = connection.peer_chain()
        facts["names"] = connection.client_names()
        facts["sni"] = connection.server_name()
        facts["alpn"] = connection.selected_alpn()
        facts["version"] = connection.version()
        facts["material"] = connection.export_keying_material(label.encode(), 32, None).hex().upper()
        facts["requested"] = connection.clientid_requested()

    config = server_config()
    config.set_alpn([b"http/1.1"])
    with serving(config, speak) as port:
        command = s_client(port, files, flag, "-alpn", "h2,http/1.1", "-keymatexport", label, "-keymatexportlen", "32")
        with Peer(command) as peer:
            peer.wait_for("hello from the engine")
            peer.say("hello from s_client\n")
            peer.process.wait(15)
    assert facts["said"] == b"hello from s_client\n"
    assert facts["chain"] == list(client_identity().chain)
    assert facts["names"] == []
    assert facts["requested"] == (version == TLS13)
    assert (facts["sni"], facts["alpn"], facts["version"]) == (SERVER, b"http/1.1", version)
    assert "Verification: OK" in peer.output
    assert f"Keying material: {facts['material']}" in peer.output


@versions
@pytest.mark.parametrize("description", [40, 46, 48])
def test_s_client_understands_a_late_alert(
    files: dict[str, dict[str, str]], version: int, flag: str, description: int
) -> None:
    def speak(wire: Wire) -> None:
        wire.handshake()
        wire.connection.send_alert(description)
        wire.flush()
        with pytest.raises(_native.TlsError):
            wire.connection.write(b"x")
        assert wire.socket.recv(65536) is not None

    with serving(server_config(), speak) as port, Peer(s_client(port, files, flag)) as peer:
        peer.wait_for(f"SSL alert number {description}")
        assert peer.process.wait(15) != 0


def test_s_client_without_a_certificate_meets_certificate_required(files: dict[str, dict[str, str]]) -> None:
    alerts = []

    def speak(wire: Wire) -> None:
        with pytest.raises(_native.TlsError) as refused:
            wire.handshake()
        alerts.append(refused.value.alert_sent)
        assert wire.socket.recv(65536) is not None

    command = ["openssl", "s_client", "-tls1_3", "-CAfile", files["authority"]["chain"], "-connect"]
    with serving(server_config(), speak) as port, Peer([*command, f"127.0.0.1:{port}"]) as peer:
        peer.wait_for("SSL alert number 116")
    assert alerts == [116]


def test_s_client_keeps_and_uses_a_held_ticket(files: dict[str, dict[str, str]], tmp_path: Path) -> None:
    session = str(tmp_path / "session.pem")
    reused: list[bool] = []
    sealed: list[bytes | None] = []

    def speak(wire: Wire) -> None:
        wire.handshake()
        reused.append(wire.connection.session_reused())
        sealed.append(wire.connection.ticket_application_data())
        wire.connection.send_ticket(60, b"sealed for s_client")
        wire.write(b"ticket sent\n")
        assert wire.read_until(b"\n") == b"bye\n"

    config = server_config()
    config.set_tickets(lifetime=60)
    with serving(config, speak, times=2) as port:
        for more in (["-sess_out", session], ["-sess_in", session]):
            with Peer(s_client(port, files, "-tls1_3", *more)) as peer:
                peer.wait_for("ticket sent")
                peer.say("bye\n")
                peer.process.wait(15)
            assert "TLS session ticket lifetime hint: 60 (seconds)" in peer.output
    assert reused == [False, True]
    assert sealed == [None, b"sealed for s_client"]


def test_renegotiation_is_refused(files: dict[str, dict[str, str]]) -> None:
    """`R` makes s_client ask for a second handshake; the engine answers no_renegotiation and s_client gives up."""
    ends: list[BaseException | bytes] = []

    def speak(wire: Wire) -> None:
        wire.handshake()
        wire.write(b"ready\n")
        try:
            ends.append(wire.read())
        except _native.TlsError as failure:
            ends.append(failure)

    with serving(server_config(), speak) as port, Peer(s_client(port, files, "-tls1_2")) as peer:
        peer.wait_for("ready")
        peer.say("R\n")
        peer.wait_for("RENEGOTIATING")
        peer.wait_for("no renegotiation")
        assert peer.process.wait(15) != 0
    assert len(ends) == 1
    assert ends[0] == b"" or isinstance(ends[0], _native.TlsError)


@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(files: dict[str, dict[str, str]], flag: str) -> None:
    alerts = []

    def speak(wire: Wire) -> None:
        with pytest.raises(_native.TlsError) as refused:
            wire.handshake()
        alerts.append(refused.value.alert_sent)

    with serving(server_config(), speak) as port:
        code, output = run(s_client(port, files, flag, "-cipher", "DEFAULT:@SECLEVEL=0"))
    assert code != 0
    assert "SSL alert number 70" in output
    assert alerts == [70]


def s_server(files: dict[str, dict[str, str]], *more: str) -> Peer:
    own = ["-cert", files["server"]["chain"], "-cert_chain", files["server"]["chain"], "-key", files["server"]["key"]]
    return Peer(["openssl", "s_server", "-accept", "127.0.0.1:0", *own, *more])


def port_of(peer: Peer) -> int:
    found = re.search(r"ACCEPT [0-9.]+:(\d+)", peer.wait_for("ACCEPT "))
    while found is None:
        found = re.search(r"ACCEPT [0-9.]+:(\d+)", peer.wait_for("\n"))
    return int(found[1])


@versions
@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
def test_our_client_and_s_server(files: dict[str, dict[str, str]], version: int, flag: str, kind: str) -> None:
    identity = make_identity("car54.cars.example", kind=kind)
    with s_server(files, flag, "-Verify", "1", "-rev") as peer:
        wishes = {"server_hostname": SERVER, "verify_hostname": SERVER, "client_name": CLIENT_NAME}
        wire = call(client_config(identity=identity), port_of(peer), **wishes)
        wire.handshake()
        assert wire.connection.version() == version
        assert wire.connection.verify_result() == 0
        assert wire.connection.verified_chain()[0] == server_identity().chain[0]
        assert wire.connection.certificate_requested()
        assert not wire.connection.clientid_requested()
        wire.write(b"abc\n")
        assert wire.read_until(b"\n") == b"cba\n"
        wire.close()
        peer.wait_for("CONNECTION CLOSED")
    assert "car54.cars.example" in peer.output
    assert CLIENT_NAME.decode() not in peer.output


def test_our_client_refuses_a_stranger(files: dict[str, dict[str, str]], tmp_path: Path) -> None:
    stranger = save(make_identity(SERVER), tmp_path, "stranger")
    with s_server({**files, "server": stranger}, "-tls1_3") as peer:
        wire = call(client_config(), port_of(peer), server_hostname=SERVER, verify_hostname=SERVER)
        with pytest.raises(_native.TlsError) as refused:
            wire.handshake()
        assert refused.value.verify_code == 18
        wire.close()
        peer.wait_for("alert unknown ca")


def test_our_client_resumes_with_s_server(files: dict[str, dict[str, str]]) -> None:
    config = client_config()
    with s_server(files, "-tls1_3", "-rev") as peer:
        port = port_of(peer)
        session = None
        for resumed in (False, True):
            wire = call(config, port, server_hostname=SERVER, verify_hostname=SERVER, session=session)
            wire.handshake()
            assert wire.connection.session_reused() == resumed
            wire.write(b"abc\n")
            assert wire.read_until(b"\n") == b"cba\n"
            session = wire.connection.session()
            assert session is not None
            assert wire.connection.peer_chain()[0] == server_identity().chain[0]
            wire.close()


def test_data_in_bulk(files: dict[str, dict[str, str]]) -> None:
    """A megabyte from s_client, in records of its own making."""
    amount = 1_000_000
    received: list[int] = []

    def speak(wire: Wire) -> None:
        wire.handshake()
        count = 0
        while count < amount:
            count += len(wire.read())
        received.append(count)

    with serving(server_config(), speak) as port:
        run([*s_client(port, files, "-tls1_3", "-quiet", "-no_ign_eof")], text="x" * (amount - 1) + "\n")
    assert received == [amount]
