"""Late authentication over real connections: TLS 1.3 and 1.2, in memory and on event loops, and its live sessions."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Context, Misuse
from dnsbound.credential.credential import Credential
from dnsbound.edge import current_peer
from dnsbound.edge.exported_authentication import ExportedAuthentication, answer_request, decline_request
from dnsbound.edge.session_sweep import settle
from dnsbound.errors import Malformed, PeerError, Reason, Refused, Undecided
from dnsbound.testing import Fault, World
from dnsbound.tls.authenticator_contexts import ReusedContext
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.exported_authenticator import ContextForm
from machines.doors import LOOPS, SERVER, car, dial, door, ending, hang_up, run, serving, until
from machines.shim_pairs import Doorkeeper, Pair, client, credential, evidence, refusing
from machines.shim_pairs import door as bare_door
from unit.authenticators import NAME

TLS12 = ssl.TLSVersion.TLSv1_2


def ordinary_server() -> Context:
    """No door: an SSLContext as any server has one."""
    made = Context(ssl.PROTOCOL_TLS_SERVER)
    made._set(credential=bare_door()._settings.credential)
    return made


def pair(version: ssl.TLSVersion) -> Pair:
    near = client()
    near.maximum_version = version
    both = Pair.of(near, ordinary_server())
    assert both.shake() == (True, True)
    return both


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def both(request: pytest.FixtureRequest) -> Pair:
    return pair(request.param)


def late(both: Pair, keeper: Doorkeeper | None = None, **options: Any) -> ExportedAuthentication:
    return ExportedAuthentication(both.far, keeper or Doorkeeper(), **options)


def verified(at: ExportedAuthentication, answer: bytes) -> Any:
    return asyncio.run(at.verify(answer))


def test_a_client_says_who_it_is_late(both: Pair) -> None:
    keeper, own = Doorkeeper(), credential()
    at = late(both, keeper)
    peer = verified(at, answer_request(both.near, at.request(), own))
    assert str(peer.name) == NAME.decode()
    [claim] = keeper.asked
    assert claim.presented.chain == own.chain
    assert claim.name_source == "extension"
    assert claim.possession.by == "exported authenticator"
    assert claim.door == keeper.door


@pytest.mark.parametrize("form", list(ContextForm))
def test_both_forms_of_the_exporters_context(both: Pair, form: ContextForm) -> None:
    """RFC 5705 tells no context from an empty one in TLS 1.2; in TLS 1.3 they are the same."""
    at = late(both, context_form=form)
    own = credential()
    assert verified(at, answer_request(both.near, at.request(), own, context_form=form))
    (other,) = set(ContextForm) - {form}
    answer = answer_request(both.near, at.request(), own, context_form=other)
    if both.near.version() == "TLSv1.3":
        assert verified(at, answer)
        return
    with pytest.raises(Refused) as caught:
        verified(at, answer)
    assert caught.value.reason is Reason.NO_POSSESSION


@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"]
)
def test_the_hash_is_that_of_the_suites_prf(suite: str) -> None:
    near = client()
    near.maximum_version = TLS12
    near.set_ciphers(suite)
    far = ordinary_server()
    far.set_ciphers(suite)
    joined = Pair.of(near, far)
    joined.shake()
    assert joined.near.cipher()[0] == suite
    digest = joined.near.shim.authenticator_keys("client").digest
    assert digest == ("sha384" if suite.endswith("SHA384") else "sha256")
    assert joined.far.shim.authenticator_keys("client").digest == digest
    at = late(joined)
    assert verified(at, answer_request(joined.near, at.request(), credential()))


def test_a_client_may_decline(both: Pair) -> None:
    keeper = Doorkeeper()
    at = late(both, keeper)
    first, second = at.request(), at.request()
    answer = decline_request(both.near, second)
    with pytest.raises(Refused) as caught:
        verified(at, answer)
    assert caught.value.reason is Reason.NO_CREDENTIAL
    with pytest.raises(Refused) as caught:
        verified(at, answer)
    assert caught.value.reason is Reason.NO_POSSESSION, "its request was used up"
    assert verified(at, answer_request(both.near, first, credential()))
    assert keeper.turned == [(Reason.NO_CREDENTIAL, ""), (Reason.NO_POSSESSION, "")]


def test_ea_03_every_request_has_a_context_of_its_own(both: Pair) -> None:
    at, again = late(both), late(both)
    requests = {at.request() for _ in range(20)} | {again.request() for _ in range(20)}
    assert len(requests) == 40
    octets = requests.pop()
    answer_request(both.near, octets, credential())
    with pytest.raises(ReusedContext):
        answer_request(both.near, octets, credential())
    with pytest.raises(ReusedContext):
        decline_request(both.near, octets)


def test_ea_06_nothing_before_the_clients_finished() -> None:
    """Nor, at a door, before the client is in."""
    joined = Pair.of(client(credential()), bare_door())
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(joined.far)
    with pytest.raises(ssl.SSLWantReadError):
        joined.near.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        joined.far.do_handshake()
    joined.near.do_handshake()
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(joined.far)
    with pytest.raises(ssl.SSLWantReadError):
        joined.far.do_handshake()
    assert joined.far.pending_claim is not None
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(joined.far)
    joined.admit()
    at = ExportedAuthentication(joined.far)
    assert verified(at, answer_request(joined.near, at.request(), credential()))


def test_ea_02_a_connection_without_the_extended_master_secret_is_never_made() -> None:
    """The engine refuses such a handshake, and the exporter's own check is tested with the formulas."""
    joined = pair(TLS12)
    assert joined.far.shim._connection.extended_master_secret()
    assert joined.near.shim._connection.extended_master_secret()
    joined = pair(ssl.TLSVersion.TLSv1_3)
    assert not joined.far.shim._connection.extended_master_secret()


def test_ea_08_an_authenticator_is_taken_once(both: Pair) -> None:
    keeper = Doorkeeper()
    at = late(both, keeper)
    answer = answer_request(both.near, at.request(), credential())
    assert verified(at, answer)
    with pytest.raises(Refused) as caught:
        verified(at, answer)
    assert caught.value.reason is Reason.NO_POSSESSION
    assert len(keeper.asked) == 1


def test_ea_09_a_raw_key_cannot_answer(both: Pair) -> None:
    at = late(both)
    with pytest.raises(TLSMisuse):
        answer_request(both.near, at.request(), credential().as_raw_key())


def test_another_connections_answer_proves_nothing(both: Pair) -> None:
    version = ssl.TLSVersion.TLSv1_2 if both.near.version() == "TLSv1.2" else ssl.TLSVersion.TLSv1_3
    elsewhere = pair(version)
    keeper = Doorkeeper()
    at = late(both, keeper)
    with pytest.raises(Refused) as caught:
        verified(at, answer_request(elsewhere.near, at.request(), credential()))
    assert caught.value.reason is Reason.NO_POSSESSION
    assert keeper.asked == []


def test_the_claim_follows_the_rules_of_the_door(both: Pair) -> None:
    own = credential()
    nameless = Credential(None, own.private_key, own.chain)
    at = late(both)
    assert verified(at, answer_request(both.near, at.request(), nameless)).name_source == "san"
    strict = late(both, claim_from=["extension"])
    with pytest.raises(Refused) as caught:
        verified(strict, answer_request(both.near, strict.request(), nameless))
    assert caught.value.reason is Reason.NO_NAME
    at = late(both)
    other = verified(at, answer_request(both.near, at.request(), own, name="truck1._device.cars.example"))
    assert str(other.name) == "truck1._device.cars.example"
    far = late(both, clientid=0xFF77)
    assert verified(far, answer_request(both.near, far.request(), own)).name_source == "san"


def test_the_doors_own_rules_hold_unless_told_otherwise() -> None:
    """Where names come from, and the code point."""
    near, far = client(credential(), clientid=0xFF77), bare_door(clientid=0xFF77, claim_from=["extension"])
    joined = Pair.of(near, far)
    joined.shake()
    joined.admit()
    own = credential()
    at = ExportedAuthentication(joined.far)
    assert (0xFF77).to_bytes(2, "big") + b"\x00\x01\x00" in at.request()
    assert verified(at, answer_request(joined.near, at.request(), own)).name_source == "extension"
    nameless = Credential(None, own.private_key, own.chain)
    with pytest.raises(Refused) as caught:
        verified(at, answer_request(joined.near, at.request(), nameless))
    assert caught.value.reason is Reason.NO_NAME


def test_evidence_for_another_name_is_nobodys(both: Pair) -> None:
    stranger = Pair.of(client(credential("truck1._device.cars.example")), bare_door())
    stranger.shake()
    claim = stranger.far.pending_claim
    at = late(both, Doorkeeper(judge=lambda _: evidence(claim)))
    request = at.request()
    with pytest.raises(TLSMisuse):
        verified(at, answer_request(both.near, request, credential()))
    assert at._identities == {}


def test_a_refusal_leaves_the_connection_alone(both: Pair) -> None:
    at = late(both, Doorkeeper(refusing(Reason.NOT_PERMITTED)))
    with pytest.raises(Refused) as caught:
        verified(at, answer_request(both.near, at.request(), credential()))
    assert caught.value.reason is Reason.NOT_PERMITTED
    both.near.write(b"still here")
    assert both.far.read(100) == b"still here"


def test_roles_and_strangers(both: Pair, tmp_path: Path) -> None:
    at = late(both)
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(both.near, Doorkeeper())
    with pytest.raises(TLSMisuse):
        answer_request(both.far, at.request(), credential())
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(ssl.create_default_context(), Doorkeeper())
    with pytest.raises(TLSMisuse):
        ExportedAuthentication(both.far)  # a server without a door names its authenticator
    with pytest.raises(Malformed):
        answer_request(both.near, b"\x00", credential())
    with pytest.raises(Malformed):
        verified(at, b"\x00")


def test_without_an_event_loop(both: Pair) -> None:
    at = late(both)
    assert at.verify_blocking(answer_request(both.near, at.request(), credential()))


# --- on event loops, with World's DNS


class Late(asyncio.Protocol):
    """Sends a request at once, takes the answer, and says who came."""

    def __init__(self, at: Any, options: Any = None) -> None:
        self.at = at
        self.options = options or {}
        self.received = b""
        self.seen: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        made.append(self)
        self.late = ExportedAuthentication(transport, **self.options)
        self.ask()

    def ask(self) -> None:
        request = self.late.request()
        self.transport.write(len(request).to_bytes(2, "big") + request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) >= 2 and len(self.received) >= 2 + int.from_bytes(self.received[:2], "big"):
            size = int.from_bytes(self.received[:2], "big")
            answer, self.received = self.received[2 : 2 + size], self.received[2 + size :]
            self.task = asyncio.get_running_loop().create_task(self.judge(answer))

    async def judge(self, answer: bytes) -> None:
        try:
            peer = await self.late.verify(answer)
            self.seen = peer
            self.transport.write(f"hello {peer.name}\n".encode())
        except (Refused, Undecided, PeerError) as error:
            self.seen = error
            self.transport.write(b"no\n")


made: list[Late] = []


async def asked(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def send(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(len(answer).to_bytes(2, "big") + answer)


@pytest.mark.parametrize("kind", LOOPS)
def test_through_an_optional_door(kind: str, world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def main() -> None:
        async with serving(lambda: Late(at), at) as port:
            reader, writer = await dial(port, at.client(None))
            send(writer, answer_request(writer, await asked(reader), device.credential))
            assert await reader.readline() == f"hello {device.name}\n".encode()
            await hang_up(writer)
            await until(lambda: len(at.authenticator.sessions) == 0)

    run(kind, main)
    assert at.reasons == ["admitted"]
    assert at.decisions[0].possession == "proved by exported authenticator"
    assert at.decisions[0].source == "127.0.0.1"


class Tardy(Late):
    """Judges the answer once its connection is gone."""

    def __init__(self, at: Any) -> None:
        super().__init__(at)
        self.gone = asyncio.Event()

    def connection_lost(self, _error: Exception | None) -> None:
        self.gone.set()

    async def judge(self, answer: bytes) -> None:
        await self.gone.wait()
        await super().judge(answer)


@pytest.mark.parametrize("kind", LOOPS)
def test_an_answer_whose_connection_is_gone_proves_nothing_to_anybody(kind: str, world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def main() -> None:
        async with serving(lambda: Tardy(at), at) as port:
            reader, writer = await dial(port, at.client(None))
            send(writer, answer_request(writer, await asked(reader), device.credential))
            await hang_up(writer)
            await until(lambda: bool(made) and made[-1].seen is not None)
            assert isinstance(made[-1].seen, PeerError)
            assert len(at.authenticator.sessions) == 0

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
def test_beside_the_identity_of_the_handshake(kind: str, world: World) -> None:
    """A car at the door, then its driver: two names, two sessions, one connection."""
    device, driver, at = car(world), car(world, "driver"), door(world)

    async def main() -> None:
        async with serving(lambda: Late(at), at) as port:
            reader, writer = await dial(port, at.client(device))
            send(writer, answer_request(writer, await asked(reader), driver.credential))
            assert await reader.readline() == f"hello {driver.name}\n".encode()
            served = made[-1].transport
            assert str(served.get_extra_info("verified_peer").name) == str(device.name)
            assert {str(session.peer.name) for session in at.authenticator.sessions} == {
                str(device.name),
                str(driver.name),
            }
            await hang_up(writer)
            await until(lambda: len(at.authenticator.sessions) == 0)

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_removed_record_withdraws_the_identity_and_cuts_the_connection(kind: str, world: World) -> None:
    device, driver, at = car(world), car(world, "driver"), door(world)

    async def main() -> None:
        async with serving(lambda: Late(at), at) as port:
            reader, writer = await dial(port, at.client(device))
            request = await asked(reader)
            send(writer, answer_request(writer, request, driver.credential))
            assert await reader.readline() == f"hello {driver.name}\n".encode()
            [holder] = [identity.holder for identity in made[-1].late._identities.values()]
            assert holder.current() is not None
            assert driver.revoke()
            assert await reader.read() == b""
            with pytest.raises(Refused) as caught:
                holder.current()
            assert caught.value.reason is Reason.NO_TLSA
            await hang_up(writer)

    run(kind, main)
    assert len(at.authenticator.sessions) == 0


@pytest.mark.parametrize("no", [False, True], ids=["yes", "no"])
def test_an_outcome_that_comes_too_late_is_not_the_next_identitys(no: bool, world: World) -> None:
    """The client says who it is anew while its first identity is asked about: what is found out then is nobody's."""
    device, at = car(world), door(world, policy="optional")
    joined = Pair.of(at.client(None), at.context, host=SERVER)
    assert joined.shake() == (True, True)
    authenticator, now_late = at.authenticator, ExportedAuthentication(joined.far)

    def says_who() -> Any:
        return now_late.verify_blocking(answer_request(joined.near, now_late.request(), device.credential))

    first = says_who()
    [asked_about] = authenticator.sessions.due(now=first.valid_until)
    second = says_who()
    settle(authenticator, asked_about, Refused(Reason.NO_TLSA) if no else first)
    assert [session.peer for session in authenticator.sessions] == [second]
    assert joined.far.shim.is_open
    [identity] = now_late._identities.values()
    assert identity.holder.current() is second
    at.resolver.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [("revoked", Reason.NO_TLSA), ("bogus", Reason.BOGUS), ("stranger", Reason.NOT_PERMITTED)],
)
def test_the_engine_judges_as_at_the_door(spoil: str, reason: Reason, world: World) -> None:
    at = door(world, policy="optional")
    device = world.organisation("strangers.example").device("x") if spoil == "stranger" else car(world)
    if spoil == "revoked":
        device.revoke()
    elif spoil == "bogus":
        world.fault(str(device.name), Fault.BOGUS)

    async def main() -> None:
        async with serving(lambda: Late(at), at) as port:
            reader, writer = await dial(port, at.client(None))
            send(writer, answer_request(writer, await asked(reader), device.credential))
            assert await reader.readline() == b"no\n"
            made[-1].ask()
            send(writer, answer_request(writer, await asked(reader), car(world, "good").credential))
            assert (await reader.readline()).startswith(b"hello good"), "the connection goes on"
            await hang_up(writer)

    run("asyncio", main)
    assert at.reasons == [reason, "admitted"]
    if spoil == "stranger":
        assert world.queries_for(str(device.name)) == ()


def test_over_tls_1_2_on_the_standard_librarys_transport(world: World) -> None:
    """A server without a door, on a stock event loop: late authentication is all the authentication there is."""
    device, at = car(world), door(world)
    plain = ordinary_server()
    plain._set(credential=at.context._settings.credential)
    near = at.client(None)
    near.maximum_version = TLS12

    async def main() -> None:
        loop = asyncio.get_running_loop()
        options = {"authenticator": at.authenticator}
        server = await loop.create_server(lambda: Late(at, options), "127.0.0.1", 0, ssl=plain)
        async with ending(server):
            reader, writer = await dial(server.sockets[0].getsockname()[1], near)
            send(writer, answer_request(writer, await asked(reader), device.credential))
            assert await reader.readline() == f"hello {device.name}\n".encode()
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
            assert device.revoke()
            assert await reader.read() == b"", "cut"
            await hang_up(writer)
        await at.resolver.aclose()

    with asyncio.Runner() as runner:
        runner.run(asyncio.wait_for(main(), 20))


def test_a_task_outside_of_any_connection_has_none() -> None:
    with pytest.raises(Misuse):
        current_peer.current_connection()


def test_in_a_blocking_server(world: World) -> None:
    from dnsbound.edge.blocking_server import blocking_server

    device, driver, at = car(world), car(world, "driver"), door(world)
    greeted: list[str] = []

    def serve(connection: Any) -> None:
        assert current_peer.current_connection() is connection
        late = ExportedAuthentication(connection)
        request = late.request()
        connection.sendall(len(request).to_bytes(2, "big") + request)
        size = int.from_bytes(connection.recv(2), "big")
        answer = b""
        while len(answer) < size:
            answer += connection.recv(size - len(answer))
        greeted.append(str(late.verify_blocking(answer).name))
        connection.sendall(b"hello")
        connection.recv(1)

    with blocking_server(serve, "127.0.0.1", 0, context=at.context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with socket.create_connection(server.server_address[:2], timeout=20) as plain:
            tls = at.client(device).wrap_socket(plain, server_hostname=SERVER)
            size = int.from_bytes(tls.recv(2), "big")
            answer = answer_request(tls, tls.recv(size), driver.credential)
            tls.sendall(len(answer).to_bytes(2, "big") + answer)
            assert tls.recv(10) == b"hello"
            assert driver.revoke()
            assert tls.recv(10) == b"", "cut, by the sweep of the server"
            tls.close()
        server.shutdown()
        thread.join(20)
    at.resolver.close()
    assert greeted == [str(driver.name)]
