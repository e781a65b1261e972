"""The RADIUS service of one process: packets in, answers out, whatever carries them.

    service = RadiusService(configuration, networks)
    answer = await service.answer(octets, origin)          # None: say nothing

It reads a request with the secrets of its client, gives the former answer to a repetition, and hands the rest to who
answers it: Access-Requests to `radius_access`, accounting to a recorder, Status-Server on the spot. What does not parse
or proves no secret is dropped and counted, never answered. `respond` is the same for callers that can do without a
task: nearly all answers are there at once.

What this is not: sockets (`radius_udp`, `radius_tls`, `radius_dtls`), or the choice among several processes.
Documents: RFC 2865 3, 4; RFC 2866 4; RFC 3579 2, 3; RFC 5080 2.2.2; RFC 5997 4.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import MappingProxyType
from typing import Any, Final, Protocol

from dnsbound.edge.eap_conversations import ConversationTable
from dnsbound.edge.radius_acceptance import Acceptor
from dnsbound.edge.radius_access import AccessRequests, Conversation
from dnsbound.edge.radius_admission import Supervision
from dnsbound.edge.radius_asked import Answer, Asked
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_clients import RadiusOrigin
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_counters import Dropped, RadiusCounters
from dnsbound.edge.radius_dictionaries import AttributesByName
from dnsbound.edge.radius_networks import RadiusNetworks
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius import Discard, Discarded, RadiusPacket, read_request_of_any
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_duplicates import Begun, RecentRequests, Repeated
from dnsbound.times import Moment, Seconds

_log: Final = logging.getLogger("dnsbound.radius")

_NAMES: Final = MappingProxyType({code: code.name for code in RadiusCode})
_ANOTHER_SECRET: Final = frozenset({Discard.WRONG_MESSAGE_AUTHENTICATOR, Discard.WRONG_REQUEST_AUTHENTICATOR})


class AccountingRecorder(Protocol):
    """Keeps what access servers account for."""

    async def record(self, event: AccountingEvent, origin: RadiusOrigin) -> bool:
        """Whether it is kept, or was before: only then is it acknowledged (RFC 2866 section 2)."""


class RadiusService:
    """One process's service.

    networks: of this configuration. marked: makes a State of 16 random octets, such that a request finds its process
    among several. supervision: keeps account of who was let
    in; nobody without it. recorder: takes accounting; without it accounting is dropped, or acknowledged where the
    configuration says accounting_discard. on_event: told of each authentication. monotonic, clock, entropy: seconds,
    moments, and n octets nobody can foresee.
    """

    def __init__(
        self,
        configuration: RadiusConfiguration,
        networks: RadiusNetworks,
        *,
        marked: Callable[[bytes], bytes] | None = None,
        supervision: Supervision | None = None,
        recorder: AccountingRecorder | None = None,
        on_event: Callable[[AccessEvent], None] | None = None,
        monotonic: Callable[[], Seconds] = time.monotonic,
        clock: Callable[[], Moment] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.counters: Final = RadiusCounters()
        self._networks = networks
        self._recorder = recorder
        self._monotonic = monotonic
        self._configuration = configuration
        settings = configuration.server
        self._conversations: ConversationTable[Conversation] = ConversationTable(
            at_once=settings.conversations,
            per_station=settings.conversations_per_station,
            seconds=settings.conversation_seconds,
        )
        self._acceptor = Acceptor(
            supervision=supervision,
            names=AttributesByName(settings.dictionary),
            handle_key=settings.handle_key,
            clock=clock,
            entropy=entropy,
        )
        self._access = AccessRequests(
            networks,
            self._conversations,
            self._acceptor,
            self.counters,
            marked=marked or bytes,
            fragment_octets=settings.fragment_octets,
            monotonic=monotonic,
            clock=clock,
            entropy=entropy,
            on_event=on_event,
        )
        self._recent = RecentRequests()
        self._warnings = RepeatedWarnings(_log, monotonic=monotonic)

    @property
    def configuration(self) -> RadiusConfiguration:
        """In force."""
        return self._configuration

    def configure(self, configuration: RadiusConfiguration) -> None:
        """Serve by this from now on; `networks` has been told before. Conversations that run go on as they began. How
        many there may be, and for how long, stays as it was. Malformed or Misuse for a dictionary that cannot be used;
        then nothing has changed."""
        self._acceptor.read_grants_by(AttributesByName(configuration.server.dictionary))
        self._configuration = configuration
        self._acceptor.handle_key = configuration.server.handle_key
        self._access.fragment_octets = configuration.server.fragment_octets
        self._warnings.forget()
        self._access.unmatched.forget()

    async def answer(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> bytes | None:
        """The answer; None to say nothing. Raises nothing for what a client sends. request: as of `Respond`."""
        answer = self.respond(octets, origin, request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def respond(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> Answer:
        """The same, or a coroutine for it where the DNS, a signature or a database has to be waited for. request: as
        of `Respond`."""
        secrets = origin.secrets
        secret = secrets[0] if secrets else b""
        if request is None:
            try:
                request, secret = read_request_of_any(octets, secrets)
            except Discarded as error:
                return self._discard(error, origin)
            except (Malformed, LimitExceeded):
                return self._drop(Dropped.MALFORMED)
        self.counters.requests[_NAMES[request.code]] += 1
        if secret is not secrets[0]:
            self.counters.old_secrets[origin.client.label] += 1
        asked = Asked(request=request, origin=origin, secret=secret)
        if request.code is RadiusCode.STATUS_SERVER:
            # Never kept as an answer: the next one asks how it is then (RFC 5997 section 4.2).
            return asked.answer(RadiusCode.ACCOUNTING_RESPONSE if origin.accounting else RadiusCode.ACCESS_ACCEPT)
        if request.code is RadiusCode.ACCESS_REQUEST and origin.takes_authentication:
            return self._once(asked, self._access.respond)
        if request.code is RadiusCode.ACCOUNTING_REQUEST and origin.takes_accounting:
            return self._once(asked, self._account)
        return self._drop(Dropped.UNEXPECTED_CODE)

    def tick(self) -> None:
        """End what has run out of time; to be called every few seconds."""
        self._access.expire()
        self.counters.conversations = len(self._conversations)

    # --- repetitions

    def _once(self, asked: Asked, answerer: Callable[[Asked], Answer]) -> Answer:
        """Answer a request, and each repetition of it with the same octets."""
        origin = asked.origin
        source = (origin.transport, origin.address, origin.port, origin.accounting, origin.client.label)
        begun = self._recent.begin(source, asked.request, now=self._monotonic())
        if isinstance(begun, Repeated):
            self.counters.duplicates += 1
            return begun.answer
        try:
            answer = answerer(asked)
        except LimitExceeded:
            answer = self._drop(Dropped.NO_ROOM)
        except BaseException:
            self._recent.answered(begun, None, now=self._monotonic())
            raise
        if answer is None or isinstance(answer, bytes):
            self._recent.answered(begun, answer, now=self._monotonic())
            return answer
        return self._awaited(begun, answer)

    async def _awaited(self, begun: Begun, waiting: Coroutine[Any, Any, bytes | None]) -> bytes | None:
        answer: bytes | None = None
        try:
            answer = await waiting
        except LimitExceeded:
            answer = self._drop(Dropped.NO_ROOM)
        finally:
            self._recent.answered(begun, answer, now=self._monotonic())
        return answer

    # --- accounting

    def _account(self, asked: Asked) -> Answer:
        try:
            event = AccountingEvent.of(asked.request)
        except Malformed:
            return self._drop(Dropped.MALFORMED)
        if self._recorder is not None:
            return self._recorded(asked, self._recorder.record(event, asked.origin))
        if self._configuration.server.accounting_discard:
            return asked.answer(RadiusCode.ACCOUNTING_RESPONSE)
        return self._drop(Dropped.NOT_RECORDED)

    async def _recorded(self, asked: Asked, recorded: Awaitable[bool]) -> bytes | None:
        if await recorded:
            return asked.answer(RadiusCode.ACCOUNTING_RESPONSE)
        return self._drop(Dropped.NOT_RECORDED)

    # --- counts

    def _drop(self, why: Dropped) -> bytes | None:
        self.counters.dropped[why.value] += 1
        return None

    def _discard(self, error: Discarded, origin: RadiusOrigin) -> bytes | None:
        self.counters.dropped[error.why.value] += 1
        what = f"client {origin.client.label} at {origin.address}: {error}"
        if error.why in _ANOTHER_SECRET:
            what += ", which is what another shared secret than in its secret_file looks like"
        self._warnings.warn(f"{origin.address} {error.why}", f"{what}; such packets are dropped")
        return None
