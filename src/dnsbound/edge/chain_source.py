"""Where the chain comes from that a server or client sends: kept fresh from a resolver, or given once.

A `ChainSource` is asked once for each connection, in its way, so it must not wait. Servers send the chain of their own
`_port._tcp.host` (RFC 9102), clients that of their own TLSA record. A chain whose signatures have ended is still handed
out: RFC 9102 section 5 wants it sent, and it is the other side that judges. This does not judge what others send.
"""

import logging
import os
import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final, Protocol, Self

import dns.name
import dns.rdatatype

from dnsbound.dns.chain_building import BuiltChain
from dnsbound.errors import DnsboundError
from dnsbound.times import Moment, Seconds

SHORTEST_REFRESH: Final[Seconds] = 1.0
LONGEST_RETRY: Final[Seconds] = 60.0
_SHARE_OF_LIFE: Final = 0.75
"""A chain is built anew when so much of its life is over."""

_log = logging.getLogger("dnsbound.chains")


class ChainSource(Protocol):
    """What a Context needs to send a chain."""

    def current(self) -> bytes | None:
        """The AuthenticationChain (RFC 9102 section 2.3, without lifetime and length) to send now; None for none.
        Called for each connection, from any thread; does not wait."""


class ChainBuilder(Protocol):
    """What a `ResolvedChain` needs of a `dnsbound.Resolver`."""

    def chain_blocking(self, name: dns.name.Name | str, rdtype: dns.rdatatype.RdataType | str) -> BuiltChain: ...


class FixedChain:
    """A chain that was built elsewhere."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def current(self) -> bytes:
        return self._octets


class ResolvedChain:
    """A chain kept fresh: built at `start`, and again before its TTL or a signature in it ends.

        with ResolvedChain(resolver, "_443._tcp.www.example.com") as source: ...

    The work is done on a thread of its own. When a chain cannot be built, the last one stays, and it is tried again;
    the logger `dnsbound.chains` tells why. Thread-safe; after a fork the child builds its own.
    """

    def __init__(
        self,
        resolver: ChainBuilder,
        name: dns.name.Name | str,
        rdtype: dns.rdatatype.RdataType | str = dns.rdatatype.TLSA,
        *,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """name: the whole owner name, `_port._tcp` included for a server. clock: by which the resolver judges, too."""
        self._resolver = resolver
        self._name = name
        self._rdtype = rdtype
        self._clock = clock
        self._built: BuiltChain | None = None
        self._wake = Condition()
        self._running = False
        self._process = os.getpid()

    @classmethod
    def of_server(cls, resolver: ChainBuilder, host: str, port: int, *, transport: str = "tcp") -> Self:
        """The chain of a server's own TLSA records (RFC 6698 section 3). transport: tcp, udp or sctp."""
        return cls(resolver, f"_{port}._{transport}.{host}")

    @property
    def built(self) -> BuiltChain | None:
        """The newest chain, with what it says and until when it holds."""
        return self._built

    def current(self) -> bytes | None:
        """See `ChainSource`. None before the first chain was built."""
        if self._process != os.getpid():
            self._after_fork()
        built = self._built
        return None if built is None else built.octets

    def refresh(self) -> BuiltChain:
        """Build the chain now, and wait for it; raises as `Resolver.chain` does, and then the last one stays."""
        self._built = built = self._resolver.chain_blocking(self._name, self._rdtype)
        return built

    def start(self) -> Self:
        """Build the first chain, and wait for it, and keep it fresh from then on. Raises as `refresh` does."""
        self.refresh()
        self._running = True
        self._keep_fresh()
        return self

    def close(self) -> None:
        """End the refreshing. The last chain stays."""
        with self._wake:
            self._running = False
            self._wake.notify_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_fresh(self) -> None:
        Thread(target=self._run, name="dnsbound-chain", daemon=True).start()

    def _after_fork(self) -> None:
        """The thread, and whoever held the condition, are the parent's."""
        self._process = os.getpid()
        self._wake = Condition()
        if self._running:
            self._keep_fresh()

    def _run(self) -> None:
        failures = 0
        while True:
            with self._wake:
                if not self._running or self._wake.wait_for(lambda: not self._running, self._pause(failures)):
                    return
            try:
                self.refresh()
                failures = 0
            except DnsboundError as error:
                failures += 1
                _log.warning("no new chain of %s: %s", self._name, error)

    def _pause(self, failures: int) -> Seconds:
        if failures:
            return min(LONGEST_RETRY, SHORTEST_REFRESH * 2.0 ** min(failures, 10))
        left = 0.0 if self._built is None else self._built.valid_until - self._clock()
        return max(SHORTEST_REFRESH, left * _SHARE_OF_LIFE)
