"""Asking another organisation's LoRaWAN server, which is known by its DNS name as we are (Backend Interfaces 1.0).

    url = "https://js.partner.example/"
    async with BackendClient(context, own="000013", partner="70b3d57ed0000000", url=url) as join_server:
        answer = await join_server.ask(MessageType.JOIN_REQ, {"PHYPayload": ..., "DevEUI": ...})

context: `Context.client(credential, resolver=..., server_tlsa="require")`: the partner's server is the one whose key
its zone names, and sees our name in the handshake. No authority, no certificate is exchanged.

Sections: TS002 sections 20 and 22.1; RFC 6698 for the server.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from dnsbound.adapters.lorawan_server import PendingAnswers
from dnsbound.door_limits import LORAWAN_MESSAGE_OCTETS
from dnsbound.edge.context import Context
from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.protocols.lorawan_backend import BackendMessage, MessageType
from dnsbound.protocols.lorawan_names import server_id
from dnsbound.times import Seconds

ANSWER_SECONDS: Final[Seconds] = 10.0
_HTTPS: Final = 443


class BackendClient:
    """One partner's server."""

    def __init__(
        self,
        context: Context,
        *,
        own: str,
        partner: str,
        url: str,
        address: str | None = None,
        pending: PendingAnswers | None = None,
        seconds: Seconds = ANSWER_SECONDS,
    ) -> None:
        """own, partner: NetID, JoinEUI or AS-ID. url: the partner's target URL, `https`. address: where to connect, if
        not where the URL's host resolves to. pending: of the server that the partner's later answers come to; without
        it, answers come in the response or not at all. seconds: for a whole exchange."""
        self._context = context
        self._own, self._partner = server_id(own), server_id(partner)
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None or seconds <= 0:
            raise Misuse(f"{url!r}: a partner's URL is https://HOST/..., and an exchange needs some time")
        self._host, self._port = parts.hostname, parts.port or _HTTPS
        self._target = httpx.URL(url) if address is None else httpx.URL(url).copy_with(host=address)
        self._pending = pending
        self._seconds = seconds
        self._http = httpx.AsyncClient(verify=context, timeout=seconds, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self, message_type: MessageType, objects: Mapping[str, Any] | None = None, *, sender_token: str = ""
    ) -> BackendMessage:
        """The partner's answer, whatever its Result. Refused or Undecided where the partner's server is not the one its
        records name, or they could not be had; PeerError for what is no answer; OSError (TimeoutError) where nobody
        answers, or not in time."""
        transaction = secrets.randbits(32)
        request = BackendMessage(
            message_type=message_type,
            sender=self._own,
            receiver=self._partner,
            transaction=transaction,
            sender_token=sender_token,
            objects=objects or {},
        )
        later = None if self._pending is None else self._pending.expect(self._partner, transaction)
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._post(request)
                if body:
                    answer = _answer(body)
                elif later is None:
                    raise PeerError(f"{self._host} took the {message_type} and gave no answer")
                else:
                    answer = await later
        finally:
            if self._pending is not None:
                self._pending.forget(self._partner, transaction)
        return self._checked(answer, request)

    async def tell(self, answer: BackendMessage) -> None:
        """Bring the partner the answer to a request of its own. Raises as `ask`."""
        if not answer.message_type.is_answer:
            raise Misuse("a request is asked, not told")
        async with asyncio.timeout(self._seconds):
            await self._post(answer)

    async def _post(self, message: BackendMessage) -> bytes:
        await self._context.prepare(self._host, self._port)
        request = self._http.build_request(
            "POST",
            self._target,
            content=message.to_wire(),
            headers={"Host": self._host, "Content-Type": "application/json"},
            extensions={"sni_hostname": self._host},
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                return await self._read(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise ConnectionError(f"{self._host} could not be asked: {error}") from error

    async def _read(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            raise PeerError(f"{self._host} answered with status {response.status_code}")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LORAWAN_MESSAGE_OCTETS.default:
                raise LimitExceeded(LORAWAN_MESSAGE_OCTETS.name, f"the answer of {self._host}")
        return bytes(body)

    def _checked(self, answer: BackendMessage, request: BackendMessage) -> BackendMessage:
        wanted = (request.message_type.answer, self._partner, self._own, request.transaction)
        if (answer.message_type, answer.sender, answer.receiver, answer.transaction) != wanted:
            raise PeerError(f"{self._host} answered another question: {answer.message_type} {answer.transaction}")
        return answer


def _answer(body: bytes) -> BackendMessage:
    try:
        return BackendMessage.from_wire(body)
    except Malformed as error:
        raise PeerError(f"the partner's answer is none: {error}") from error
