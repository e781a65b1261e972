"""DTLS 1.2 with the openssl command line, both ways. It sends no extension: its certificate's dNSName is the claim."""

from pathlib import Path

import pytest

from dnsbound import Reason
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.testing import Device, World
from interop.daemon import free_port
from interop.datagram_echo import call_datagrams, open_to_datagrams
from interop.native_sockets import PATIENCE, Peer
from machines.doors import SERVER, car, door

pytestmark = pytest.mark.peer("openssl")


@pytest.fixture
def root(world: World, tmp_path: Path) -> Path:
    file = tmp_path / "root.pem"
    file.write_bytes(world.web_root_pem)
    return file


def s_client(port: int, root: Path, device: Device, *more: str) -> list[str]:
    file = root.parent / f"{device.name}.pem"
    file.write_bytes(device.credential.to_pem())
    trust = ["-CAfile", str(root), "-verify_return_error", "-verify_hostname", SERVER, "-servername", SERVER]
    return ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cert", str(file), *trust, *more]


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.RSA2048])
def test_s_client_is_admitted(world: World, root: Path, algorithm: KeyAlgorithm) -> None:
    device, at = world.organisation("cars.example").device("car54", algorithm=algorithm), door(world, datagram=True)
    with open_to_datagrams(at) as port, Peer(s_client(port, root, device, "-mtu", "600")) as peer:
        peer.wait_for(f"hello {device.name}")
        peer.say("reading\n")
        peer.wait_for("echo reading")
    assert at.reasons == ["admitted"]
    assert at.decisions[0].name_source == "san"


def test_s_client_is_refused(world: World, root: Path) -> None:
    at = door(world, datagram=True)
    stranger = world.organisation("strangers.example").device("car54")
    with open_to_datagrams(at) as port, Peer(s_client(port, root, stranger)) as peer:
        peer.wait_for("alert handshake failure")
        assert peer.process.wait(PATIENCE) != 0
    assert at.reasons == [Reason.NOT_PERMITTED]


@pytest.mark.parametrize("suite", ["AES128-CCM", "AES128-CCM8"])
def test_constrained_suites(world: World, root: Path, suite: str) -> None:
    device = car(world)
    at = door(world, datagram=Datagrams(constrained=True, danger_ccm_8=suite.endswith("8")))
    command = s_client(0, root, device, "-cipher", f"ECDHE-ECDSA-{suite}:@SECLEVEL=0")
    with (
        open_to_datagrams(at) as port,
        Peer([word.replace("127.0.0.1:0", f"127.0.0.1:{port}") for word in command]) as peer,
    ):
        peer.wait_for(f"hello {device.name}")
        peer.wait_for(f"ECDHE-ECDSA-{suite}")


@pytest.mark.parametrize("listen", [False, True], ids=["accept", "listen"])
def test_our_client_at_s_server(world: World, root: Path, listen: bool) -> None:
    """listen: it asks for a cookie first."""
    own, device, port = world.web_credential(SERVER), car(world), free_port()
    file = root.parent / "server.pem"
    file.write_bytes(own.to_pem())
    command = ["openssl", "s_server", "-dtls1_2", "-accept", str(port), "-cert", str(file), "-cert_chain", str(file)]
    asks = ["-verify", "3"]
    with Peer([*command, *asks, *(["-listen"] if listen else [])]) as peer:
        peer.wait_for("ACCEPT")
        context = door(world).client(device, datagram=True, clear_name_to=[SERVER])
        with call_datagrams(context, port) as connection:
            connection.send(b"reading from us\n")
            peer.wait_for("reading from us")
            peer.say("heard\n")
            assert connection.receive(PATIENCE) == b"heard\n"
