"""The verified peer: evidence that a claim held. Made by the engine alone; nothing else can construct one."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, Final

from dnsbound.dns.answer import Provenance
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.verify.claim import NameSource, Possession

_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPeer:
    """Who the peer is, and the evidence for it. There is no public way to make one."""

    name: ClientName
    name_source: NameSource
    door: str
    record: TLSA
    """The record that matched."""
    provenance: Provenance
    possession: Possession
    grants: Mapping[str, Any] = field(hash=False)
    """What the access list grants this name at this door (vlan, topic prefix, ...)."""
    verified_at: Moment
    valid_until: Moment
    """After this moment the evidence must not be used any more."""
    renew_at: Moment | None = None
    """When to look the evidence up again where that is possible; None for `valid_until`. Carried evidence holds until
    its signatures end, though the DNS may know better sooner."""
    signatures_expire: Moment | None = None
    """When the first signature under the evidence ends; None for evidence that needs none."""
    chain_expires: Moment | None = None
    """When the first certificate of the path ends; None for usage 3, which ignores dates."""
    access_generation: int = 0
    """Generation of the access list that permitted the name."""
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise Misuse("a VerifiedPeer comes from the engine, by verifying a claim")


def _attest(**evidence: Any) -> VerifiedPeer:  # noqa: ANN401 (the fields' own types are checked by the tests)
    """Make the evidence. Called in verify/engine.py and nowhere else; a test counts the callers."""
    return VerifiedPeer(seal=_SEAL, **evidence)
