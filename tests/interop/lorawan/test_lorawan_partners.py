"""A network server and a join server of two organisations, under uvicorn, over HTTPS: names in place of CA files."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnsbound import AccessList, Authenticator, Context, Misuse, PeerError, Reason, Refused
from dnsbound.adapters.lorawan_client import BackendClient
from dnsbound.adapters.lorawan_server import BackendServer, PendingAnswers
from dnsbound.protocols.lorawan_backend import SUCCESS, BackendMessage, MessageType, ResultCode
from dnsbound.testing import World
from interop.python_servers.running import uvicorn_server

NET, JOIN = "000013", "70b3d57ed0000000"
NS, JS = "ns._service.network.example", "js._service.joins.example"
NS_HOST, JS_HOST = "ns.network.example", "js.joins.example"
ACCESS = f"""
[door.join]
allow = [
    {{ names = ["{NS}"], grants = {{ lorawan = ["0x{NET}"] }} }},
    {{ names = ["ungranted._service.network.example"] }},
    {{ names = ["misgranted._service.network.example"], grants = {{ lorawan = "{NET}" }} }},
]

[door.network]
allow = [{{ names = ["{JS}"], grants = {{ lorawan = ["{JOIN}"] }} }}]
"""


async def accept(message: BackendMessage, _peer: Any) -> BackendMessage:
    return message.answered(SUCCESS, {"PHYPayload": message.objects["PHYPayload"][::-1]})


class Partners:
    def __init__(self, world: World) -> None:
        self.world = world
        network, joins = world.organisation("network.example"), world.organisation("joins.example")
        self.ns, self.js = network.identity(NS), joins.identity(JS)
        self.access = AccessList.from_toml(ACCESS)
        network.address(NS_HOST, "127.0.0.1")
        joins.address(JS_HOST, "127.0.0.1")

    @contextmanager
    def serving(self, door: str, device: Any, host: str, app: Any) -> Iterator[int]:
        authenticator = Authenticator(self.access, self.world.resolver(), door=door)
        context = Context.server(device.credential, authenticator=authenticator)
        with uvicorn_server("asyncio", app, context) as port:
            organisation = self.world.organisation(host.partition(".")[2])
            organisation.publish(f"_{port}._tcp.{host}", device.credential.tlsa())
            yield port

    def client(self, device: Any, port: int, host: str, **options: Any) -> BackendClient:
        context = Context.client(device.credential, resolver=self.world.resolver(), server_tlsa="require")
        ends = {"own": NET, "partner": JOIN} | {
            name: options.pop(name) for name in ("own", "partner") if name in options
        }
        return BackendClient(context, url=f"https://{host}:{port}/", address="127.0.0.1", **ends, **options)


@pytest.fixture
def partners() -> Iterator[Partners]:
    with World() as world:
        yield Partners(world)


def asked(partners: Partners, use: Callable[[BackendClient], Awaitable[Any]], app: Any, **options: Any) -> Any:
    """What a client of the network server gets from the join server."""

    async def run(port: int) -> Any:
        async with partners.client(options.pop("device", partners.ns), port, JS_HOST, **options) as client:
            return await use(client)

    with partners.serving("join", partners.js, JS_HOST, app) as port:
        return asyncio.run(run(port))


def join(client: BackendClient) -> Awaitable[BackendMessage]:
    return client.ask(MessageType.JOIN_REQ, {"PHYPayload": "0102"})


def test_lw_06_partners_are_names_and_their_servers_are_known_by_tlsa(partners: Partners) -> None:
    answer = asked(partners, join, BackendServer([JOIN], accept))
    assert answer.message_type is MessageType.JOIN_ANS
    assert answer.result == SUCCESS
    assert answer.objects == {"PHYPayload": "2010"}


def test_lw_07_answers_by_a_request_of_their_own(partners: Partners) -> None:
    """Section 22.1, Figure 18: an acknowledgement, then the answer by a POST the other way."""
    back: list[asyncio.Task[None]] = []

    async def later(message: BackendMessage, _peer: Any) -> None:
        async def bring() -> None:
            async with partners.client(partners.js, ns_port, NS_HOST, own=JOIN, partner=NET) as client:
                await client.tell(message.answered(SUCCESS, {"Lifetime": 60}))

        back.append(asyncio.get_running_loop().create_task(bring()))

    async def nothing(_message: BackendMessage, _peer: Any) -> BackendMessage:
        raise AssertionError("nobody asks the network server")

    async def run(js_port: int) -> BackendMessage:
        async with partners.client(partners.ns, js_port, JS_HOST, pending=pending) as client:
            return await join(client)

    pending = ThreadedPending()
    network, joins = BackendServer([NET], nothing, pending=pending), BackendServer([JOIN], later)
    with (
        partners.serving("network", partners.ns, NS_HOST, network) as ns_port,
        partners.serving("join", partners.js, JS_HOST, joins) as js_port,
    ):
        answer = asyncio.run(run(js_port))
    assert answer.objects == {"Lifetime": 60}
    assert len(back) == 1


class ThreadedPending(PendingAnswers):
    """Here the server and the client of one organisation run on loops of their own."""

    def deliver(self, answer: BackendMessage) -> bool:
        loop = next(iter(self._waiting.values())).get_loop()
        loop.call_soon_threadsafe(super().deliver, answer)
        return True


def test_lw_08_an_answer_that_nobody_asked_for_is_discarded(partners: Partners) -> None:
    request = BackendMessage(message_type=MessageType.JOIN_REQ, sender=JOIN, receiver=NET, transaction=9)
    pending = PendingAnswers()
    server = BackendServer([JOIN], accept, pending=pending)
    assert asked(partners, lambda client: client.tell(request.answered(SUCCESS)), server) is None
    assert not pending.deliver(request.answered(SUCCESS))


@pytest.mark.parametrize("label", ["ungranted", "misgranted"])
def test_lw_09_a_name_speaks_for_what_it_is_granted_alone(partners: Partners, label: str) -> None:
    other = partners.world.organisation("network.example").identity(f"{label}._service")
    answer = asked(partners, join, BackendServer([JOIN], accept), device=other)
    assert answer.result is not None
    assert answer.result.code is ResultCode.UNKNOWN_SENDER


def test_lw_09_another_sender_id_than_the_granted_one_is_unknown(partners: Partners) -> None:
    answer = asked(partners, join, BackendServer([JOIN], accept), own="000014")
    assert answer.result is not None
    assert answer.result.code is ResultCode.UNKNOWN_SENDER


def test_lw_10_messages_for_others_are_answered_unknown_receiver(partners: Partners) -> None:
    async def nobody(_message: BackendMessage, _peer: Any) -> BackendMessage:
        raise AssertionError("the message was for another server")

    answer = asked(partners, join, BackendServer(["70b3d57ed0000001"], nobody))
    assert answer.result is not None
    assert answer.result.code is ResultCode.UNKNOWN_RECEIVER


@pytest.mark.parametrize("wrong", [{"TransactionID": 0}, {"SenderID": "000099"}, {"MessageType": "ProfileAns"}])
def test_an_answer_to_another_question_is_none(partners: Partners, wrong: dict[str, Any]) -> None:
    async def confused(scope: Any, receive: Any, send: Any) -> None:
        event = await receive()
        answer = json.loads(BackendMessage.from_wire(event["body"]).answered(SUCCESS).to_wire()) | wrong
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    with pytest.raises(PeerError):
        asked(partners, join, confused)


def test_lw_11_other_versions_are_answered_so(partners: Partners) -> None:
    async def raw(client: BackendClient) -> Any:
        message = BackendMessage(
            message_type=MessageType.JOIN_REQ, sender=NET, receiver=JOIN, transaction=1, protocol_version="2.0"
        )
        return json.loads(await client._post(message))

    assert asked(partners, raw, BackendServer([JOIN], accept))["Result"]["ResultCode"] == "InvalidProtocolVersion"


def test_strangers_do_not_come_in_and_a_forged_server_is_not_asked(partners: Partners) -> None:
    mallory = partners.world.organisation("mallory.example").identity("ns._service")
    with pytest.raises((ConnectionError, OSError)):
        asked(partners, join, BackendServer([JOIN], accept), device=mallory)

    async def run(port: int) -> None:
        async with partners.client(partners.ns, port, JS_HOST) as client:
            with pytest.raises(ConnectionError):
                await join(client)

    with partners.serving("join", partners.js, JS_HOST, BackendServer([JOIN], accept)) as port:
        partners.world.organisation("joins.example").replace(f"_{port}._tcp.{JS_HOST}", mallory.credential.tlsa())
        asyncio.run(run(port))
        partners.world.organisation("joins.example").remove(f"_{port}._tcp.{JS_HOST}", "TLSA")

    async def unpublished(port: int) -> None:
        async with partners.client(partners.ns, port, JS_HOST) as client:
            with pytest.raises(Refused) as refused:
                await join(client)
            assert refused.value.reason is Reason.NO_TLSA

    asyncio.run(unpublished(port))


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [("GET", b"", 405), ("POST", b"no message", 400), ("POST", b" " * 70_000, 413), ("POST", b"{}", 400)],
)
def test_what_is_no_message_is_told_by_status(partners: Partners, method: str, body: bytes, status: int) -> None:
    async def raw(client: BackendClient) -> int:
        await client._context.prepare(client._host, client._port)
        request = client._http.build_request(method, client._target, content=body, extensions={"sni_hostname": JS_HOST})
        return (await client._http.send(request)).status_code

    assert asked(partners, raw, BackendServer([JOIN], accept)) == status


def test_misuse_is_told_at_once(partners: Partners) -> None:
    with pytest.raises(Misuse):
        BackendServer([], accept)
    context = Context.client(partners.ns.credential)
    for url in ("http://js.joins.example/", "js.joins.example"):
        with pytest.raises(Misuse):
            BackendClient(context, own=NET, partner=JOIN, url=url)
