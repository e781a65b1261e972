"""DNSSEC chains in handshakes with OpenSSL's own library, which carries them as octets: a server's (RFC 9102), over TLS
1.3 and TLS 1.2, and a client's own.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adversary.door import GREETING
from dnsbound import AccessList, Authenticator, Context, Credential, Reason
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.errors import DnsboundError
from dnsbound.testing import World
from dnsbound.verify.carried import CarriedChains
from interop.openssl_peer.peer import Event, Files, OpensslPeer, asks_name, names_in, says_name, sends

HOST = "api.cars.example"
NAME = b"car54._device.cars.example"
PORT, PORT_OCTETS = 8443, b"\x20\xfb"
PATIENCE = 20.0
FATAL = 2
HANDSHAKE_FAILURE, DECODE_ERROR = 40, 50
DNSSEC_CHAIN, CARRIED_CHAIN = 59, 0xFF5C
VERSIONS = {"1.3": "ct", "1.2": "sh12"}
"""Where the server's answer stands."""

Save = Callable[[Credential], Files]
versions = pytest.mark.parametrize("version", VERSIONS)


def servers_chain(world: World, own: Credential) -> bytes:
    world.organisation("cars.example").publish(f"_{PORT}._tcp.{HOST}", own.tlsa(), ttl=60)
    return world.chain(f"_{PORT}._tcp.{HOST}").octets


# --- our server shows its chain


@contextmanager
def serving(context: Context) -> Iterator[int]:
    """A thread that serves one connection: greets, and waits for an octet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def serve() -> None:
            plain, _ = listener.accept()
            plain.settimeout(PATIENCE)
            with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as tls:
                tls.sendall(GREETING)
                tls.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def showing(world: World, version: str) -> Iterator[tuple[int, bytes]]:
    """The port of an optional door that has a chain, and the chain."""
    own = world.web_credential(HOST)
    chain = servers_chain(world, own)
    context = Context.server(
        own,
        authenticator=Authenticator(AccessList.allowing("api", []), world.resolver(), door="api"),
        policy="optional",
        dnssec_chain=ServedChain(host=HOST, port=PORT, source=FixedChain(chain), lifetime=7),
        profiles=("ca13",) if version == "1.3" else ("cid07",),
    )
    with serving(context) as port:
        yield port, chain


def asking(port: int, version: str, *, sni: str = HOST, question: bytes = PORT_OCTETS) -> OpensslPeer:
    asked = sends(f"ch,{VERSIONS[version]}", f"ch:0:{question.hex()}", kind=DNSSEC_CHAIN)
    limits = ["--min", "1.3"] if version == "1.3" else ["--max", "1.2"]
    return OpensslPeer("client", "--port", str(port), "--sni", sni, *limits, *asked)


@versions
def test_our_server_answers_with_its_chain(world: World, version: str) -> None:
    with showing(world, version) as (port, chain), asking(port, version) as peer:
        [(place, entry, data)] = names_in(peer.connect(), kind=DNSSEC_CHAIN)
        assert (place, entry) == ("ct" if version == "1.3" else "sh", 0)
        assert data == b"\0\x07" + chain, "a lifetime of two octets, and then records at once"
        peer.write(b"x")


@versions
@pytest.mark.parametrize(("sni", "question"), [("other.example", PORT_OCTETS), (HOST, b"\x01\xbb")])
def test_not_for_another_host_or_port(world: World, version: str, sni: str, question: bytes) -> None:
    with showing(world, version) as (port, _), asking(port, version, sni=sni, question=question) as peer:
        assert names_in(peer.connect(), kind=DNSSEC_CHAIN) == []
        peer.write(b"x")


@versions
@pytest.mark.parametrize("question", [b"", b"\x20", b"\x20\xfb\0"])
def test_a_question_of_another_form(world: World, version: str, question: bytes) -> None:
    with showing(world, version) as (port, _), asking(port, version, question=question) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, DECODE_ERROR]]


# --- our client believes a server by its chain


@contextmanager
def dialled(peer: OpensslPeer, ours: Context) -> Iterator[tuple[ssl.SSLSocket, Event]]:
    peer.tell("accept")
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    with ours.wrap_socket(plain, server_hostname=HOST) as tls:
        yield tls, peer.event("handshake")


def knowing(world: World, **options: Any) -> Context:
    """No authority vouches for the server."""
    request = ChainRequest(port=PORT, anchors=world.anchors)
    return Context.client(server_tlsa="require", dnssec_chain=request, **options)


def answering(save: Save, own: Credential, data: bytes, version: str, *, raw: bool = False) -> OpensslPeer:
    answer = sends(f"ch,{VERSIONS[version]}", f"{VERSIONS[version]}:0:{data.hex()}", kind=DNSSEC_CHAIN)
    limits = ["--min", "1.3"] if version == "1.3" else ["--max", "1.2"]
    return OpensslPeer("server", *save(own).options(raw=raw), *limits, *answer)


@versions
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_our_client_believes_a_chain(world: World, save: Save, version: str, raw: bool) -> None:
    own = world.web_credential(HOST)
    data = b"\0\0" + servers_chain(world, own)
    with answering(save, own, data, version, raw=raw) as peer, dialled(peer, knowing(world)) as (tls, event):
        assert names_in(event, kind=DNSSEC_CHAIN) == [("ch", 0, PORT_OCTETS)]
        assert event["server_type"] == (2 if raw else 0)
        assert tls.server_tlsa() == own.tlsa()  # type: ignore[attr-defined]
        peer.write(b"welcome")
        assert tls.recv(100) == b"welcome"


WRONG: dict[str, Callable[[World, Credential], bytes]] = {
    "another key's": lambda world, _own: servers_chain(world, world.web_credential("other.example")),
    "another name's": lambda world, own: (
        servers_chain(world, own) and world.chain(str(world.organisation("cars.example").device("car54").name)).octets
    ),
    "damaged": lambda world, own: (chain := servers_chain(world, own))[:-1] + bytes((chain[-1] ^ 1,)),
    "cut short": lambda world, own: servers_chain(world, own)[:-40],
    "nothing": lambda _world, _own: b"",
    "no records": lambda _world, _own: b"\xff" * 100,
}


@versions
@pytest.mark.parametrize("case", WRONG)
def test_no_other_chain(world: World, save: Save, version: str, case: str) -> None:
    own = world.web_credential(HOST)
    with answering(save, own, b"\0\0" + WRONG[case](world, own), version) as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError) as error:
            knowing(world).wrap_socket(plain, server_hostname=HOST)
        assert isinstance(error.value, DnsboundError)
        peer.event("failed")


# --- a client carries its own


@contextmanager
def offline(world: World) -> Iterator[tuple[int, list[str]]]:
    """A door that asks nobody: the port, and what it decided."""
    reasons: list[str] = []
    authenticator = Authenticator(
        AccessList.allowing("gate", ["*._device.cars.example"]),
        None,
        door="gate",
        carried_chains=CarriedChains(["*._device.cars.example"], anchors=world.anchors),
        danger_any_clock=True,
        on_decision=lambda decision: reasons.append(decision.reason.value if decision.reason else "admitted"),
    )
    context = Context.server(world.web_credential(HOST), authenticator=authenticator)
    with serving(context) as port:
        yield port, reasons


def carrying(port: int, files: Files, chain: bytes, *, raw: bool) -> OpensslPeer:
    data = ["--extension", f"{CARRIED_CHAIN}=cr,ct"]
    if chain:
        data += ["--send", f"{CARRIED_CHAIN}:ct:0:{chain.hex()}"]
    common = ["--port", str(port), "--sni", HOST, "--min", "1.3"]
    return OpensslPeer("client", *common, *files.options(raw=raw), *says_name(NAME), *data)


raws = pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])


@raws
def test_a_door_that_asks_nobody_believes_a_carried_chain(world: World, save: Save, raw: bool) -> None:
    car = world.organisation("cars.example").device("car54")
    chain = world.chain(NAME.decode()).octets
    asked = len(world.queries)
    with offline(world) as (port, reasons), carrying(port, save(car.credential), chain, raw=raw) as peer:
        assert names_in(peer.connect(), kind=CARRIED_CHAIN) == [("cr", 0, b"")]
        assert peer.read() == GREETING
        peer.write(b"x")
    assert reasons == ["admitted"]
    assert len(world.queries) == asked


@raws
@pytest.mark.parametrize("case", ["none", "another name's", "damaged", "an older key's", "no chain at all"])
def test_it_believes_nothing_else(world: World, save: Save, case: str, raw: bool) -> None:
    cars = world.organisation("cars.example")
    car = cars.device("car54")
    cars.device("car55")
    chain = world.chain(NAME.decode()).octets
    shown, reason = {
        "none": (b"", Reason.DNS_FAILED),
        "another name's": (world.chain("car55._device.cars.example").octets, Reason.BOGUS),
        "damaged": (chain[:-1] + bytes((chain[-1] ^ 1,)), Reason.BOGUS),
        "an older key's": (chain, Reason.TLSA_MISMATCH),
        "no chain at all": (b"\xff" * 300, Reason.BAD_CHAIN),
    }[case]
    if case == "an older key's":
        car.revoke()
        car = cars.device("car54")
    with offline(world) as (port, reasons), carrying(port, save(car.credential), shown, raw=raw) as peer:
        peer.connect()
        assert peer.command("read", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
    assert reasons == [reason.value]


def test_our_client_carries_its_chain_where_it_is_asked_for(world: World, save: Save) -> None:
    car = world.organisation("cars.example").device("car54")
    chain = world.chain(NAME.decode()).octets
    ours = Context.client(car.credential, carry_chain=FixedChain(chain))
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    own = [*save(world.web_credential(HOST)).options(), *asks_name()]
    with (
        OpensslPeer("server", *own, *sends("cr,ct", "cr:0:", kind=CARRIED_CHAIN)) as peer,
        dialled(peer, ours) as (_tls, event),
    ):
        assert names_in(event, kind=CARRIED_CHAIN) == [("ct", 0, chain)]
    with (
        OpensslPeer("server", *own, "--extension", f"{CARRIED_CHAIN}=cr,ct") as peer,
        dialled(peer, ours) as (_tls, event),
    ):
        assert names_in(event, kind=CARRIED_CHAIN) == [], "who does not ask is spared its octets"


@pytest.mark.parametrize("question", [b"\0", b"chain"])
def test_a_question_that_says_something(world: World, save: Save, question: bytes) -> None:
    car = world.organisation("cars.example").device("car54")
    ours = Context.client(car.credential, carry_chain=FixedChain(world.chain(NAME.decode()).octets))
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    own = [*save(world.web_credential(HOST)).options(), *asks_name()]
    with OpensslPeer("server", *own, *sends("cr,ct", f"cr:0:{question.hex()}", kind=CARRIED_CHAIN)) as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError):
            ours.wrap_socket(plain, server_hostname=HOST)
        event = peer.event("failed")
        assert event["alerts_received"] == [[FATAL, DECODE_ERROR]]
        assert event["extensions"] == []
