"""DTLS 1.2 with GnuTLS's command line, both ways: X.509 and raw keys. gnutls-cli sends no extension, so it comes in by
its certificate alone; a raw key without a name stays out.
"""

from pathlib import Path

import pytest

from dnsbound import Reason
from dnsbound.testing import World
from interop.daemon import free_port
from interop.datagram_echo import call_datagrams, open_to_datagrams
from interop.native_sockets import PATIENCE, Peer
from interop.openssl_peer.peer import Files
from machines.doors import SERVER, car, door

DTLS = "NORMAL:-VERS-ALL:+VERS-DTLS1.2"


@pytest.fixture
def root(world: World, tmp_path: Path) -> Path:
    file = tmp_path / "root.pem"
    file.write_bytes(world.web_root_pem)
    return file


def types(client: str, server: str) -> str:
    return f"{DTLS}:-CTYPE-ALL:+CTYPE-CLI-{client}:+CTYPE-SRV-{server}"


@pytest.mark.peer("gnutls-cli")
@pytest.mark.parametrize("mtu", [None, 500])
def test_gnutls_cli_is_admitted(world: World, root: Path, mtu: int | None) -> None:
    device, at = car(world), door(world, datagram=True)
    own = Files.save(root.parent, "car", key=device.credential.private_key_der(), chain=device.credential.chain)
    with open_to_datagrams(at) as port:
        command = ["gnutls-cli", "--udp", "-p", str(port), "--priority", DTLS, "--x509cafile", str(root)]
        shown = ["--x509keyfile", str(own.key), "--x509certfile", str(own.chain), "--verify-hostname", SERVER]
        cut = [] if mtu is None else ["--mtu", str(mtu)]
        with Peer([*command, *shown, *cut, "--sni-hostname", SERVER, "127.0.0.1"]) as peer:
            peer.wait_for(f"hello {device.name}")
            peer.say("reading\n")
            peer.wait_for("echo reading")
    assert at.reasons == ["admitted"]


@pytest.mark.peer("gnutls-cli")
def test_a_raw_key_without_a_name_stays_out(world: World, root: Path) -> None:
    device, at = car(world), door(world, datagram=True)
    own = Files.save(root.parent, "car", key=device.credential.private_key_der(), chain=())
    with open_to_datagrams(at) as port:
        command = ["gnutls-cli", "--udp", "-p", str(port), "--priority", types("RAWPK", "X509")]
        shown = ["--rawpkkeyfile", str(own.key), "--rawpkfile", str(own.public), "--x509cafile", str(root)]
        with Peer([*command, *shown, "--verify-hostname", SERVER, "--sni-hostname", SERVER, "127.0.0.1"]) as peer:
            peer.wait_for("Handshake failed")
    assert at.reasons == [Reason.NO_NAME]


@pytest.mark.peer("gnutls-cli")
def test_gnutls_cli_reads_the_refusal(world: World, root: Path) -> None:
    stranger, at = world.organisation("strangers.example").device("car54"), door(world, datagram=True)
    own = Files.save(root.parent, "car", key=stranger.credential.private_key_der(), chain=stranger.credential.chain)
    with open_to_datagrams(at) as port:
        command = ["gnutls-cli", "--udp", "-p", str(port), "--priority", DTLS, "--x509cafile", str(root)]
        shown = ["--x509keyfile", str(own.key), "--x509certfile", str(own.chain), "--verify-hostname", SERVER]
        with Peer([*command, *shown, "--sni-hostname", SERVER, "127.0.0.1"]) as peer:
            peer.wait_for("[40]: Handshake failed")
    assert at.reasons == [Reason.NOT_PERMITTED]


@pytest.mark.peer("gnutls-serv")
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("cookie", [False, True], ids=["at once", "cookie"])
def test_our_client_at_gnutls_serv(world: World, root: Path, raw: bool, cookie: bool) -> None:
    """raw: our client shows a bare key."""
    own, device, port = world.web_credential(SERVER), car(world), free_port()
    server = Files.save(root.parent, "server", key=own.private_key_der(), chain=own.chain)
    command = ["gnutls-serv", "--udp", "-p", str(port), "--echo", "--require-client-cert"]
    shown = ["--x509keyfile", str(server.key), "--x509certfile", str(server.chain)]
    asks = ["--priority", types("RAWPK" if raw else "X509", "X509"), *([] if cookie else ["--nocookie"])]
    with Peer([*command, *shown, *asks]) as peer:
        peer.wait_for("listening on")
        context = door(world).client(device, datagram=True, clear_name_to=[SERVER], raw_public_key=raw)
        with call_datagrams(context, port) as connection:
            assert connection.shim.version() == "DTLSv1.2"
            connection.send(b"reading\n")
            assert connection.receive(PATIENCE) == b"reading\n"
