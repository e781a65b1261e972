"""Which keys are trusted now: judged as a login is, kept as a session is, and given up as one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
import xeddsa

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.attested_keys import AttestedKeys, KeyTrust
from dnsbound.errors import LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.iana import MatchingType
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jid_links import JidLinks
from dnsbound.objects.jose import sign_jwt
from dnsbound.objects.omemo_key import OmemoKey
from dnsbound.objects.xmpp_attestation import TYP, Attestation, attest
from dnsbound.testing import Device, Fault, World
from dnsbound.verify.access import AccessList
from dnsbound.verify.decision import Decision, Verdict

SECONDS = 20.0
BOB = "bob@xmpp.example"
KEYS = [
    OmemoKey(device=number, identity_key=xeddsa.priv_to_ed25519_pub(sha256(b"%d" % number).digest()))
    for number in range(1, 5)
]
OX = "1357B01865B2503C18453D208CAC2A9678548E35"


@dataclass
class Access:
    """A list that a test changes."""

    listed: AccessList

    def current(self) -> AccessList:
        return self.listed


@dataclass
class Place:
    """A client that is told of statements, in the world where their names are."""

    world: World
    links: JidLinks = field(default_factory=lambda: JidLinks({BOB: ["bob._user.people.example"]}))
    decisions: list[Decision] = field(default_factory=list)
    ahead: float = 0.0
    """Seconds by which the clock that counts is before the world's."""
    access: Access = field(default_factory=lambda: Access(allowing("*._user.people.example")))
    changed: asyncio.Queue[BareJid] = field(default_factory=asyncio.Queue)

    def now(self) -> float:
        return self.world.now() + self.ahead

    @contextlib.asynccontextmanager
    async def keys(self, **options: Any) -> AsyncIterator[AttestedKeys]:
        resolver = self.world.resolver(clock=self.now)
        options = {"links": self.links, "clock": self.now, "on_decision": self.decisions.append} | options
        keys = AttestedKeys(self.access, resolver, door="chat", **options)
        keys.observe(self.changed.put_nowait)
        try:
            yield keys
        finally:
            keys.close()
            await resolver.aclose()

    def person(self, label: str = "bob", **options: Any) -> Device:
        return self.world.organisation("people.example").identity(f"{label}._user", **options)

    def says(self, who: Device | Credential, *keys: OmemoKey, before: float = 0.0, **options: Any) -> str:
        credential = who if isinstance(who, Credential) else who.credential
        return attest(credential, BOB, omemo=keys, now=self.now() - before, **options)

    async def change(self) -> BareJid:
        async with asyncio.timeout(SECONDS):
            return await self.changed.get()


def allowing(*names: str, **grants: object) -> AccessList:
    return AccessList.allowing("chat", names, grants=grants)


@pytest.fixture
def place() -> Iterator[Place]:
    with World() as world:
        yield Place(world)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())


def trusted(keys: AttestedKeys) -> list[KeyTrust]:
    return [keys.decide(BOB, key.identity_key) for key in KEYS]


YES, NO, UNDECIDED = KeyTrust.TRUSTED, KeyTrust.NOT_ATTESTED, KeyTrust.UNDECIDED


def test_xe_01_a_name_vouches_for_its_keys(place: Place) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys() as keys:
            assert trusted(keys) == [NO, NO, NO, NO]
            stated = await keys.receive(BOB, place.says(bob, KEYS[0], KEYS[1], ox=[OX]), source=BOB)
            assert stated.peer.name == bob.name
            assert stated.peer.record == bob.record
            assert stated.until <= stated.peer.valid_until < stated.attestation.expires_at
            assert trusted(keys) == [YES, YES, NO, NO]
            assert keys.openpgp(BOB) == {OX}
            assert keys.decide("carol@xmpp.example", KEYS[0].identity_key) is NO
            assert not keys.openpgp("carol@xmpp.example")
            assert keys.stated(BOB) == (stated,)
            assert await place.change() == BareJid.parse(BOB)
            (decision,) = place.decisions
            assert (decision.verdict, decision.name, decision.source) == (Verdict.ADMITTED, bob.name.canonical, BOB)

    run(main)


def test_xe_01_the_record_may_publish_the_key_whole(place: Place) -> None:
    async def main() -> None:
        bob = place.person(publish=False)
        bob.publish(matching_type=MatchingType.FULL)
        async with place.keys() as keys:
            claims = Attestation(
                name=bob.name,
                jid=BareJid.parse(BOB),
                omemo=(KEYS[0],),
                issued_at=place.now(),
                expires_at=place.now() + 60,
            ).to_claims()
            token = sign_jwt(claims, bob.credential, now=place.now(), lifetime=60, typ=TYP, key_in_band=False)
            await keys.receive(BOB, token)
            assert trusted(keys)[0] is YES

    run(main)


def test_xe_05_nothing_is_looked_up_for_whom_it_could_not_help(place: Place) -> None:
    """Not permitted; permitted and not linked; a signature that is not of the key that came along."""

    async def main() -> None:
        bob, carol = place.person(), place.person("carol")
        stranger = place.world.organisation("strangers.example").identity("bob._user")
        good = place.says(bob, KEYS[0])
        head, payload, signature = good.split(".")
        forged = f"{head}.{payload}.{'A' * len(signature)}"
        other = place.says(bob, KEYS[1]).split(".")[1]
        cases = {
            place.says(stranger, KEYS[0]): Reason.NOT_PERMITTED,
            place.says(carol, KEYS[0]): Reason.NOT_LINKED,
            forged: Reason.BAD_SIGNATURE,
            f"{head}.{other}.{signature}": Reason.BAD_SIGNATURE,
        }
        async with place.keys() as keys:
            for token, reason in cases.items():
                with pytest.raises(Refused) as info:
                    await keys.receive(BOB, token)
                assert info.value.reason is reason
            assert not len(place.world.queries)
            assert [decision.reason for decision in place.decisions] == list(cases.values())
            assert trusted(keys) == [NO, NO, NO, NO]
            assert not len(keys)

    run(main)


def test_xe_05_another_key_under_the_name_is_refused(place: Place) -> None:
    async def main() -> None:
        bob = place.person()
        impostor = Credential.generate(bob.name, now=place.now())
        async with place.keys() as keys:
            with pytest.raises(Refused) as info:
                await keys.receive(BOB, place.says(impostor, KEYS[0]))
            assert info.value.reason is Reason.TLSA_MISMATCH
            assert trusted(keys)[0] is NO

    run(main)


def test_xe_05_records_are_secure_or_nothing(place: Place) -> None:
    """From a zone that is not signed; with signatures that do not hold."""

    async def main() -> None:
        plain = place.world.organisation("plain.example", signed=False).identity("bob._user")
        place.links, place.access.listed = JidLinks({BOB: [plain.name.text]}), allowing("*._user.plain.example")
        async with place.keys() as keys:
            with pytest.raises(Refused) as refused:
                await keys.receive(BOB, place.says(plain, KEYS[0]))
            assert refused.value.reason is Reason.INSECURE
            assert trusted(keys)[0] is NO
        bob = place.person()
        place.links, place.access.listed = JidLinks({BOB: [bob.name.text]}), allowing("*._user.people.example")
        place.world.fault(bob.name.text, Fault.BOGUS)
        async with place.keys() as keys:
            with pytest.raises(Undecided) as undecided:
                await keys.receive(BOB, place.says(bob, KEYS[0]))
            assert undecided.value.reason is Reason.BOGUS
            assert trusted(keys)[0] is UNDECIDED

    run(main)


def test_xe_04_grants_link_names_with_addresses(place: Place) -> None:
    """And no longer when the grant is gone."""

    async def main() -> None:
        place.links = JidLinks()
        carol = place.person("carol")
        async with place.keys() as keys:
            place.access.listed = allowing("carol._user.people.example", jid=[BOB])
            await keys.receive(BOB, place.says(carol, KEYS[0]))
            assert trusted(keys)[0] is YES
            await place.change()
            place.access.listed = allowing("carol._user.people.example", jid=["carol@xmpp.example"])
            await place.change()
            assert trusted(keys)[0] is NO

    run(main)


@pytest.mark.parametrize("how", ["record", "access"])
def test_xe_07_trust_goes_when_the_record_or_the_permit_does(place: Place, how: str) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys() as keys:
            await keys.receive(BOB, place.says(bob, KEYS[0]))
            await place.change()
            if how == "record":
                bob.revoke()
            else:
                place.access.listed = allowing("nobody.people.example")
            assert await place.change() == BareJid.parse(BOB)
            assert trusted(keys)[0] is NO
            assert not keys.stated(BOB)
            assert not len(keys)
            with pytest.raises(Refused):
                await keys.receive(BOB, place.says(bob, KEYS[0]))

    run(main)


def test_xe_08_what_the_dns_cannot_say_is_undecided_until_it_can(place: Place) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys(deadline=0.5) as keys:
            place.world.fault(bob.name.text, Fault.SERVFAIL)
            token = place.says(bob, KEYS[0])
            with pytest.raises(Undecided):
                await keys.receive(BOB, token)
            assert trusted(keys) == [UNDECIDED] * 4
            await keys.ask_again(BOB)
            assert trusted(keys) == [UNDECIDED] * 4
            assert not keys.openpgp(BOB)
            place.world.heal()
            place.ahead += 60  # what was remembered of the failure is over
            await keys.ask_again(BOB)
            assert trusted(keys) == [YES, NO, NO, NO]

    run(main)


def test_xe_08_what_turns_out_to_be_refused_waits_no_longer(place: Place) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys(deadline=0.5) as keys:
            place.world.fault(bob.name.text, Fault.SERVFAIL)
            with pytest.raises(Undecided):
                await keys.receive(BOB, place.says(bob, KEYS[0]))
            place.world.heal()
            bob.revoke()
            place.ahead += 60
            await keys.ask_again(BOB)
            assert trusted(keys) == [NO, NO, NO, NO]

    run(main)


def test_xe_08_evidence_that_has_ended_trusts_nothing(place: Place) -> None:
    """The DNS falls silent while a statement counts: it does not, as soon as the evidence ends."""

    async def main() -> None:
        bob = place.person()
        async with place.keys() as keys:
            stated = await keys.receive(BOB, place.says(bob, KEYS[0]))
            place.ahead += stated.until - place.now() + 0.5
            assert trusted(keys) == [UNDECIDED, NO, NO, NO]
            assert not keys.stated(BOB)

    run(main)


def test_xe_06_a_statement_ends_by_itself(place: Place) -> None:
    async def main() -> None:
        bob = place.person(ttl=3600)
        async with place.keys() as keys:
            await keys.receive(BOB, place.says(bob, KEYS[0], lifetime=60))
            await place.change()
            place.ahead += 61
            assert trusted(keys)[0] is NO
            assert not keys.stated(BOB)
            with pytest.raises(Refused) as info:
                await keys.receive(BOB, place.says(bob, KEYS[0], before=61, lifetime=60))
            assert info.value.reason is Reason.STALE

    run(main)


def test_xe_06_who_watches_is_told_of_the_end(place: Place) -> None:
    async def main() -> None:
        bob = place.person(ttl=3600)
        async with place.keys() as keys:
            await keys.receive(BOB, place.says(bob, KEYS[0], lifetime=2))
            await place.change()
            assert await place.change() == BareJid.parse(BOB)
            assert not len(keys)

    run(main)


class TestNewer:
    """XE-09."""

    def test_xe_09_it_takes_the_older_ones_place(self, place: Place) -> None:
        async def main() -> None:
            bob = place.person()
            older, newer = place.says(bob, KEYS[0], KEYS[1], before=10), place.says(bob, KEYS[1], KEYS[2], before=5)
            async with place.keys() as keys:
                await keys.receive(BOB, older)
                await keys.receive(BOB, newer)
                assert trusted(keys) == [NO, YES, YES, NO]
                with pytest.raises(Refused) as info:
                    await keys.receive(BOB, older)
                assert info.value.reason is Reason.STALE
                assert trusted(keys) == [NO, YES, YES, NO]
                assert (await keys.receive(BOB, newer)).attestation.omemo == (KEYS[1], KEYS[2])
                assert len(keys) == 1

        run(main)

    def test_xe_09_one_without_keys_takes_all_back(self, place: Place) -> None:
        async def main() -> None:
            bob = place.person()
            older = place.says(bob, KEYS[0], before=10)
            async with place.keys() as keys:
                await keys.receive(BOB, older)
                await keys.receive(BOB, place.says(bob))
                assert trusted(keys)[0] is NO
                with pytest.raises(Refused):
                    await keys.receive(BOB, older)

        run(main)

    def test_xe_09_what_was_withdrawn_does_not_come_back_older(self, place: Place) -> None:
        async def main() -> None:
            bob = place.person()
            older, newer = place.says(bob, KEYS[0], before=10), place.says(bob, KEYS[1])
            async with place.keys() as keys:
                await keys.receive(BOB, newer)
                keys.withdraw(BOB, bob.name)
                keys.withdraw(BOB, bob.name)
                assert trusted(keys) == [NO, NO, NO, NO]
                with pytest.raises(Refused):
                    await keys.receive(BOB, older)
                await keys.receive(BOB, newer)
                assert trusted(keys)[1] is YES

        run(main)

    def test_xe_09_two_at_once_come_to_the_newer(self, place: Place) -> None:
        async def main() -> None:
            bob = place.person()
            tokens = [place.says(bob, key, before=10 - 3 * number) for number, key in enumerate(KEYS[:3])]
            async with place.keys() as keys:
                await asyncio.gather(*[keys.receive(BOB, token) for token in reversed(tokens)], return_exceptions=True)
                assert trusted(keys) == [NO, NO, YES, NO]

        run(main)

    def test_xe_09_a_refused_one_changes_nothing(self, place: Place) -> None:
        async def main() -> None:
            bob = place.person()
            impostor = Credential.generate(bob.name, now=place.now())
            async with place.keys() as keys:
                await keys.receive(BOB, place.says(bob, KEYS[0], before=10))
                with pytest.raises(Refused):
                    await keys.receive(BOB, place.says(impostor, KEYS[1]))
                assert trusted(keys) == [YES, NO, NO, NO]

        run(main)


def test_several_names_may_speak_for_an_address(place: Place) -> None:
    async def main() -> None:
        bob, phone = place.person(), place.person("phone")
        place.links = JidLinks({BOB: [bob.name.text, phone.name.text]})
        async with place.keys() as keys:
            await keys.receive(BOB, place.says(bob, KEYS[0]))
            await keys.receive(BOB, place.says(phone, KEYS[1]))
            assert trusted(keys) == [YES, YES, NO, NO]
            keys.withdraw(BOB, phone.name)
            assert trusted(keys) == [YES, NO, NO, NO]
            keys.withdraw(BOB)
            assert trusted(keys) == [NO, NO, NO, NO]

    run(main)


@pytest.mark.parametrize("in_band", [True, False], ids=["in-band", "published"])
def test_xe_10_the_key_of_the_record_is_no_key_of_omemo(place: Place, *, in_band: bool) -> None:
    """Said by somebody who does not make statements as we do."""

    async def main() -> None:
        bob = place.person(algorithm=KeyAlgorithm.ED25519, publish=False)
        bob.publish(matching_type=MatchingType.FULL)
        own = OmemoKey(device=1, identity_key=bob.credential.spki[-32:])
        claims = Attestation(
            name=bob.name, jid=BareJid.parse(BOB), omemo=(own,), issued_at=place.now(), expires_at=place.now() + 60
        ).to_claims()
        token = sign_jwt(claims, bob.credential, now=place.now(), lifetime=60, typ=TYP, key_in_band=in_band)
        async with place.keys() as keys:
            with pytest.raises(Refused) as info:
                await keys.receive(BOB, token)
            assert info.value.reason is Reason.KEY_REUSED
            assert place.decisions[-1].reason is Reason.KEY_REUSED
            assert bool(place.world.queries) is not in_band
            assert keys.decide(BOB, own.identity_key) is NO

    run(main)


def test_xe_08_a_newer_one_waits_though_an_older_one_counts(place: Place) -> None:
    """It came while the DNS was silent; whoever shows the older one again does not make it forgotten."""

    async def main() -> None:
        bob = place.person()
        older, newer = place.says(bob, KEYS[0], before=10), place.says(bob, KEYS[1])
        async with place.keys(deadline=0.5) as keys:
            place.world.fault(bob.name.text, Fault.SERVFAIL)
            with pytest.raises(Undecided):
                await keys.receive(BOB, newer)
            place.world.heal()
            place.ahead += 60
            await keys.receive(BOB, older)
            assert trusted(keys) == [YES, UNDECIDED, UNDECIDED, UNDECIDED]
            await keys.ask_again(BOB)
            assert trusted(keys) == [NO, YES, NO, NO]

    run(main)


def test_xe_13_openpgp_keys_are_those_that_count_now(place: Place) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys() as keys:
            await keys.receive(BOB, place.says(bob, before=10, ox=[OX, OX[::-1]]))
            assert keys.openpgp(BOB) == {OX, OX[::-1]}
            await keys.receive(BOB, place.says(bob, ox=[OX]))
            assert keys.openpgp(BOB) == {OX}
            keys.withdraw(BOB)
            assert not keys.openpgp(BOB)

    run(main)


def test_how_much_is_kept_is_limited(place: Place) -> None:
    async def main() -> None:
        people = [place.person(label) for label in ("bob", "carol")]
        place.links = JidLinks({BOB: [each.name.text for each in people]})
        async with place.keys(limit=1) as keys:
            await keys.receive(BOB, place.says(people[0], KEYS[0]))
            with pytest.raises(LimitExceeded):
                await keys.receive(BOB, place.says(people[1], KEYS[1]))
            await keys.receive(BOB, place.says(people[0], KEYS[2]))
            assert trusted(keys) == [NO, NO, YES, NO]

    run(main)


@pytest.mark.parametrize("jid", ["", "bob", "Bob@xmpp.example", "bob@xmpp.example/phone"])
def test_what_is_no_address(place: Place, jid: str) -> None:
    async def main() -> None:
        async with place.keys() as keys:
            with pytest.raises(Malformed):
                await keys.receive(jid, "x")
            with pytest.raises(Malformed):
                keys.decide(jid, KEYS[0].identity_key)

    run(main)


def test_an_observers_mistake_changes_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bob = place.person()
        async with place.keys() as keys:
            keys.observe(lambda _jid: 1 // 0)  # type: ignore[arg-type,return-value]
            await keys.receive(BOB, place.says(bob, KEYS[0]))
            assert trusted(keys)[0] is YES
        assert "observer" in caplog.text

    run(main)
