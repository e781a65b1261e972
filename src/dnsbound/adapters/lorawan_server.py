"""A LoRaWAN network, join or application server whose partners are known by their DNS names (Backend Interfaces 1.0).

    partners = BackendServer({"000013"}, answer)          # an ASGI application, behind uvicorn with a door's Context

    async def answer(message: BackendMessage, peer: VerifiedPeer) -> BackendMessage | None: ...

Nobody exchanges certificates or authorities with a partner: the partner's name is on the access list, with the NetIDs,
JoinEUIs and AS-IDs it speaks for, and its key is in its DNS:

    [door.join]
    allow = [{ names = ["ns._service.network.example"], grants = { lorawan = ["000013"] } }]

A message whose SenderID is not granted to the name it came from is answered UnknownSender and goes no further.

Answers travel in the HTTP response, or by a request of their own (`None`, then `BackendClient.tell`). What is said in
the messages is the application's. Sections: TS002 sections 20 and 22.1.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from dnsbound.adapters.asgi import Receive, Scope, Send
from dnsbound.door_limits import LORAWAN_MESSAGE_OCTETS, LORAWAN_PENDING
from dnsbound.edge.current_peer import verified_peer
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.protocols.lorawan_backend import PROTOCOL_VERSION, BackendMessage, Result, ResultCode
from dnsbound.protocols.lorawan_names import server_id
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.lorawan")

GRANT: Final = "lorawan"
"""The key of a name's grants that lists what it speaks for."""

Handler: TypeAlias = Callable[[BackendMessage, VerifiedPeer], Awaitable[BackendMessage | None]]


class PendingAnswers:
    """Requests whose answers come by a request of the partner: shared by a process's server and its clients."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], asyncio.Future[BackendMessage]] = {}

    def expect(self, partner: str, transaction: int) -> "asyncio.Future[BackendMessage]":
        """LimitExceeded when too many wait, Misuse for a transaction that is under way."""
        if len(self._waiting) >= LORAWAN_PENDING.default:
            raise LimitExceeded(LORAWAN_PENDING.name, f"{len(self._waiting)} requests wait for answers")
        if (partner, transaction) in self._waiting:
            raise Misuse(f"transaction {transaction} with {partner} is under way")
        future: asyncio.Future[BackendMessage] = asyncio.get_running_loop().create_future()
        self._waiting[partner, transaction] = future
        return future

    def forget(self, partner: str, transaction: int) -> None:
        """Whoever waited does not any more; doing so twice is no mistake."""
        self._waiting.pop((partner, transaction), None)

    def deliver(self, answer: BackendMessage) -> bool:
        """Whether anybody waits for it; an answer that nobody waits for is to be discarded (section 22.1)."""
        future = self._waiting.pop((answer.sender, answer.transaction), None)
        if future is None or future.done():
            return False
        future.set_result(answer)
        return True


class BackendServer:
    """See the module. own: the NetIDs, JoinEUIs and AS-IDs of this server."""

    def __init__(self, own: Iterable[str], handler: Handler, *, pending: PendingAnswers | None = None) -> None:
        """pending: of the clients that wait for answers which come here."""
        self._own = frozenset(map(server_id, own))
        if not self._own:
            raise Misuse("a server has a NetID, a JoinEUI or an AS-ID")
        self._handler = handler
        self._pending = pending or PendingAnswers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise Misuse(f"LoRaWAN servers speak HTTP, not {scope['type']}")
        peer = verified_peer()
        if peer is None:
            await _respond(send, 403)
            return
        if scope["method"] != "POST":
            await _respond(send, 405)
            return
        try:
            message = BackendMessage.from_wire(await _body(receive))
        except (Malformed, LimitExceeded) as error:
            _log.warning("%s sent no message: %s", peer.name, error)
            await _respond(send, 413 if isinstance(error, LimitExceeded) else 400)
            return
        answer = await self._answer(message, peer)
        await _respond(send, 200, b"" if answer is None else answer.to_wire())

    async def _answer(self, message: BackendMessage, peer: VerifiedPeer) -> BackendMessage | None:
        """Nothing for an answer of the partner's, and for a request that is answered later."""
        if message.sender not in spoken_for(peer):
            _log.warning("%s is not granted to speak for %s", peer.name, message.sender)
            return _refusal(message, ResultCode.UNKNOWN_SENDER)
        if message.receiver not in self._own:
            return _refusal(message, ResultCode.UNKNOWN_RECEIVER)
        if message.protocol_version != PROTOCOL_VERSION:
            return _refusal(message, ResultCode.INVALID_PROTOCOL_VERSION)
        if message.message_type.is_answer:
            if not self._pending.deliver(message):
                _log.info("%s answered what nobody asked: %s", peer.name, message.message_type)
            return None
        try:
            return await self._handler(message, peer)
        except DnsboundError as error:
            _log.warning("%s of %s: %s", message.message_type, peer.name, error)
            return message.answered(Result(ResultCode.OTHER))


def spoken_for(peer: VerifiedPeer) -> frozenset[str]:
    """What the access list grants the name to speak for, in the form of `server_id`; nothing where it is not said, or
    not as a list of identifiers."""
    granted = peer.grants.get(GRANT, ())
    if not isinstance(granted, list | tuple) or not all(isinstance(one, str) for one in granted):
        _log.error("the access list grants %s a %s that is no list of identifiers", peer.name, GRANT)
        return frozenset()
    try:
        return frozenset(map(server_id, granted))
    except Malformed as error:
        _log.error("the access list grants %s a %s that cannot be used: %s", peer.name, GRANT, error)
        return frozenset()


def _refusal(message: BackendMessage, code: ResultCode) -> BackendMessage | None:
    """An answer that cannot be used is discarded; answers are not answered."""
    return None if message.message_type.is_answer else message.answered(Result(code))


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise Malformed("the partner has gone before its message was whole")
        body += event.get("body", b"")
        if len(body) > LORAWAN_MESSAGE_OCTETS.default:
            raise LimitExceeded(LORAWAN_MESSAGE_OCTETS.name, "a message is longer")
        if not event.get("more_body", False):
            return bytes(body)


async def _respond(send: Send, status: int, body: bytes = b"") -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
