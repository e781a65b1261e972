"""Running the trials of `dnsbound eap test`: the device's TLS, the way to the server, one trial after the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnsbound.cli.opened import trust_anchors
from dnsbound.cli.radius_hop import Hop
from dnsbound.errors import Misuse
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnsbound.edge.context import Context
    from dnsbound.edge.context_server_tlsa import ResolverLike
    from dnsbound.edge.eap_client import AsNas, Trial
    from dnsbound.edge.eap_tls_client import EapServerTrust
    from dnsbound.edge.radius_client import RadiusAsker
    from dnsbound.tls.client_shim import ClientShim
    from dnsbound.tls.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerShown:
    """What the EAP-TLS server showed, and what it was believed by. names: of its certificate; empty for a bare key.
    key: SHA-256 of its public key, in hex; empty when it showed none."""

    names: tuple[str, ...] = ()
    key: str = ""
    believed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """By what the EAP-TLS server may be believed, as the options say it."""

    ca: Path | None = None
    name: str | None = None
    tlsa: str | None = None
    chain: str | None = None
    danger_unverified: bool = False

    def trust(self, resolver: "ResolverLike", anchors: Path | None) -> "EapServerTrust":
        """Misuse unless exactly one way was chosen."""
        from dnsbound.edge.context_chain import ChainRequest
        from dnsbound.edge.eap_server_chain import EAP_TLSA_PORT
        from dnsbound.edge.eap_tls_client import EapServerTrust

        if sum(map(bool, (self.ca, self.tlsa, self.chain, self.danger_unverified))) != 1:
            raise Misuse(
                "say how the EAP-TLS server is believed, in one way: --ca with --server-name, --server-tlsa, "
                "--server-chain, or --danger-unverified-server"
            )
        if self.ca is not None and self.name is None:
            raise Misuse("--ca needs --server-name: its authorities may vouch for others as well")
        return EapServerTrust(
            name=self.tlsa or self.chain or self.name,
            authorities=None if self.ca is None else str(self.ca),
            resolver=resolver if self.tlsa else None,
            chain=ChainRequest(port=EAP_TLSA_PORT, anchors=trust_anchors(anchors)) if self.chain else None,
            danger_unverified=self.danger_unverified,
        )

    @property
    def words(self) -> str:
        """Where no record was it."""
        if self.danger_unverified:
            return "nothing"
        return f"{self.ca}, as {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRun:
    """All that trials have in common."""

    hop: Hop
    resolver: "ResolverLike"
    context: "Context"
    belief: Belief
    trust: "EapServerTrust"
    nas: "AsNas"
    identity: bytes
    fragment: int | None
    resume: bool
    seconds: Seconds
    """For each request, and each lookup."""

    def run(self, times: int, tell: "Callable[[Trial, ServerShown], None]") -> None:
        """Try so many times; tell: called for each."""
        import asyncio

        asyncio.run(self._run(times, tell))

    async def _run(self, times: int, tell: "Callable[[Trial, ServerShown], None]") -> None:
        if self.trust.resolver is not None:
            from dnsbound.edge.eap_server_chain import EAP_TLSA_PORT

            assert self.trust.name is not None
            await self.context.prepare(self.trust.name, EAP_TLSA_PORT, deadline=self.seconds)
        async with self.hop.opened(self.resolver, self.seconds) as asker:
            session: Session | None = None
            for _ in range(times):
                trial, shown, session = await self._try(asker, session)
                tell(trial, shown)

    async def _try(
        self, asker: "RadiusAsker", session: "Session | None"
    ) -> "tuple[Trial, ServerShown, Session | None]":
        from dnsbound.edge.eap_client import try_eap
        from dnsbound.edge.eap_tls_client import EapTlsClient
        from dnsbound.protocols.eap_peer import EapPeer

        tls = EapTlsClient(self.context, self.trust.name, session=session)
        peer = EapPeer(self.identity, tls.open, fragment_octets=self.fragment)
        trial = await try_eap(asker, peer, nas=self.nas, identity=self.identity)
        kept = trial.done.session if self.resume and trial.done is not None else None
        return trial, self._shown(tls.shim), kept

    def _shown(self, shim: "ClientShim | None") -> ServerShown:
        """What the server showed, if the handshake came so far."""
        import contextlib
        import hashlib

        from dnsbound.credential.certificate_facts import san_dns_names, spki_of
        from dnsbound.errors import Malformed

        if shim is None:
            return ServerShown()
        chain = shim.get_unverified_chain()
        key = shim.peer_raw_public_key()
        names: tuple[str, ...] = ()
        if chain:
            certificate = bytes(chain[0])
            with contextlib.suppress(Malformed):
                names, key = san_dns_names(certificate), spki_of(certificate)
        record = shim.server_tlsa()
        return ServerShown(
            names=names,
            key="" if key is None else hashlib.sha256(key).hexdigest(),
            believed_by=f"TLSA {record.to_text()} of {self.trust.name}" if record is not None else self.belief.words,
        )
