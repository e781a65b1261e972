"""One front's questions: whose name counts, who vouches, and that nothing is answered but what was judged."""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.presented import LeafDigests
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.front import Allowed, Asked, Denied, Front, FrontDoor
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Undecided
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import Asserted, NameSource
from dnsbound.verify.decision import Decision, Verdict
from unit.claims import CREDENTIAL, NAME, NOW, Records, answer

DOOR = "api.cars.example"
OTHER_DOOR = "report.gov.example"
LEAF = CREDENTIAL.chain[0]
GOOD = answer(NAME, CREDENTIAL.tlsa())
BOTH = (NameSource.SAN, NameSource.STATED)


def certificate(*names: str, common_name: str = "") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2019, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2020, 1, 1, tzinfo=UTC))
    if names:
        shown = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(shown, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


class Asking:
    """A front with its door."""

    def __init__(
        self,
        *answers: Any,
        claim_from: tuple[NameSource, ...] = (NameSource.SAN,),
        door: str = DOOR,
        access: AccessList | None = None,
        resolver: Any = None,
    ) -> None:
        self.resolver = resolver or Records(*answers)
        self.decisions: list[Decision] = []
        self.seen: list[tuple[str, str]] = []
        listed = access or AccessList.allowing(DOOR, [NAME], grants={"vlan": 12})
        authenticator = Authenticator(
            listed, self.resolver, door=door, clock=lambda: NOW, on_decision=self.decisions.append
        )
        front = Front(label="nginx", door=door, claim_from=claim_from)
        self.door = FrontDoor(front, authenticator, on_allowed=self._allowed)

    def _allowed(self, peer: Any, asked: Asked) -> None:
        self.seen.append((peer.name.text, asked.source))

    def __call__(self, **asked: Any) -> Allowed | Denied:
        return asyncio.run(self.door.ask(Asked(**asked)))

    def reason(self, **asked: Any) -> str:
        denied = self(**asked)
        assert isinstance(denied, Denied)
        return denied.reason


def test_az_01_a_yes_is_evidence_and_the_front_vouches_for_possession() -> None:
    ask = Asking(GOOD)
    allowed = ask(chain=(LEAF,), source="192.0.2.7", protocol="TLSv1.3")
    assert isinstance(allowed, Allowed)
    assert (allowed.name.text, dict(allowed.grants), allowed.valid_until) == (NAME, {"vlan": 12}, NOW + 60)
    assert (allowed.peer.possession, allowed.peer.name_source) == (Asserted("nginx"), NameSource.SAN)
    [decision] = ask.decisions
    assert (decision.verdict, decision.source, decision.protocol) == (Verdict.ADMITTED, "192.0.2.7", "TLSv1.3")
    assert ask.seen == [(NAME, "192.0.2.7")]
    assert ask.door.counters.answers == {"": 1}


def test_fr_01_underscores_in_names_are_names() -> None:
    assert "_" in NAME
    assert isinstance(Asking(GOOD)(chain=(LEAF,)), Allowed)


def test_fr_02_a_name_is_never_taken_from_the_subject() -> None:
    for leaf in (certificate(common_name=NAME), certificate()):
        ask = Asking(answer(NAME, tlsa_for_certificate(leaf)))
        assert ask.reason(chain=(leaf,)) == Reason.NO_NAME.value
        assert ask.resolver.asked == []


def test_fr_02_an_expired_certificate_without_a_subject_is_as_good_as_any() -> None:
    leaf = certificate(NAME)
    assert isinstance(Asking(answer(NAME, tlsa_for_certificate(leaf)))(chain=(leaf,)), Allowed)


def test_fr_03_nothing_shown_is_a_no_and_a_decision() -> None:
    ask = Asking(GOOD, claim_from=BOTH)
    assert ask.reason() == ask.reason(name=NAME) == Reason.NO_CREDENTIAL.value
    assert [decision.reason for decision in ask.decisions] == [Reason.NO_CREDENTIAL] * 2
    assert ask.resolver.asked == []


def test_fr_06_each_question_is_judged_anew() -> None:
    """As of a TLS session that is resumed: the same leaf, another day."""
    ask = Asking(GOOD)
    assert isinstance(ask(chain=(LEAF,)), Allowed)
    ask.resolver.answers = {GOOD.name: answer(NAME)}
    assert ask.reason(chain=(LEAF,)) == Reason.NO_TLSA.value


def test_fr_07_an_allow_at_one_door_is_none_at_another() -> None:
    listed = AccessList.from_toml(f'[door."{DOOR}"]\nallow = ["{NAME}"]\n[door."{OTHER_DOOR}"]\nallow = []\n')
    one, other = Asking(GOOD, access=listed), Asking(GOOD, access=listed, door=OTHER_DOOR)
    assert isinstance(one(chain=(LEAF,)), Allowed)
    assert other.reason(chain=(LEAF,)) == Reason.NOT_PERMITTED.value


def test_fr_07_evidence_at_hand_is_enough_and_nobody_is_asked() -> None:
    ask = Asking()
    assert ask.door.at_hand(Asked(chain=(LEAF,))) is None
    ask.resolver.at_hand = {GOOD.name: GOOD}
    assert isinstance(ask.door.at_hand(Asked(chain=(LEAF,))), Allowed)
    assert isinstance(ask(chain=(LEAF,)), Allowed)
    assert ask.resolver.asked == []
    assert ask.door.counters.answers == {"": 2}


def test_fr_09_the_door_is_the_fronts_own() -> None:
    ask = Asking(GOOD)
    assert isinstance(ask(chain=(LEAF,), door=DOOR), Allowed)
    denied = ask(chain=(LEAF,), door=OTHER_DOOR)
    assert isinstance(denied, Denied)
    assert isinstance(denied.verdict, Malformed)
    assert denied.reason == "malformed"


# --- names


@pytest.mark.parametrize(
    ("claim_from", "chain", "name", "outcome"),
    [
        ((NameSource.STATED,), (LEAF,), NAME, "allowed"),
        ((NameSource.STATED,), (LEAF,), NAME.upper(), "allowed"),
        ((NameSource.STATED,), (LEAF,), f"{NAME}.", "allowed"),
        ((NameSource.STATED,), (LEAF,), None, "no-name"),
        ((NameSource.STATED,), (LEAF,), "", "no-name"),
        ((NameSource.STATED,), (LEAF,), "car 54", "bad-name"),
        ((NameSource.STATED,), (LEAF,), "car99._device.cars.example", "ambiguous-name"),
        ((NameSource.SAN,), (LEAF,), "car99._device.cars.example", "allowed"),
        (BOTH, (LEAF,), None, "allowed"),
        (BOTH, (LEAF,), "car99._device.cars.example", "ambiguous-name"),
        ((NameSource.SAN,), (certificate("a.example", NAME),), None, "ambiguous-name"),
        ((NameSource.SAN,), (certificate("*.cars.example"),), None, "ambiguous-name"),
        ((NameSource.SAN,), (LEAF[:50],), None, "no-name"),
    ],
)
def test_az_11_whose_name_counts(
    claim_from: tuple[NameSource, ...], chain: tuple[bytes, ...], name: str | None, outcome: str
) -> None:
    answered = Asking(GOOD, claim_from=claim_from)(chain=chain, name=name)
    assert (answered.reason if isinstance(answered, Denied) else "allowed") == outcome


def test_az_11_a_stated_name_stands_where_the_certificate_shows_none_or_several() -> None:
    for leaf in (certificate(), certificate("a.example", "b.example")):
        ask = Asking(answer(NAME, tlsa_for_certificate(leaf)), claim_from=(NameSource.STATED,))
        allowed = ask(chain=(leaf,), name=NAME)
        assert isinstance(allowed, Allowed)
        assert allowed.peer.name_source is NameSource.STATED


def test_az_03_digests_and_bare_keys_need_a_stated_name() -> None:
    digests = LeafDigests(spki_sha256=hashlib.sha256(CREDENTIAL.spki).digest())
    for shown in ({"digests": digests}, {"raw_public_key": CREDENTIAL.spki}):
        assert isinstance(Asking(GOOD, claim_from=BOTH)(name=NAME, **shown), Allowed)
        assert Asking(GOOD, claim_from=BOTH).reason(**shown) == Reason.NO_NAME.value
    wrong = LeafDigests(spki_sha256=bytes(32))
    assert Asking(GOOD, claim_from=BOTH).reason(name=NAME, digests=wrong) == Reason.TLSA_MISMATCH.value


def test_what_is_shown_is_one_thing() -> None:
    assert Asking(GOOD).reason(chain=(LEAF,), raw_public_key=CREDENTIAL.spki) == "malformed"


# --- whom it is put down to


@pytest.mark.parametrize(
    ("said", "source"),
    [("192.0.2.7", "192.0.2.7"), ("2001:DB8::7", "2001:db8::7"), ("", "nginx"), ("192.0.2.7, 198.51.100.1", "nginx")],
)
def test_az_12_the_clients_address_is_what_the_front_says_or_the_front_itself(said: str, source: str) -> None:
    ask = Asking(GOOD)
    ask(chain=(LEAF,), source=said)
    assert ask.decisions[0].source == source


class Broken(Records):
    """A resolver that fails in ways of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def lookup(self, *_: Any, **__: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [LimitExceeded("dns-queries"), Misuse("no"), Undecided(Reason.DNS_FAILED)])
def test_az_05_whatever_fails_on_the_way_is_no_yes(error: Exception) -> None:
    denied = Asking(resolver=Broken(error))(chain=(LEAF,))
    assert isinstance(denied, Denied)
    assert denied.is_undecided


def test_questions_are_counted_by_reason() -> None:
    ask = Asking(GOOD)
    ask(chain=(LEAF,))
    ask()
    ask(chain=(LEAF,), door="other")
    assert ask.door.counters.answers == {"": 1, "no-credential": 1, "malformed": 1}
    counted = type(ask.door.counters).from_json(ask.door.counters.to_json())
    assert counted == ask.door.counters
    counted.add(ask.door.counters)
    assert counted.answers[""] == 2
