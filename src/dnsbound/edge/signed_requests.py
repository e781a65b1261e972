"""The verifier of signed HTTP requests: one door, one public origin, one memory of nonces.

    verifier = ObjectVerifier(access, resolver, door="api")
    requests = SignedRequests(verifier, origin="https://api.example", nonces=NoncesHere())

The order is the engine's: the signature is read, its time is checked, the name must be permitted, the signature must be
the key's that the request or its connection shows, then the DNS is asked; then the content must be the one that was
signed; the nonce is remembered last, so that only a request that would be taken uses one up. Refusals are in the log of
the door's decisions, those that come after the signer was verified as a second event.

The origin is what clients have in their URLs. It is configured and never taken from the request: a request that was
signed for another server must not be taken because its Host says so. A reverse proxy that takes a part of the path off
is made good by an origin with that path (`https://api.example/v2`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from dnsbound.credential.presented import Presented
from dnsbound.edge.nonces import NonceMemory
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.http_limits import HTTP_SIGNED_BODY_OCTETS
from dnsbound.objects.http_signatures.message import HttpRequest, target_uri
from dnsbound.objects.http_signatures.profile import MessageSignature, parse_request
from dnsbound.objects.signed import SignedObject, VerifiedObject
from dnsbound.times import Moment


class SignedRequests:
    """Who sent a request, by its signature. One object serves any number of tasks and threads."""

    def __init__(
        self,
        verifier: ObjectVerifier,
        *,
        origin: str,
        nonces: NonceMemory,
        cover: Iterable[str] = (),
        content_octets: int | None = None,
    ) -> None:
        """cover: fields that must be signed where a request has them, beside those of the profile: whatever decides
        what a request does, such as `Authorization`, or a field with a tenant's name. content_octets: the largest
        content. Misuse for an origin that is none."""
        try:
            uri = target_uri(origin)
        except Malformed as error:
            raise Misuse(f"origin {origin!r}: {error}") from error
        if "?" in uri or "#" in origin:
            raise Misuse(f"origin {origin!r} has more than scheme, host, port and path")
        self._origin: Final = uri.rstrip("/")
        self._verifier = verifier
        self._nonces = nonces
        self._cover = tuple(cover)
        self.content_octets: Final = HTTP_SIGNED_BODY_OCTETS.checked(content_octets)

    @property
    def verifier(self) -> ObjectVerifier:
        return self._verifier

    def request(self, method: str, target: str, fields: Iterable[tuple[bytes, bytes]]) -> HttpRequest:
        """The request as its client has signed it. target: path and query as they came. Malformed."""
        if not target.startswith("/"):
            raise Malformed("the target of the request is no path")
        # No client sends a fragment, and no URI that is signed has one; but servers hand on what follows the sign as a
        # part of path or query, where it would be whatever somebody on the way has put there.
        if "#" in target:
            raise Malformed("the target of the request has a fragment")
        return HttpRequest.of(method, self._origin + target, fields)

    async def verify(
        self,
        request: HttpRequest,
        content: Callable[[], Awaitable[bytes]],
        *,
        source: str = "",
        presented: Presented | None = None,
    ) -> tuple[VerifiedObject, bytes]:
        """Who sent it, and its content. Refused or Undecided otherwise; whatever does not parse is Refused too.

        content: gives the whole content, of `content_octets` at most (LimitExceeded); called once the signer is
        verified. source: the client's address, for budgets and logs. presented: what its connection has shown.
        """
        signed = self._parsed(request, source, presented)
        verified = await self._verifier.verify(signed, source=source)
        held = await content()
        said = self._checked(verified, held, source)
        name, now = verified.name, self._now_within(said, source)
        if self._nonces.waits:
            is_new = await asyncio.to_thread(
                self._nonces.is_new, name, said.nonce, until=said.remembered_until, now=now
            )
        else:
            is_new = self._nonces.is_new(name, said.nonce, until=said.remembered_until, now=now)
        self._expect_new(is_new=is_new, source=source)
        return verified, held

    def verify_blocking(
        self,
        request: HttpRequest,
        content: Callable[[], bytes],
        *,
        source: str = "",
        presented: Presented | None = None,
    ) -> tuple[VerifiedObject, bytes]:
        """As `verify`, for a thread that may wait."""
        signed = self._parsed(request, source, presented)
        verified = self._verifier.verify_blocking(signed, source=source)
        held = content()
        said = self._checked(verified, held, source)
        now = self._now_within(said, source)
        is_new = self._nonces.is_new(verified.name, said.nonce, until=said.remembered_until, now=now)
        self._expect_new(is_new=is_new, source=source)
        return verified, held

    def _parsed(self, request: HttpRequest, source: str, presented: Presented | None) -> SignedObject:
        try:
            return parse_request(request, now=self._verifier.now(), cover=self._cover, presented=presented)
        except Refused as error:
            raise self._turned_away(error, source) from error
        except (Malformed, LimitExceeded) as error:
            raise self._turned_away(Refused(Reason.BAD_SIGNATURE, str(error)), source) from error

    def _checked(self, verified: VerifiedObject, held: bytes, source: str) -> MessageSignature:
        said = verified.content
        assert isinstance(said, MessageSignature)
        try:
            said.check_content(held)
        except Refused as error:
            raise self._turned_away(error, source) from error
        return said

    def _now_within(self, said: MessageSignature, source: str) -> Moment:
        """The moment that the nonce is looked up at. Content may come as slowly as its sender likes: once the nonce may
        be forgotten, a second request with it would be a new one."""
        now = self._verifier.now()
        if now > said.remembered_until:
            raise self._turned_away(Refused(Reason.STALE, "the signature expired while the content came"), source)
        return now

    def _expect_new(self, *, is_new: bool, source: str) -> None:
        if not is_new:
            raise self._turned_away(Refused(Reason.REPLAYED, "the nonce was there before"), source)

    def _turned_away(self, error: Refused, source: str) -> Refused:
        self._verifier.turned_away(error, source=source)
        return error
