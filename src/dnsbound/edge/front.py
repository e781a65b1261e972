"""A front: another server, which asks whether a client may come in. One place for all faces of the verify service.

    door = FrontDoor(front, authenticator)
    answer = await door.ask(Asked(chain=(leaf,), source="192.0.2.7"))      # Allowed, or Denied; never an exception

The front has seen the client prove that it holds the key; we have not, and say so: possession is *asserted by* the
front, which its own socket or secret identifies. The door, too, follows from the front, and from nothing in the
request. Verdicts are not kept: each question is judged anew, by DNS evidence that the resolver may have at hand.

What this is not: how a question is written (`protocols.presented_by_fronts`, the faces), or who may connect
(`edge.authz_sockets`). Rules: docs/howto/verify-service.md, FR-01 to FR-09.
"""

import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from dnsbound.credential.certificate_facts import san_dns_names
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.authz_counters import ALLOWED, FrontCounters
from dnsbound.errors import DnsboundError, Malformed, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.times import Moment
from dnsbound.tls.handshake_claim import single_san
from dnsbound.verify.claim import Asserted, Claim, NameSource
from dnsbound.verify.peer import VerifiedPeer

FRONT_NAME_SOURCES: Final = (NameSource.SAN, NameSource.STATED)
"""Where a front can take a client's name from. No front hands on dane_clientid."""

_log: Final = logging.getLogger("dnsbound.authz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Who asks. label: who vouches for possession. claim_from: a stated name counts before the certificate's.

    secrets: one of which a question must show; empty where the socket says who asks. options: what the configuration
    says to the protocol's own face.
    """

    label: str
    door: str
    protocol: str = "http"
    claim_from: tuple[NameSource, ...] = (NameSource.SAN,)
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    options: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question: what the client showed, in one of three forms, or nothing of it.

    chain: DER, leaf first. name: what the client called itself beside its certificate (EHLO, an account), as it came.
    source: the client's address, if the front tells it. protocol: for the log. door: the door the request means, if it
    names one, which can only be the front's.
    """

    chain: tuple[bytes, ...] = ()
    raw_public_key: bytes | None = None
    digests: LeafDigests | None = None
    name: str | None = None
    source: str = ""
    protocol: str = ""
    door: str | None = None

    @property
    def presented(self) -> Presented:
        """Malformed where it is of several forms."""
        return Presented(self.chain, self.raw_public_key, digests=self.digests)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The client may come in."""

    peer: VerifiedPeer

    @property
    def name(self) -> ClientName:
        return self.peer.name

    @property
    def grants(self) -> Mapping[str, Any]:
        return self.peer.grants

    @property
    def valid_until(self) -> Moment:
        return self.peer.valid_until


MALFORMED: Final = "malformed"
"""The word beside those of `Reason` for a question that does not parse."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The client may not come in: it was decided, it could not be found out, or the question does not parse."""

    verdict: Refused | Undecided | Malformed

    @property
    def is_undecided(self) -> bool:
        return isinstance(self.verdict, Undecided)

    @property
    def reason(self) -> str:
        """A word of `Reason`, or `MALFORMED`: for the front's log and for counting, not for the client."""
        return MALFORMED if isinstance(self.verdict, Malformed) else self.verdict.reason.value


_Answer = TypeVar("_Answer", Allowed, Denied)


class FrontDoor:
    """Answers one front. For one event loop."""

    def __init__(
        self,
        front: Front,
        authenticator: Authenticator,
        *,
        counters: FrontCounters | None = None,
        on_allowed: Callable[[VerifiedPeer, Asked], None] | None = None,
    ) -> None:
        """counters: those of the door whose place it takes. on_allowed: told of each yes; must not raise or block."""
        self.front: Final = front
        self.counters: Final = counters or FrontCounters()
        self.authenticator: Final = authenticator
        self._on_allowed = on_allowed
        self._possession: Final = Asserted(front.label)

    def at_hand(self, asked: Asked) -> Allowed | Denied | None:
        """As `ask`, where nobody has to be waited for; None where the DNS would have to be asked."""
        try:
            peer = self.authenticator.authenticate_at_hand(self._claim_reported(asked))
        except (Refused, Undecided) as verdict:
            return self._counted(Denied(verdict))
        except Malformed as error:
            return self.malformed(error, source=self._source(asked))
        except DnsboundError as error:
            return self._counted(self._broken(error))
        return None if peer is None else self._allowed(peer, asked)

    async def ask(self, asked: Asked) -> Allowed | Denied:
        """The answer. Whatever goes wrong on the way is no yes."""
        answer = self.at_hand(asked)
        if answer is not None:
            return answer
        try:
            return self._allowed(await self.authenticator.authenticate(self._claim(asked)), asked)
        except (Refused, Undecided, Malformed) as verdict:
            return self._counted(Denied(verdict))
        except DnsboundError as error:
            return self._counted(self._broken(error))

    def malformed(self, error: DnsboundError, *, source: str = "") -> Denied:
        """A question that could not even be read, reported and counted as any other."""
        verdict = error if isinstance(error, Malformed) else Malformed(str(error))
        self._report(Refused(Reason.NO_CREDENTIAL, f"the front's question does not parse: {verdict}"), source)
        return self._counted(Denied(verdict))

    def turned_away(self, verdict: Refused | Undecided, *, source: str = "") -> Denied:
        """A no before there was a claim to judge, reported and counted as any other."""
        self._report(verdict, source or self.front.label)
        return self._counted(Denied(verdict))

    def _allowed(self, peer: VerifiedPeer, asked: Asked) -> Allowed:
        if self._on_allowed is not None:
            self._on_allowed(peer, asked)
        return self._counted(Allowed(peer))

    def _claim_reported(self, asked: Asked) -> Claim:
        """A client that is refused before it has claimed anything is a decision, too."""
        try:
            return self._claim(asked)
        except Refused as refusal:
            self._report(refusal, self._source(asked))
            raise

    def _claim(self, asked: Asked) -> Claim:
        front = self.front
        if asked.door is not None and asked.door != front.door:
            raise Malformed(f"front {front.label} asks about another door than {front.door}")
        presented = asked.presented
        if presented.is_empty:
            raise Refused(Reason.NO_CREDENTIAL, f"front {front.label} hands on neither certificate nor key")
        name, name_source = self._name(asked)
        return Claim(
            name=name,
            name_source=name_source,
            presented=presented,
            possession=self._possession,
            door=front.door,
            source=self._source(asked),
            protocol=asked.protocol,
        )

    def _name(self, asked: Asked) -> tuple[ClientName, NameSource]:
        accepted = self.front.claim_from
        if asked.name and NameSource.STATED in accepted:
            return _stated(asked.name, asked.chain), NameSource.STATED
        if NameSource.SAN in accepted and asked.chain:
            return single_san(asked.chain[0]), NameSource.SAN
        raise Refused(Reason.NO_NAME, "a credential came without a name that this front may take")

    def _source(self, asked: Asked) -> str:
        """For budgets: the client's address, else whoever could tell it and did not."""
        try:
            return str(ipaddress.ip_address(asked.source)) if asked.source else self.front.label
        except ValueError:
            return self.front.label

    def _report(self, verdict: Refused | Undecided, source: str) -> None:
        self.authenticator.turned_away(verdict, source=source)

    def _broken(self, error: DnsboundError) -> Denied:
        _log.error("front %s: a question could not be judged", self.front.label, exc_info=error)
        return Denied(Undecided(Reason.DNS_FAILED, "the verifier failed"))

    def _counted(self, answer: _Answer) -> _Answer:
        self.counters.answered(answer.reason if isinstance(answer, Denied) else ALLOWED)
        return answer


def _stated(text: str, chain: tuple[bytes, ...]) -> ClientName:
    """A stated name. A certificate that shows one name shows this one: a front that takes what clients call themselves
    must not let the holder of one name's certificate be somebody else by saying so."""
    try:
        name = ClientName.parse(text.removesuffix("."))
    except Malformed as error:
        raise Refused(Reason.BAD_NAME, f"the stated name is none: {error}") from error
    try:
        shown = san_dns_names(chain[0]) if chain else ()
    except Malformed:
        shown = ()
    if len(shown) == 1 and shown[0].lower() != name.canonical:
        raise Refused(Reason.AMBIGUOUS_NAME, "the stated name is another than the certificate's")
    return name
