"""The verifier of signed objects: who signed this, by the access list of one door and the records of the signer's name.

    verifier = ObjectVerifier.expecting(["car54._device.cars.example"], resolver)
    verified = await verifier.verify(jose.parse(token, typ="JWT"))
    verified.name, verified.payload

There is no way to verify without saying who may sign: an access list and a door, or the names that are expected. It is
a face of the authenticator (`dnsbound.edge.authenticator`): the same engine, the same order (permit, the signature
where the key comes along, records, match), the same log. Only secure records count. Unlike a login an object may be
shown again, by anybody: what keeps it from being used twice is in its form's own rules, such as those of reports.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, Self

from dnsbound.credential.matching import MatchPolicy
from dnsbound.edge.authenticator import LOOKUP_SECONDS, Authenticator, LookupSource
from dnsbound.edge.latest_time import LatestTime
from dnsbound.errors import Misuse, Refused, Undecided
from dnsbound.iana import Usage
from dnsbound.names import ClientName
from dnsbound.objects.signed import SignedObject, VerifiedObject, _attest_object
from dnsbound.times import Moment, Seconds
from dnsbound.verify.access import AccessList, AccessSource
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.decision import Decision
from dnsbound.verify.lookup_budget import LookupBudget

EXPECTED: Final = "expected-signer"
"""The door of `ObjectVerifier.expecting`, in logs."""
END_ENTITIES: Final = MatchPolicy(usages=frozenset({Usage.DANE_EE}))
"""What counts unless told otherwise: records that name the signer's own key. With usage 2 whoever holds an authority's
key signs in the name of all its clients, and long after the fact."""


class ObjectVerifier:
    """Who signed, at one door. One object serves any number of tasks and threads."""

    __slots__ = ("_authenticator", "_door")

    def __init__(
        self,
        access: AccessSource,
        resolver: LookupSource | None,
        *,
        door: str,
        policy: MatchPolicy = END_ENTITIES,
        deadline: Seconds = LOOKUP_SECONDS,
        lookups: LookupBudget | None = None,
        clock: Callable[[], Moment] = time.time,
        on_decision: Callable[[Decision], None] | None = None,
        carried_chains: CarriedChains | None = None,
        latest_time: LatestTime | None = None,
        danger_any_clock: bool = False,
    ) -> None:
        """As `Authenticator`."""
        self._door = door
        self._authenticator = Authenticator(
            access,
            resolver,
            door=door,
            policy=policy,
            deadline=deadline,
            lookups=lookups,
            clock=clock,
            on_decision=on_decision,
            carried_chains=carried_chains,
            latest_time=latest_time,
            danger_any_clock=danger_any_clock,
        )

    @classmethod
    def of(cls, authenticator: Authenticator) -> Self:
        """The same door that logins come in at, with its policy."""
        made = cls.__new__(cls)
        made._authenticator, made._door = authenticator, authenticator.door  # noqa: SLF001 (one of its own)
        return made

    @classmethod
    def expecting(
        cls,
        names: Iterable[str],
        resolver: LookupSource | None,
        *,
        policy: MatchPolicy = END_ENTITIES,
        deadline: Seconds = LOOKUP_SECONDS,
        clock: Callable[[], Moment] = time.time,
        on_decision: Callable[[Decision], None] | None = None,
        carried_chains: CarriedChains | None = None,
        latest_time: LatestTime | None = None,
        danger_any_clock: bool = False,
    ) -> Self:
        """These names alone may have signed; patterns as on an access list. Misuse without any."""
        if isinstance(names, str):
            raise Misuse("the expected signers are a list of names, not one text")
        access = AccessList.allowing(EXPECTED, names)
        if not len(access):
            raise Misuse("nobody is expected: name the signer")
        return cls(
            access,
            resolver,
            door=EXPECTED,
            policy=policy,
            deadline=deadline,
            clock=clock,
            on_decision=on_decision,
            carried_chains=carried_chains,
            latest_time=latest_time,
            danger_any_clock=danger_any_clock,
        )

    @property
    def door(self) -> str:
        return self._door

    @property
    def only_signer(self) -> ClientName | None:
        """The one name that may have signed, where the door lists just one and no pattern: for forms of signature that
        say no name."""
        listed = [text for text, _ in self._authenticator.access_list.grants(self.door)]
        return ClientName.parse(listed[0]) if len(listed) == 1 and "*" not in listed[0] else None

    def now(self) -> Moment:
        """The moment by this verifier's clock."""
        return self._authenticator.now()

    def turned_away(self, error: Refused | Undecided, *, source: str = "") -> None:
        """Report an object that was refused by its form's own rules, so that the log misses no decision."""
        self._authenticator.turned_away(error, source=source)

    async def verify(
        self, signed: SignedObject, *, source: str = "", carried_chain: bytes | None = None
    ) -> VerifiedObject:
        """Who signed the object. Refused or Undecided otherwise, as `Authenticator.authenticate`.

        source: who sent it, for budgets and logs. carried_chain: the DNSSEC chain of the signer's records, where the
        object came with one (`Claim.carried_chain`).
        """
        claim = signed.claim(door=self._door, source=source, carried_chain=carried_chain)
        return _attest_object(await self._authenticator.authenticate(claim), signed)

    def verify_blocking(
        self, signed: SignedObject, *, source: str = "", carried_chain: bytes | None = None
    ) -> VerifiedObject:
        """As `verify`, for a thread that may wait."""
        claim = signed.claim(door=self._door, source=source, carried_chain=carried_chain)
        return _attest_object(self._authenticator.authenticate_blocking(claim), signed)
