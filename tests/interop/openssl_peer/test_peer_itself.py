"""The peer's program against itself, so that a failure elsewhere is known to be elsewhere."""

from collections.abc import Callable

import pytest

from dnsbound import Credential
from dnsbound.testing import World
from interop.openssl_peer.peer import Files, OpensslPeer, asks_name, names_in, says_name, sends

NAME = b"car54._device.cars.example"
X509, RAW = 0, 2
VERSIONS = {"1.2": (False, 0x0303), "1.3": (False, 0x0304), "datagram": (True, 0xFEFD)}
"""Whether it is over datagrams, and the number of the version on the wire."""

Save = Callable[[Credential], Files]


def talk(client: OpensslPeer, server: OpensslPeer) -> None:
    client.write(b"question")
    assert server.read() == b"question"
    server.write(b"answer")
    assert client.read() == b"answer"


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("version", VERSIONS)
def test_names_in_both_places(world: World, save: Save, version: str, raw: bool) -> None:
    datagram, number = VERSIONS[version]
    old = version != "1.3"
    limits = [] if datagram else ["--min", version, "--max", version]
    form = {"profile": "cid07" if old else "ca13", "version": "1.2" if old else "1.3"}
    device = world.organisation("cars.example").device("car54")
    peer_types = ["--peer", "0200"] if raw else []
    asking = [*save(world.web_credential("api.cars.example")).options(), *asks_name(**form), *peer_types]
    with OpensslPeer("server", *asking, *limits, "--ask", "must", datagram=datagram) as server:
        saying = [*save(device.credential).options(raw=raw), *says_name(NAME, **form), *limits]
        with OpensslPeer("client", *saying, "--port", str(server.port), datagram=datagram) as client:
            server.tell("accept")
            theirs, ours = client.connect(), server.event("handshake")
            assert theirs["version"] == ours["version"] == number
            assert ours["client_type"] == (RAW if raw else X509)
            assert names_in(ours) == [("ch" if old else "ct", 0, bytes([len(NAME)]) + NAME)]
            assert names_in(theirs) == [("sh" if old else "cr", 0, b"\0")]
            assert (ours["raw_key"] == device.credential.presented.spki.hex()) == raw
            talk(client, server)
            assert client.export(b"EXPORTER-interop", b"", 32) == server.export(b"EXPORTER-interop", b"", 32)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_resumption(world: World, save: Save, version: str) -> None:
    limits = ["--min", version, "--max", version]
    with (
        OpensslPeer("server", *save(world.web_credential("api.cars.example")).options(), *limits) as server,
        OpensslPeer("client", "--port", str(server.port), *limits) as client,
    ):
        server.tell("accept")
        client.connect()
        server.event("handshake")
        talk(client, server)
        server.tell("accept")
        assert client.connect(client.session())["resumed"] == 1
        assert server.event("handshake")["resumed"] == 1


def test_asking_later(world: World, save: Save) -> None:
    device = world.organisation("cars.example").device("car54")
    asking = [*save(world.web_credential("api.cars.example")).options(), *asks_name(), "--ask", "later"]
    with OpensslPeer("server", *asking) as server:
        saying = [*save(device.credential).options(), *says_name(NAME), "--post-handshake", "yes"]
        with OpensslPeer("client", *saying, "--port", str(server.port)) as client:
            server.tell("accept")
            assert not client.connect()["asked_for_certificate"]
            assert server.event("handshake")["chain"] == []
            server.tell("ask")
            client.tell("read")
            event = server.event("handshake")
            assert event["chain"] == [device.credential.chain[0].hex()]
            assert names_in(event) == [("ct", 0, bytes([len(NAME)]) + NAME)]
            server.write(b"answer")
            assert client.event("data")["octets"] == b"answer".hex()


def test_datagrams_over_a_small_link(world: World, save: Save) -> None:
    with (
        OpensslPeer(
            "server", *save(world.web_credential("api.cars.example")).options(), "--mtu", "256", datagram=True
        ) as server,
        OpensslPeer("client", "--port", str(server.port), "--mtu", "256", datagram=True) as client,
    ):
        for _ in range(2):
            server.tell("accept")
            client.connect()
            server.event("handshake")
            talk(client, server)
            client.close()
            assert server.command("read", expected="failed")["kind"] == "closed"
            server.close()  # which gives the socket back: it was this client's alone


def test_renegotiation_is_attempted(world: World, save: Save) -> None:
    """Refused by default, as by ours: what matters is that the attempt is made and told."""
    limits = ["--max", "1.2"]
    with (
        OpensslPeer("server", *save(world.web_credential("api.cars.example")).options(), *limits) as server,
        OpensslPeer("client", "--port", str(server.port), *limits) as client,
    ):
        server.tell("accept")
        client.connect()
        server.event("handshake")
        client.tell("renegotiate")
        server.tell("read")
        assert client.event("failed")["alerts_received"]


def test_a_word_it_does_not_know_ends_it(world: World) -> None:
    with pytest.raises(AssertionError, match="no such option"):
        OpensslPeer("client", "--nonsense", "1")
    with OpensslPeer("client") as client:
        client.tell("nonsense")
        with pytest.raises(AssertionError, match="no such command"):
            client.event()
        assert client.process.wait(10) == 2


def test_a_message_sent_nowhere_is_refused(world: World) -> None:
    with pytest.raises(AssertionError, match="no place"):
        OpensslPeer("client", *sends("ct", "nowhere:0:00"))
