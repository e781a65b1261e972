"""The part of a client's Context that authenticates servers by TLSA: the records are looked up before the handshake
(`prepare`) and kept until they expire, or the server shows them in the handshake (`ChainRequest`). How that is done is
in `context_server_tlsa` and `context_chain`.
"""

import ssl
import time
from collections.abc import Callable
from typing import Final, Literal

from dnsbound.edge.context_chain import ChainRequest, RequestedChain, requested_chain
from dnsbound.edge.context_members import EngineContext
from dnsbound.edge.context_server_tlsa import (
    LOOKUP_SECONDS,
    ResolverLike,
    ServerTLSA,
    ServerTLSACache,
    canonical_host,
    find_server_tlsa,
    find_with,
    find_with_blocking,
)
from dnsbound.times import Moment
from dnsbound.tls.errors import TLSMisuse

ServerTLSAMode = Literal["off", "require"]


class PreparingContext(EngineContext):
    """See the module."""

    def __init__(
        self, protocol: int, *, danger_unverified_server: bool = False, clock: Callable[[], Moment] = time.time
    ) -> None:
        super().__init__(protocol, danger_unverified_server=danger_unverified_server)
        self._clock: Final = clock
        self._resolver: ResolverLike | None = None
        self._server_tlsa: ServerTLSAMode = "off"
        self._chain_request: ChainRequest | None = None
        self._evidence: Final = ServerTLSACache()

    def _authenticate_servers(
        self, mode: ServerTLSAMode, resolver: ResolverLike | None, chains: ChainRequest | None
    ) -> None:
        if mode not in {"off", "require"}:
            raise TLSMisuse(f"server_tlsa is off or require, not {mode!r}")
        if mode == "require" and resolver is None and chains is None:
            raise TLSMisuse("server_tlsa needs a resolver, or dnssec_chain")
        self._resolver = resolver
        self._server_tlsa = mode
        self._chain_request = chains
        self._set(dnssec_chain=chains is not None)

    def _weaken(self, what: str) -> None:
        if self._server_tlsa == "require":
            raise TLSMisuse(f"{what}: not on a Context that authenticates servers by TLSA")
        super()._weaken(what)

    async def prepare(self, host: str, port: int, *, deadline: float = LOOKUP_SECONDS) -> ServerTLSA:
        """Look up the TLSA records of a server and keep them until they expire, for handshakes with `host`.

        host: as it will be given to the handshake. deadline: seconds for each lookup. Raises TLSRefused with NO_TLSA,
        TLSA_UNUSABLE or INSECURE, and TLSUndecided with BOGUS, INDETERMINATE, DNS_FAILED or WORK_BUDGET.
        """
        resolver = self._begin_preparing(host, port)
        return self._keep(await find_with(resolver, find_server_tlsa(host, port, over=self._over), deadline))

    def prepare_blocking(self, host: str, port: int, *, deadline: float = LOOKUP_SECONDS) -> ServerTLSA:
        """The same, blocking."""
        resolver = self._begin_preparing(host, port)
        return self._keep(find_with_blocking(resolver, find_server_tlsa(host, port, over=self._over), deadline))

    @property
    def _over(self) -> str:
        return "_tcp" if self._settings.datagrams is None and not self._settings.quic else "_udp"

    def _begin_preparing(self, host: str, port: int) -> ResolverLike:
        if self._server_tlsa != "require" or self._resolver is None:
            raise TLSMisuse("this Context looks up no TLSA records: make it with server_tlsa='require' and a resolver")
        self._evidence.check_port(canonical_host(host), port, self._clock())
        return self._resolver

    def _keep(self, evidence: ServerTLSA) -> ServerTLSA:
        now = self._clock()
        self._evidence.check_port(evidence.host, evidence.port, now)
        self._evidence.store(evidence, now)
        return evidence

    def _fresh_evidence(self, server_hostname: str | None) -> ServerTLSA | None:
        if self._server_tlsa != "require":
            return None
        return self._evidence.fresh(server_hostname or "", self._clock())

    def _requested_chain(self, server_hostname: str | None) -> RequestedChain | None:
        """What this server is asked to show in the handshake, where no records are at hand."""
        if self._verify_mode == ssl.CERT_NONE:
            return None
        required = self._server_tlsa == "require"
        return requested_chain(self._chain_request, server_hostname, required=required, clock=self._clock)
