"""The stub resolver: asks recursive resolvers, believes none of them, and returns validated Answers.

    resolver = Resolver([Upstream.parse("tls://192.0.2.1#dns.example")])
    answer = await resolver.lookup("car54._device.cars.example", "TLSA")
    answer = resolver.lookup_blocking("car54._device.cars.example", "TLSA")

What goes wrong in the DNS is a state of the Answer, never an exception; Misuse alone is raised. A Resolver may be
shared by threads and event loops and survives a fork: the child starts with the cache and new sockets. Sections: RFC
4035 section 4.9 (stub), RFC 7766, RFC 7858, RFC 8310.
"""

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Self

import dns.exception
import dns.name
import dns.rdatatype

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer
from dnsbound.dns.cache import CacheKey, EvidenceCache
from dnsbound.dns.canonical import key_of
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.policy import Policy
from dnsbound.dns.validator import Validation
from dnsbound.edge.face import Face
from dnsbound.edge.reactor import BlockingReactor
from dnsbound.edge.upstream import Upstream, system_upstreams
from dnsbound.errors import Misuse
from dnsbound.times import Moment, Seconds

DEADLINE: Final[Seconds] = 5.0
_SAME_DEADLINE: Final[Seconds] = 0.01
"""A caller whose deadline is this close to that of the lookup it joined waits for the lookup's."""
RESOLV_CONF: Final = Path("/etc/resolv.conf")

Name = dns.name.Name | str
RdataType = dns.rdatatype.RdataType | str


class Resolver:
    """See the module.

    upstreams: asked in order; one that does not answer, or whose answer is bogus where another's is not, is asked last
    for a while. anchors: the root's by default.
    clock: the moment to judge signatures by, seconds since 1970. cache: may be shared by resolvers of the same anchors
    and policy; Misuse otherwise. mix_case: letters of the query name in random case (0x20). deadline: seconds one
    lookup may take, unless it says otherwise.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        anchors: TrustAnchors | None = None,
        *,
        clock: Callable[[], Moment] = time.time,
        cache: EvidenceCache | None = None,
        policy: Policy | None = None,
        deadline: Seconds = DEADLINE,
        mix_case: bool = False,
    ) -> None:
        if not upstreams:
            raise Misuse("a resolver needs at least one upstream to ask")
        if deadline <= 0:
            raise Misuse(f"a deadline of {deadline} seconds is no time to answer")
        self.upstreams: Final = tuple(upstreams)
        self.anchors: Final = TrustAnchors.root() if anchors is None else anchors
        self._clock = clock
        self._cache = EvidenceCache() if cache is None else cache
        self._policy = Policy() if policy is None else policy
        self._cache.bind(self.anchors, self._policy)
        self._deadline = deadline
        self._mix_case = mix_case
        self._reset()
        _RESOLVERS.add(self)

    @classmethod
    def from_system(cls, anchors: TrustAnchors | None = None, *, path: Path = RESOLV_CONF) -> Self:
        """With the name servers of /etc/resolv.conf; Misuse when it names none."""
        try:
            upstreams = system_upstreams(path.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise Misuse(f"{path}: {error.strerror}") from None
        if not upstreams:
            raise Misuse(f"{path} names no name server")
        return cls(upstreams, anchors)

    def cached(self, name: Name, rdtype: RdataType) -> Answer | None:
        """The evidence at hand that still holds, without asking anybody."""
        asked = _asked(name, rdtype)
        return self._cache.get(asked[0], now=self._clock())

    async def lookup(
        self, name: Name, rdtype: RdataType, *, deadline: Seconds | None = None, refresh: bool = False
    ) -> Answer:
        """Look up and validate, from asyncio. Callers that ask the same at the same time share one lookup.

        refresh: ask even if evidence is at hand, so that it can be renewed before it ends.
        """
        key, owner, kind = _asked(name, rdtype)
        known = None if refresh else self._cache.get(key, now=self._clock())
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        seconds = self._checked_deadline(deadline)
        flight = self._face_of(loop).join(key, owner, kind, partial(_resolve, future), seconds)
        if loop.time() + seconds > flight.deadline_at - _SAME_DEADLINE:
            return await future
        timer = loop.call_later(seconds, partial(flight.late, future.done, partial(_resolve, future), seconds))
        try:
            return await future
        finally:
            timer.cancel()

    def lookup_blocking(
        self, name: Name, rdtype: RdataType, *, deadline: Seconds | None = None, refresh: bool = False
    ) -> Answer:
        """The same from a plain thread. Not to be called on a thread that runs an event loop: it would stand still."""
        key, owner, kind = _asked(name, rdtype)
        known = None if refresh else self._cache.get(key, now=self._clock())
        if known is not None:
            return known
        seconds = self._checked_deadline(deadline)
        with self._lock:
            leader = self._blocking.get(key)
            shared = leader or _Shared()
            if leader is None:
                self._blocking[key] = shared
        if leader is not None:
            return leader.wait(seconds) or self._late(owner, kind, seconds)
        try:
            shared.settle(self._run_blocking(key, owner, kind, seconds))
        finally:
            with self._lock:
                self._blocking.pop(key, None)
            shared.settle(None)
        return shared.wait(0) or self._late(owner, kind, seconds)

    def forget(self, name: Name) -> int:
        """Forget all evidence about a name, of any type, and what led through it by an alias: the next lookup asks
        again. How many answers these were. Evidence of the zones above it stays."""
        owner = _parsed_name(name) if isinstance(name, str) else name
        return self._cache.forget(key_of(owner), now=self._clock())

    async def chain(
        self,
        name: Name,
        rdtype: RdataType = dns.rdatatype.TLSA,
        *,
        deadline: Seconds | None = None,
        octets: int | None = None,
    ) -> BuiltChain:
        """Build the chain of a name and type from the trust anchor down, from asyncio (RFC 9102). The cache is passed
        by. octets: how long it may be.

        Raises Undecided with BOGUS, INDETERMINATE, DNS_FAILED or WORK_BUDGET where no chain can be shown, and
        LimitExceeded for one that is too long. That there are no records, or no signatures, is shown like records.
        """
        begin = self._begin_chain(name, rdtype)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._face_of(loop).run_apart(begin, partial(_resolve, future), self._checked_deadline(deadline))
        await future
        return begin.built(octets)

    def chain_blocking(
        self,
        name: Name,
        rdtype: RdataType = dns.rdatatype.TLSA,
        *,
        deadline: Seconds | None = None,
        octets: int | None = None,
    ) -> BuiltChain:
        """The same from a plain thread."""
        begin = self._begin_chain(name, rdtype)
        seconds = self._checked_deadline(deadline)
        face = self._face_of_thread()
        reactor = face.reactor
        assert isinstance(reactor, BlockingReactor)
        answers: list[Answer] = []
        flight = face.run_apart(begin, answers.append, seconds)
        reactor.run_until(lambda: bool(answers), reactor.time() + seconds)
        if not answers:
            flight.give_up(seconds)
        return begin.built(octets)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        face = self._faces.pop(asyncio.get_running_loop(), None)
        if face is not None:
            face.close()

    def close(self) -> None:
        """Close every connection of every loop and thread; a lookup in flight ends without an answer.

        Not while another thread is in `lookup_blocking`: its connections are its own until it returns.
        """
        for loop, face in list(self._faces.items()):
            if loop.is_closed():
                face.abandon()
            elif loop.is_running():
                loop.call_soon_threadsafe(face.close)
            else:
                face.close()
        for face in list(self._threads):
            face.close()
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # What one lookup is made of.

    def _begin(self, owner: dns.name.Name, kind: dns.rdatatype.RdataType) -> Validation:
        return Validation(owner, kind, anchors=self.anchors, now=self._clock(), policy=self._policy, store=self._cache)

    def _begin_chain(self, name: Name, rdtype: RdataType) -> "_ChainAttempts":
        _, owner, kind = _asked(name, rdtype)
        return _ChainAttempts(
            lambda: ChainBuilding(owner, kind, anchors=self.anchors, now=self._clock(), policy=self._policy)
        )

    def _run_blocking(
        self, key: CacheKey, owner: dns.name.Name, kind: dns.rdatatype.RdataType, seconds: Seconds
    ) -> Answer:
        face = self._face_of_thread()
        reactor = face.reactor
        assert isinstance(reactor, BlockingReactor)
        answers: list[Answer] = []
        flight = face.join(key, owner, kind, answers.append, seconds)
        reactor.run_until(lambda: bool(answers), reactor.time() + seconds)
        if not answers:
            flight.give_up(seconds)
        return answers[0]

    def _late(self, owner: dns.name.Name, kind: dns.rdatatype.RdataType, seconds: Seconds) -> Answer:
        return self._begin(owner, kind).give_up(f"no answer within {seconds:g} s")

    def _checked_deadline(self, deadline: Seconds | None) -> Seconds:
        if deadline is not None and deadline <= 0:
            raise Misuse(f"a deadline of {deadline} seconds is no time to answer")
        return self._deadline if deadline is None else deadline

    # One face for each event loop and each thread.

    def _face_of(self, loop: asyncio.AbstractEventLoop) -> Face:
        face = self._faces.get(loop)
        if face is None:
            for gone in [other for other in list(self._faces) if other.is_closed()]:
                self._faces.pop(gone).abandon()
            face = self._faces[loop] = self._new_face(loop)
        return face

    def _face_of_thread(self) -> Face:
        face: Face | None = getattr(self._local, "face", None)
        if face is None:
            face = self._local.face = self._new_face(BlockingReactor())
            self._threads.add(face)
        return face

    def _new_face(self, reactor: "asyncio.AbstractEventLoop | BlockingReactor") -> Face:
        return Face(reactor, self.upstreams, self._begin, self._cache, mix_case=self._mix_case)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._threads: weakref.WeakSet[Face] = weakref.WeakSet()
        self._faces: dict[asyncio.AbstractEventLoop, Face] = {}
        self._blocking: dict[CacheKey, _Shared] = {}

    def forked(self) -> None:
        """Called in a forked child: sockets, waiting callers and locks are the parent's; the cache stays."""
        for face in [*self._faces.values(), *self._threads]:
            face.abandon()
        self._reset()
        self._cache.reset_locks()


class _ChainAttempts:
    """The building of one chain; a lookup begins anew after a bogus answer, and the last attempt counts."""

    __slots__ = ("_begin", "_building")

    def __init__(self, begin: Callable[[], ChainBuilding]) -> None:
        self._begin = begin
        self._building: ChainBuilding | None = None

    def __call__(self) -> ChainBuilding:
        self._building = self._begin()
        return self._building

    def built(self, octets: int | None) -> BuiltChain:
        assert self._building is not None
        return self._building.chain(octets=octets)


class _Shared:
    """A blocking lookup other threads wait for."""

    __slots__ = ("_answer", "_done")

    def __init__(self) -> None:
        self._done = threading.Event()
        self._answer: Answer | None = None

    def settle(self, answer: Answer | None) -> None:
        if not self._done.is_set():
            self._answer = answer
            self._done.set()

    def wait(self, seconds: Seconds) -> Answer | None:
        self._done.wait(seconds)
        return self._answer


def _resolve(future: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


def _asked(name: Name, rdtype: RdataType) -> tuple[CacheKey, dns.name.Name, dns.rdatatype.RdataType]:
    if isinstance(name, str):
        return _parsed(name, rdtype)
    kind = _parsed_type(rdtype) if isinstance(rdtype, str) else rdtype
    return (key_of(name), kind), name, kind


@lru_cache(maxsize=65536)
def _parsed(name: str, rdtype: RdataType) -> tuple[CacheKey, dns.name.Name, dns.rdatatype.RdataType]:
    owner, kind = _parsed_name(name), _parsed_type(rdtype) if isinstance(rdtype, str) else rdtype
    return (key_of(owner), kind), owner, kind


@lru_cache(maxsize=65536)
def _parsed_name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise Misuse(f"{text!r} is not a domain name: {error}") from None


@lru_cache(maxsize=256)
def _parsed_type(text: str) -> dns.rdatatype.RdataType:
    try:
        return dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise Misuse(f"{text!r} is not a record type: {error}") from None


_RESOLVERS: "weakref.WeakSet[Resolver]" = weakref.WeakSet()


def _after_fork() -> None:
    for resolver in list(_RESOLVERS):
        resolver.forked()


os.register_at_fork(after_in_child=_after_fork)
