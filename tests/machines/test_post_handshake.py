"""Authentication after the handshake: over memory, on event loops, in threads; and where it must not be (TS-04)."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Context, Misuse, Refused, Undecided, start_server, verified_peer
from dnsbound.edge.blocking_server import blocking_server
from dnsbound.edge.current_peer import current_connection
from dnsbound.edge.late_socket import _judge
from dnsbound.errors import Reason
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError, TLSRefused
from dnsbound.tls.post_handshake import FORBIDDEN_IN, TRANSITIONS, LateEvent, LateStage, PostHandshake
from machines.doors import LOOPS, PATIENCE, SERVER, Door, car, dial, door, ending, hang_up, in_thread, run, until
from machines.shim_pairs import (
    Doorkeeper,
    Pair,
    admitted,
    client,
    credential,
    evidence,
    refusing,
    stock_client,
    stock_server,
)
from machines.shim_pairs import door as bare_door


def offering(made: Any) -> Any:
    made.post_handshake_auth = True
    return made


def late_door(**options: Any) -> Context:
    """Asks nobody in the handshake."""
    made = bare_door(**{"post_handshake": True, "policy": "optional", **options})
    made._set(verification="none")
    return made


def open_pair(near: Context, far: Context) -> Pair:
    pair = Pair.of(near, far)
    assert pair.shake() == (True, True)
    return pair


def take_answer(pair: Pair) -> None:
    """The client answers while it reads, and so does the server take it."""
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.read(1)
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.read(1)


# --- the machine


@pytest.mark.parametrize("stage", list(LateStage))
@pytest.mark.parametrize("event", list(LateEvent))
def test_every_event_in_every_stage(stage: LateStage, event: LateEvent) -> None:
    pair = open_pair(offering(client(credential())), late_door())
    late = pair.far.shim.late
    if stage is not LateStage.QUIET:
        late.ask()
        pair.far.shim._flush_beside_a_writer(None)
    if stage is LateStage.JUDGING:
        take_answer(pair)
    assert late.stage is stage
    happen: dict[LateEvent, Callable[[], object]] = {
        LateEvent.ASK: late.ask,
        LateEvent.ANSWER: lambda: take_answer(pair),
        LateEvent.SETTLE: lambda: late.settle(accept=True),
    }
    if (stage, event) in TRANSITIONS:
        happen[event]()
        assert late.stage is TRANSITIONS[stage, event]
    elif event is not LateEvent.ANSWER:
        with pytest.raises(TLSMisuse):
            happen[event]()
        assert late.stage is stage


def test_the_claim_is_that_of_a_handshake() -> None:
    own = credential()
    pair = open_pair(offering(client(own)), late_door())
    assert pair.far.verified_peer() is None
    pair.far.verify_client_post_handshake()
    with pytest.raises(TLSMisuse):
        pair.far.shim.late_claim()
    take_answer(pair)
    claim = pair.far.shim.late_claim()
    assert (claim.name, claim.presented.chain, claim.name_source) == (own.name, own.chain, "extension")
    assert claim.possession.by == "post-handshake TLS CertificateVerify"
    assert claim.protocol == "TLSv1.3"
    assert pair.far.getpeercert(binary_form=True) is None, "kept apart until the verdict"
    peer = evidence(claim)
    pair.far.shim.admit_late(claim, peer)
    assert pair.far.verified_peer() is peer
    assert pair.far.getpeercert(binary_form=True) == own.chain[0]


def test_evidence_for_another_name_admits_nobody() -> None:
    pair = open_pair(offering(client(credential())), late_door())
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    claim = pair.far.shim.late_claim()
    other = Pair.of(client(credential("truck1._device.cars.example")), bare_door())
    other.shake()
    with pytest.raises(TLSMisuse):
        pair.far.shim.admit_late(claim, evidence(other.far.pending_claim))


def test_a_raw_key_where_the_handshake_agreed_on_raw_keys() -> None:
    """Offered together with post-handshake authentication, the type is agreed on though nothing was asked for."""
    own = credential().as_raw_key()
    pair = open_pair(offering(client(own)), late_door())
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    claim = pair.far.shim.late_claim()
    assert (claim.presented.raw_public_key, claim.presented.chain) == (own.spki, ())
    pair = open_pair(offering(client(own)), late_door(raw_public_keys=False))
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    with pytest.raises(Refused) as caught:
        pair.far.shim.late_claim()
    assert caught.value.reason is Reason.NO_CREDENTIAL


def test_a_refusal_is_the_one_alert() -> None:
    pair = open_pair(offering(client(credential())), late_door())
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    pair.far.shim.refuse_late(Refused(Reason.NOT_PERMITTED))
    with pytest.raises(TLSAlertReceived) as caught:
        pair.near.read(1)
    assert caught.value.alert_received == 40
    for use in (pair.far.verified_peer, lambda: pair.far.read(1), lambda: pair.far.write(b"x")):
        with pytest.raises(ssl.SSLError) as error:
            use()
        assert error.value.reason == Reason.NOT_PERMITTED


# --- TS-04


@pytest.mark.parametrize("protocol", ["h2", "h3"])
def test_ts_04_never_in_http_2_or_3(protocol: str) -> None:
    near, far = offering(client(credential())), late_door()
    near.set_alpn_protocols([protocol, "http/1.1"])
    far.set_alpn_protocols([protocol])
    pair = open_pair(near, far)
    assert pair.near.selected_alpn_protocol() == protocol
    with pytest.raises(TLSMisuse):
        pair.far.verify_client_post_handshake()
    assert pair.to_near.pending == 0, "nothing was sent"
    assert {b"h2", b"h3"} == FORBIDDEN_IN


def test_ts_04_a_client_in_http_2_ends_the_connection() -> None:
    """Of a server that asks all the same."""
    near, far = offering(client(credential())), late_door()
    for context in (near, far):
        context.set_alpn_protocols(["h2"])
    pair = open_pair(near, far)
    pair.far.shim._connection.request_client_certificate()
    pair.far.shim._flush_beside_a_writer(None)
    with pytest.raises(TLSPeerError):
        pair.near.read(1)
    with pytest.raises(TLSAlertReceived):
        pair.far.read(1)


def test_ts_04_not_unless_the_context_says_so() -> None:
    """The door of an EAP-TLS server does not."""
    pair = admitted(offering(client(credential())), bare_door())
    with pytest.raises(TLSMisuse):
        pair.far.verify_client_post_handshake()
    assert pair.to_near.pending == 0


def test_ts_04_not_to_a_client_that_did_not_offer() -> None:
    pair = open_pair(client(credential()), late_door())
    with pytest.raises(TLSPeerError) as caught:
        pair.far.verify_client_post_handshake()
    assert caught.value.reason == "EXTENSION_NOT_RECEIVED"
    pair.far.write(b"unharmed")
    assert pair.near.read(10) == b"unharmed"


def test_ts_04_not_in_tls_1_2() -> None:
    near = offering(client())
    near.maximum_version = ssl.TLSVersion.TLSv1_2
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far._set(credential=bare_door()._settings.credential)
    far.post_handshake_auth = True
    pair = open_pair(near, far)
    with pytest.raises(TLSPeerError) as caught:
        pair.far.verify_client_post_handshake()
    assert caught.value.reason == "WRONG_SSL_VERSION"
    pair.far.write(b"unharmed")
    assert pair.near.read(10) == b"unharmed"


def test_ts_04_not_before_the_client_is_in() -> None:
    pair = Pair.of(offering(client(credential())), bare_door(post_handshake=True))
    pair.shake()
    assert pair.far.pending_claim is not None
    with pytest.raises(TLSMisuse):
        pair.far.verify_client_post_handshake()


def test_a_client_never_asks() -> None:
    pair = open_pair(offering(client()), late_door())
    with pytest.raises(TLSMisuse):
        pair.near.verify_client_post_handshake()


def test_the_member_of_the_context() -> None:
    near = client()
    assert near.post_handshake_auth is False
    near.post_handshake_auth = True
    assert near.post_handshake_auth is True
    at = late_door()
    with pytest.raises(TLSMisuse):
        at.post_handshake_auth = True
    ordinary = Context(ssl.PROTOCOL_TLS_SERVER)
    ordinary.post_handshake_auth = True
    assert ordinary.post_handshake_auth


# --- the standard library's TLS at the other end


def test_a_server_without_a_door_verifies_as_it_is_told(tmp_path: Path) -> None:
    """As with Python's ssl: the certificate is asked for late alone, and verified by trust anchors."""
    own = credential()
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far._set(credential=bare_door()._settings.credential)
    far.post_handshake_auth = True
    far.verify_mode = ssl.CERT_REQUIRED
    far.load_verify_locations(cadata=own.chain[0])
    near = offering(stock_client())
    file = tmp_path / "client.pem"
    file.write_bytes(own.to_pem())
    near.load_cert_chain(file)
    pair = open_pair(near, far)  # type: ignore[arg-type]
    assert pair.far.getpeercert(binary_form=True) is None
    for _ in range(2):
        pair.far.verify_client_post_handshake()
        take_answer(pair)
        assert pair.far.getpeercert(binary_form=True) == own.chain[0]


def test_the_standard_librarys_server_asks_our_client(tmp_path: Path) -> None:
    own = credential()
    far = offering(stock_server(tmp_path))
    far.verify_mode = ssl.CERT_REQUIRED
    far.load_verify_locations(cadata=own.chain[0])
    pair = open_pair(offering(client(own)), far)
    assert pair.far.getpeercert(binary_form=True) is None
    pair.far.verify_client_post_handshake()
    pair.far.write(b"and this")
    assert pair.near.read(10) == b"and this"
    pair.near.write(b"well")
    assert pair.far.read(10) == b"well"
    assert pair.far.getpeercert(binary_form=True) == own.chain[0]


def test_the_standard_librarys_client_answers_our_door(tmp_path: Path) -> None:
    own = credential()
    near = offering(stock_client())
    file = tmp_path / "client.pem"
    file.write_bytes(own.to_pem())
    near.load_cert_chain(file)
    pair = open_pair(near, late_door())  # type: ignore[arg-type]
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    claim = pair.far.shim.late_claim()
    assert (claim.name, claim.name_source) == (own.name, "san")


# --- on event loops


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **options: Any) -> None:
    """One line is asked for; a line that says `who` is answered with the name, asked for late."""
    seen: list[Any] = options.pop("seen", [])
    try:
        while line := await reader.readline():
            if line == b"who\n":
                peer = await writer.transport.authenticate_client(**options)  # type: ignore[attr-defined]
                assert peer is verified_peer() or peer is None
                seen.append(peer)
                assert current_connection() is writer.transport
            known = verified_peer()
            writer.write(f"{known.name if known else 'nobody'}\n".encode())
    except (OSError, Refused, Undecided, Misuse) as error:
        seen.append(error)
        if not writer.transport.is_closing():
            writer.write(b"cannot\n")
            await asyncio.sleep(0)
    finally:
        writer.close()


def served(
    kind: str, at: Door, talk: Callable[[int], Any], *, late: dict[str, Any] | None = None, handler: Any = greet
) -> list[Any]:
    """What the server saw of each request, and its errors."""
    seen: list[Any] = []

    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await handler(reader, writer, seen=seen, **(late or {}))

        server = await start_server(handle, "127.0.0.1", 0, context=at.context)
        async with ending(server):
            await talk(server.sockets[0].getsockname()[1])
            await until(lambda: len(at.authenticator.sessions) == 0)
        await at.resolver.aclose()

    run(kind, main)
    return seen


async def ask(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, line: bytes) -> bytes:
    writer.write(line + b"\n")
    return await reader.readline()


@pytest.mark.parametrize("kind", LOOPS)
def test_a_client_is_asked_in_the_middle(kind: str, world: World) -> None:
    device, at = car(world), door(world, policy="optional", ask="always", post_handshake=True)
    near = offering(at.client(device, request_signal=None))
    at.context._set(verification="none")  # nobody is asked in the handshake

    async def talk(port: int) -> None:
        reader, writer = await dial(port, near)
        assert await ask(writer, reader, b"hello") == b"nobody\n"
        assert await ask(writer, reader, b"who") == f"{device.name}\n".encode()
        assert [str(session.peer.name) for session in at.authenticator.sessions] == [str(device.name)]
        assert await ask(writer, reader, b"and now") == f"{device.name}\n".encode()
        assert await ask(writer, reader, b"who") == f"{device.name}\n".encode()
        assert len(at.authenticator.sessions) == 1, "one account for one name"
        await hang_up(writer)

    [first, second] = served(kind, at, talk)
    assert str(first.name) == str(second.name) == str(device.name)
    assert at.reasons == ["admitted"] * 2
    assert at.decisions[0].possession == "proved by post-handshake TLS CertificateVerify"


@pytest.fixture
def quiet(world: World) -> Callable[..., Door]:
    """A door that asks nobody in the handshake."""

    def make(**options: Any) -> Door:
        at = door(world, policy="optional", post_handshake=True, **options)
        at.context._set(verification="none")
        return at

    return make


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("stranger", Reason.NOT_PERMITTED),
        ("revoked", Reason.NO_TLSA),
        ("bogus", Reason.BOGUS),
    ],
)
def test_who_is_refused_is_cut_with_the_generic_alert(
    kind: str, what: str, reason: Reason, world: World, quiet: Callable[..., Door]
) -> None:
    at = quiet()
    device = world.organisation("strangers.example").device("x") if what == "stranger" else car(world)
    if what == "revoked":
        device.revoke()
    elif what == "bogus":
        world.fault(str(device.name), Fault.BOGUS)

    async def talk(port: int) -> None:
        reader, writer = await dial(port, offering(at.client(device)))
        writer.write(b"who\n")
        with pytest.raises(TLSAlertReceived) as caught:
            await reader.readline()
        assert caught.value.alert_received == 40
        await hang_up(writer)

    [error] = served(kind, at, talk)
    assert isinstance(error, ssl.SSLError)
    assert error.reason is reason
    assert at.reasons == [reason]


@pytest.mark.parametrize("required", [None, False, True])
def test_a_client_that_declines(required: bool | None, quiet: Callable[..., Door]) -> None:
    at = quiet()

    async def talk(port: int) -> None:
        reader, writer = await dial(port, offering(at.client(None)))
        if required:
            writer.write(b"who\n")
            with pytest.raises(TLSAlertReceived) as caught:
                await reader.readline()
            assert caught.value.alert_received == 40
        else:
            for _ in range(3):
                assert await ask(writer, reader, b"who") == b"nobody\n"
        await hang_up(writer)

    seen = served("asyncio", at, talk, late={} if required is None else {"required": required})
    if required:
        assert seen[0].reason is Reason.NO_CREDENTIAL
        assert at.reasons == [Reason.NO_CREDENTIAL]
    else:
        assert seen == [None] * 3
        assert at.reasons == []


def test_a_decline_leaves_the_name_of_the_handshake(world: World, tmp_path: Path) -> None:
    """A door that requires a name, and a client that answers once and then has nothing more to show."""
    device, at = car(world), door(world, post_handshake=True)
    near = at.stock_client(device, tmp_path)
    assert not near.post_handshake_auth

    async def talk(port: int) -> None:
        reader, writer = await dial(port, near)
        assert await ask(writer, reader, b"who") == b"cannot\n"
        await hang_up(writer)

    [error] = served("asyncio", at, talk)
    assert error.reason == "EXTENSION_NOT_RECEIVED"


@pytest.mark.parametrize("kind", LOOPS)
def test_another_name_replaces_the_first(kind: str, world: World) -> None:
    """A driver takes over the car's connection: whoever holds the second key is who the client is from then on."""
    device, driver, at = car(world), car(world, "driver"), door(world, post_handshake=True)
    near = offering(at.client(device))

    async def talk(port: int) -> None:
        reader, writer = await dial(port, near)
        assert await ask(writer, reader, b"hello") == f"{device.name}\n".encode()
        assert await ask(writer, reader, b"who") == f"{device.name}\n".encode()
        assert driver.name != device.name
        assert device.revoke()
        assert await reader.read() == b"", "the late identity is a live session as well"
        await hang_up(writer)

    served(kind, at, talk)
    assert at.reasons[:2] == ["admitted", "admitted"]
    assert at.reasons[-1] == Reason.NO_TLSA


def test_a_client_that_does_not_answer(quiet: Callable[..., Door]) -> None:
    """It reads nothing, so it sees no request; what it sends is kept for later, within limits."""
    at = quiet()

    async def talk(port: int) -> None:
        def silent() -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
                tls = offering(at.client(None)).wrap_socket(plain, server_hostname=SERVER)
                tls.sendall(b"who\n")
                for _ in range(100):
                    tls.sendall(b"more\n")
                late.wait(PATIENCE)
                with pytest.raises(TLSAlertReceived) as caught:
                    tls.recv(1000)
                assert caught.value.alert_received == 40
                tls.close()

        late = threading.Event()
        asyncio.get_running_loop().call_later(1.0, late.set)
        await asyncio.to_thread(silent)

    [error] = served("asyncio", at, talk, late={"seconds": 0.3})
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_application_that_paused_reading_gets_its_answer(
    kind: str, when: str, world: World, quiet: Callable[..., Door]
) -> None:
    """Data that the client sent before its answer is delivered later, in order, and not before reading goes on."""
    device, at = car(world), quiet()
    received: list[bytes] = []

    async def paused(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Any]) -> None:
        assert await reader.readline() == b"who\n"
        transport: Any = writer.transport
        if when == "before":
            transport.pause_reading()
            writer.write(b"go on\n")
            await asyncio.sleep(0.1)
            before = len(reader._buffer)  # type: ignore[attr-defined]
            seen.append(await transport.authenticate_client())
        else:
            asking = asyncio.get_running_loop().create_task(transport.authenticate_client())
            await asyncio.sleep(0)
            transport.pause_reading()
            before = len(reader._buffer)  # type: ignore[attr-defined]
            writer.write(b"go on\n")
            seen.append(await asking)
        assert len(reader._buffer) == before  # type: ignore[attr-defined]
        assert not transport.is_reading()
        transport.resume_reading()
        received.extend([await reader.readline() for _ in range(50)])
        writer.write(b"done\n")
        await reader.read()
        writer.close()

    async def talk(port: int) -> None:
        reader, writer = await dial(port, offering(at.client(device)))
        writer.write(b"who\n")
        assert await reader.readline() == b"go on\n"
        for number in range(50):
            writer.write(b"line %d\n" % number)
        assert await reader.readline() == b"done\n"
        await hang_up(writer)

    [peer] = served(kind, at, talk, handler=paused)
    assert str(peer.name) == str(device.name)
    assert received == [b"line %d\n" % number for number in range(50)]


def test_several_at_once_wait_for_each_other(world: World, quiet: Callable[..., Door]) -> None:
    device, at = car(world), quiet()

    async def several(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Any]) -> None:
        await reader.readline()
        transport: Any = writer.transport
        seen.extend(await asyncio.gather(*(transport.authenticate_client() for _ in range(3))))
        writer.write(b"done\n")
        await reader.read()
        writer.close()

    async def talk(port: int) -> None:
        reader, writer = await dial(port, offering(at.client(device)))
        assert await ask(writer, reader, b"hello") == b"done\n"
        await hang_up(writer)

    peers = served("asyncio", at, talk, handler=several)
    assert {str(peer.name) for peer in peers} == {str(device.name)}
    assert len(at.reasons) == 3


def test_who_waited_behind_a_refused_client(world: World, quiet: Callable[..., Door]) -> None:
    at = quiet()

    async def several(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Any]) -> None:
        await reader.readline()
        transport: Any = writer.transport
        calls = (transport.authenticate_client() for _ in range(3))
        seen.extend(await asyncio.gather(*calls, return_exceptions=True))
        with pytest.raises(ConnectionResetError):
            await transport.authenticate_client()
        writer.close()

    async def talk(port: int) -> None:
        stranger = world.organisation("strangers.example").device("x")
        reader, writer = await dial(port, offering(at.client(stranger)))
        writer.write(b"hello\n")
        with pytest.raises(TLSAlertReceived):
            await reader.readline()
        await hang_up(writer)

    first, *others = served("asyncio", at, talk, handler=several)
    assert first.reason is Reason.NOT_PERMITTED
    assert all(isinstance(other, ConnectionResetError) for other in others)
    assert at.reasons == [Reason.NOT_PERMITTED]


def test_a_call_that_was_cancelled_leaves_nothing_undone(world: World, quiet: Callable[..., Door]) -> None:
    """Its request is open, or its answer is here: the next call goes on from there."""
    device, at = car(world), quiet()
    world.fault(str(device.name), Fault.SLOW, seconds=0.5)

    async def cancelling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Any]) -> None:
        await reader.readline()
        transport: Any = writer.transport
        for seconds in (0.0, 0.2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(transport.authenticate_client(), seconds or 0.001)
        seen.append(await transport.authenticate_client())
        writer.write(b"done\n")
        await reader.read()
        writer.close()

    async def talk(port: int) -> None:
        reader, writer = await dial(port, offering(at.client(device)))
        assert await ask(writer, reader, b"hello") == b"done\n"
        await hang_up(writer)

    [peer] = served("asyncio", at, talk, handler=cancelling)
    assert str(peer.name) == str(device.name)


def test_a_client_that_goes_away_instead(quiet: Callable[..., Door]) -> None:
    at = quiet()

    async def talk(port: int) -> None:
        def leave() -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
                tls = offering(at.client(None)).wrap_socket(plain, server_hostname=SERVER)
                tls.sendall(b"who\n")
                tls.close()

        await asyncio.to_thread(leave)

    [error] = served("asyncio", at, talk)
    assert isinstance(error, OSError)
    assert not isinstance(error, TimeoutError)


# --- in threads


@contextmanager
def threads(at: Door, serve: Callable[[Any], None]) -> Iterator[int]:
    with in_thread(blocking_server(serve, "127.0.0.1", 0, context=at.context)) as port:
        yield port
    at.resolver.close()


def visit(port: int, context: Context) -> Any:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE), server_hostname=SERVER)


def test_a_blocking_server_asks(world: World, quiet: Callable[..., Door]) -> None:
    device, at = car(world), quiet()
    seen: list[Any] = []

    def serve(connection: Any) -> None:
        assert connection.recv(2) == b"hi"
        seen.append(verified_peer())
        peer = connection.authenticate_client()
        seen.append(peer)
        assert verified_peer() is connection.verified_peer() is peer
        assert connection.recv(4) == b"more", "sent before the answer, and kept"
        connection.sendall(b"done")
        seen.append(connection.recv(10))

    with threads(at, serve) as port:
        tls = visit(port, offering(at.client(device)))
        tls.sendall(b"hi")
        tls.sendall(b"more")
        assert tls.recv(10) == b"done"
        assert device.revoke()
        assert tls.recv(10) == b"", "cut by the sweep of the server"
        tls.close()
    assert seen[0] is None
    assert str(seen[1].name) == str(device.name)
    assert at.reasons[0] == "admitted"


@pytest.mark.parametrize("what", ["stranger", "silent", "declines"])
def test_a_blocking_server_refuses(what: str, world: World, quiet: Callable[..., Door]) -> None:
    at = quiet()
    device = None if what == "declines" else world.organisation("strangers.example").device("x")
    seen: list[BaseException] = []

    def serve(connection: Any) -> None:
        connection.recv(2)
        try:
            connection.authenticate_client(required=True, seconds=0.3 if what == "silent" else None)
        except OSError as error:
            seen.append(error)
            raise

    with threads(at, serve) as port:
        tls = visit(port, offering(at.client(device)))
        tls.sendall(b"hi")
        if what == "silent":
            threading.Event().wait(0.6)
        with pytest.raises(TLSAlertReceived) as caught:
            tls.recv(10)
        assert caught.value.alert_received == 40
        tls.close()
    [error] = seen
    if what == "silent":
        assert isinstance(error, TimeoutError)
    else:
        expected = Reason.NOT_PERMITTED if what == "stranger" else Reason.NO_CREDENTIAL
        assert getattr(error, "reason", None) is expected
        assert at.reasons == [expected]


@pytest.mark.parametrize("yes", [True, False], ids=["yes", "no"])
def test_what_cuts_a_connection_during_a_late_judgement_is_what_its_thread_is_told(yes: bool) -> None:
    """The sweep ends the name of the handshake while the next one is looked up."""
    shims: list[Any] = []

    def judge(claim: Any) -> Any:
        shims[0].cut(Refused(Reason.NO_TLSA))
        return evidence(claim) if yes else refusing(Reason.NOT_PERMITTED)(claim)

    pair = open_pair(offering(client(credential())), late_door(keeper=Doorkeeper(judge)))
    shims.append(pair.far.shim)
    pair.far.verify_client_post_handshake()
    take_answer(pair)
    left, right = socket.socketpair()
    with left, right, pytest.raises(TLSRefused) as caught:
        _judge(left, pair.far.shim, required=True)  # type: ignore[arg-type] # the socket is not used
    assert caught.value.reason is Reason.NO_TLSA
    assert pair.far.shim.authentication == "refused"


def test_a_verdict_does_not_stall_an_event_loop() -> None:
    pair = open_pair(offering(client(credential())), late_door(keeper=Doorkeeper()))
    assert isinstance(pair.far.shim.late, PostHandshake)
    left, right = socket.socketpair()

    async def main() -> None:
        with pytest.raises(TLSMisuse):
            far.authenticate_client()

    with left, late_door().wrap_socket(right, server_side=True, do_handshake_on_connect=False) as far:
        asyncio.run(main())
