"""Which end-to-end keys of an XMPP address are trusted now, because a DNS name that speaks for the address says so.

    keys = AttestedKeys(access, resolver, door="chat", links=JidLinks(kinds=["_user"]))
    await keys.receive("bob@example.org", token)
    keys.decide("bob@example.org", identity_key)        # trusted, not attested, or undecided

A statement (`dnsbound.objects.xmpp_attestation`) is judged as a login is: permitted by the access list, linked to the
address, signed, its key published. It then counts while the signer's record stands: it is asked about again as a live
session is, and where the record is gone, or the access list has changed, its keys are trusted no longer. Nor are they
when it ends by itself, when a newer one of the same name leaves them out, or when it is withdrawn.

An older statement never takes a newer one's place, as long as this object lives: what it remembers is not written
down, so that after a start a server of XMPP may show an older one again until that ends. It belongs to one event loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dnsbound.edge.authenticator import LOOKUP_SECONDS, Authenticator, LookupSource
from dnsbound.edge.object_verifier import END_ENTITIES, ObjectVerifier
from dnsbound.edge.session_sweep import SessionSweep, sweep_for
from dnsbound.errors import LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import ATTESTATION_SECONDS, ATTESTATIONS
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jid_links import JidLinks
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.xmpp_attestation import Attestation, parse_attestation
from dnsbound.times import Moment, Seconds, iso
from dnsbound.verify.access import AccessSource
from dnsbound.verify.decision import Decision
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Session

_log: Final = logging.getLogger("dnsbound.attestations")


class KeyTrust(StrEnum):
    """What is to be done about one key."""

    TRUSTED = "trusted"
    NOT_ATTESTED = "not-attested"
    """Nobody who may says that it is a key of the address: nothing is encrypted to it."""
    UNDECIDED = "undecided"
    """Somebody says so, and whether his record stands could not be found out: nothing is encrypted to it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedBy:
    """A statement that counts, and who made it."""

    peer: VerifiedPeer
    attestation: Attestation
    until: Moment
    """When it is trusted no longer unless the DNS is asked again before, which happens by itself."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What one name says about one address."""

    jid: BareJid
    name: ClientName


class AttestedKeys:
    """See the module."""

    def __init__(
        self,
        access: AccessSource,
        resolver: LookupSource,
        *,
        door: str,
        links: JidLinks,
        deadline: Seconds = LOOKUP_SECONDS,
        grace: Seconds = 0.0,
        lookups: LookupBudget | None = None,
        clock: Callable[[], Moment] = time.time,
        on_decision: Callable[[Decision], None] | None = None,
        limit: int | None = None,
    ) -> None:
        """links: which name speaks for which address. limit: statements remembered at once. The rest as
        `Authenticator`. Only records of the signer's own key count (usage 3)."""
        self._authenticator = Authenticator(
            access,
            resolver,
            door=door,
            policy=END_ENTITIES,
            deadline=deadline,
            grace=grace,
            lookups=lookups,
            clock=clock,
            on_decision=on_decision,
        )
        self._verifier = ObjectVerifier.of(self._authenticator)
        self._links = links
        self._observers: Final[list[Callable[[BareJid], None]]] = []
        self._limit = ATTESTATIONS.checked(limit)
        self._kept: Final[dict[BareJid, dict[ClientName, _Kept]]] = {}
        self._waiting: Final[dict[_Key, str]] = {}
        """Statements about which the DNS could not say anything."""
        self._newest: Final[dict[_Key, Moment]] = {}
        """When the newest statement that counted was made, in the order in which they came."""

    async def receive(self, jid: str, token: str, *, source: str = "") -> AttestedBy:
        """Judge a statement that was found at the address, and keep it if it holds.

        Malformed, LimitExceeded, Refused: it is none, or does not count, and what counted before still does.
        Undecided: the DNS could not say; it waits for `ask_again`.
        """
        address = BareJid.parse(jid)
        try:
            signed = self._read(address, token)
        except Refused as error:
            self._authenticator.turned_away(error, source=source)
            raise
        key = _Key(address, signed.name)
        try:
            stated = await self._judged(key, signed, source)
        except Undecided:
            self._check_room(key)
            self._waiting[key] = token
            raise
        self._waits_no_more(key, token)
        return stated

    def decide(self, jid: str, identity_key: bytes) -> KeyTrust:
        """About an OMEMO key that somebody says is one of the address. Malformed for no address or key."""
        address, trust = BareJid.parse(jid), KeyTrust.NOT_ATTESTED
        for kept in self._kept.get(address, {}).values():
            if kept.attestation.lists(identity_key) and self._may_count(kept):
                if self._counts(kept):
                    return KeyTrust.TRUSTED
                trust = KeyTrust.UNDECIDED
        if any(key.jid == address for key in self._waiting):
            return KeyTrust.UNDECIDED
        return trust

    def openpgp(self, jid: str) -> frozenset[str]:
        """Fingerprints of the OpenPGP keys of the address that are trusted now."""
        return frozenset(text for stated in self.stated(jid) for text in stated.attestation.ox)

    def stated(self, jid: str) -> tuple[AttestedBy, ...]:
        """The statements about the address that count now."""
        kept = self._kept.get(BareJid.parse(jid), {}).values()
        return tuple(each.as_value(self._authenticator) for each in kept if self._counts(each))

    async def ask_again(self, jid: str) -> None:
        """Try the statements about the address that wait for the DNS once more. What is still undecided goes on
        waiting; what is refused is in the log."""
        address = BareJid.parse(jid)
        for key, token in [(key, token) for key, token in self._waiting.items() if key.jid == address]:
            try:
                await self.receive(jid, token)
            except (Refused, Undecided) as error:
                _log.info("what %s says of %s: %s", key.name, jid, error)
                if isinstance(error, Refused):
                    self._waits_no_more(key, token)

    def withdraw(self, jid: str, name: ClientName | None = None) -> None:
        """The name's statement was taken back where it was found, or all of the address were. An older one of the same
        name does not count either."""
        address = BareJid.parse(jid)
        for key in [key for key in self._waiting if key.jid == address and name in (None, key.name)]:
            del self._waiting[key]
        for kept in list(self._kept.get(address, {}).values()):
            if name in (None, kept.key.name):
                self._drop(kept, "withdrawn")

    def observe(self, observer: Callable[[BareJid], None]) -> None:
        """Tell it, on the event loop, of each address whose trusted keys are others now."""
        self._observers.append(observer)

    def now(self) -> Moment:
        """The moment by the clock that counts."""
        return self._authenticator.now()

    def close(self) -> None:
        """Trust nothing any more, and ask no more."""
        for kept in list(self):
            self._drop(kept, "closed")
        self._waiting.clear()

    def __iter__(self) -> "Iterator[_Kept]":
        return (kept for names in self._kept.values() for kept in names.values())

    def __len__(self) -> int:
        """Statements that are kept."""
        return sum(map(len, self._kept.values()))

    # --- judging

    def _read(self, address: BareJid, token: str) -> SignedObject:
        """All that is known without the DNS; a name that does not speak for the address causes no lookup."""
        now = self._authenticator.now()
        signed = parse_attestation(token, jid=address, now=now)
        self._check_newest(_Key(address, signed.name), signed.content)
        permit = self._authenticator.permit(signed.name)
        self._links.check(address, signed.name, permit.grants)
        return signed

    async def _judged(self, key: _Key, signed: SignedObject, source: str) -> AttestedBy:
        verified = await self._verifier.verify(signed, source=source)
        attestation: Attestation = verified.content
        try:
            attestation.check_apart_from(verified.spki_sha256)
            self._links.check(key.jid, key.name, verified.peer.grants)
            self._check_newest(key, attestation)  # another may have come while the DNS was asked
        except Refused as error:
            self._authenticator.turned_away(error, source=source)
            raise
        self._check_room(key)
        sweep = sweep_for(asyncio.get_running_loop(), self._authenticator)
        kept = _Kept(self, key, attestation, sweep)
        kept.session = sweep.register(verified.peer, signed.claim(door=self._verifier.door, source=source), kept)
        former = self._kept.setdefault(key.jid, {}).get(key.name)
        if former is not None:
            former.end()
        self._kept[key.jid][key.name] = kept
        self._newest.pop(key, None)
        self._newest[key] = attestation.issued_at
        kept.plan_end()
        if former is None or former.attestation != attestation:
            self._changed(key.jid)
        return kept.as_value(self._authenticator)

    def _waits_no_more(self, key: _Key, token: str) -> None:
        """Unless another statement waits in its place by now."""
        if self._waiting.get(key) == token:
            del self._waiting[key]

    def _check_newest(self, key: _Key, attestation: Attestation) -> None:
        newest = self._newest.get(key)
        if newest is not None and attestation.issued_at < newest:
            raise Refused(Reason.STALE, f"{key.name} has said something newer, at {iso(newest)}")

    def _check_room(self, key: _Key) -> None:
        """LimitExceeded when too much is remembered that could still count."""
        over = self._authenticator.now() - ATTESTATION_SECONDS.default
        while self._newest and next(iter(self._newest.values())) < over:
            self._newest.pop(next(iter(self._newest)))
        known = key in self._newest or key in self._waiting
        if not known and len(self._newest) + len(self._waiting) >= self._limit:
            raise LimitExceeded(ATTESTATIONS.name, f"{self._limit} statements are kept")

    # --- what counts

    def _may_count(self, kept: "_Kept") -> bool:
        return kept.is_open and self._authenticator.now() < kept.attestation.expires_at

    def _counts(self, kept: "_Kept") -> bool:
        ends_at = self._authenticator.sessions.ends_at(kept.session)
        return self._may_count(kept) and self._authenticator.now() < ends_at

    def _renewed(self, kept: "_Kept", peer: VerifiedPeer) -> None:
        """The record still stands; the grants may be others."""
        try:
            self._links.check(kept.key.jid, kept.key.name, peer.grants)
        except (Refused, Misuse) as error:
            self._drop(kept, str(error))

    def _drop(self, kept: "_Kept", why: str) -> None:
        if not kept.is_open:
            return
        kept.end()
        names = self._kept.get(kept.key.jid, {})
        if names.get(kept.key.name) is kept:
            del names[kept.key.name]
            if not names:
                del self._kept[kept.key.jid]
        _log.info("what %s says of %s is trusted no longer: %s", kept.key.name, kept.key.jid, why)
        self._changed(kept.key.jid)

    def _changed(self, jid: BareJid) -> None:
        for observer in self._observers:
            try:
                observer(jid)
            except Exception:  # noqa: BLE001 (an observer's mistake must not change what is trusted)
                _log.exception("an observer of attested keys failed")


class _Kept:
    """A statement that counts, as a live session: what `SessionSweep` calls a connection."""

    __slots__ = ("_book", "_end", "_sweep", "attestation", "is_open", "key", "session")

    session: Session

    def __init__(self, book: AttestedKeys, key: _Key, attestation: Attestation, sweep: SessionSweep) -> None:
        self._book = book
        self._sweep = sweep
        self._end: asyncio.TimerHandle | None = None
        self.key = key
        self.attestation = attestation
        self.is_open = True

    def as_value(self, authenticator: Authenticator) -> AttestedBy:
        until = min(self.attestation.expires_at, authenticator.sessions.ends_at(self.session))
        return AttestedBy(peer=self.session.peer, attestation=self.attestation, until=until)

    def plan_end(self) -> None:
        """Look at the clock again when the statement should have ended."""
        loop = asyncio.get_running_loop()
        left = self.attestation.expires_at - self._book._authenticator.now()  # noqa: SLF001 (the two classes are one machine)
        if left <= 0:
            self._book._drop(self, "it has ended")  # noqa: SLF001 (as above)
        else:
            self._end = loop.call_later(min(left, _LONGEST_WAIT), self.plan_end)

    def renewed(self, peer: VerifiedPeer) -> None:
        self._book._renewed(self, peer)  # noqa: SLF001 (as above)

    def cut(self, reason: Refused | Undecided) -> None:
        self._book._drop(self, str(reason))  # noqa: SLF001 (as above)

    def end(self) -> None:
        """Ask no more about it."""
        self.is_open = False
        self._sweep.remove(self.session)
        if self._end is not None:
            self._end.cancel()


_LONGEST_WAIT: Final[Seconds] = 3600.0
"""A timer runs by another clock than the one that counts, which may be set."""
