"""Who signed a CMS message, by the one engine: a device by the TLSA records of its name, a person by the SMIMEA records
of the mailbox, in zones that are validated here."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.matching import MatchPolicy
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName, MailboxName
from dnsbound.objects.cms import parse, sign, smime
from dnsbound.objects.signed import SignedObject
from dnsbound.records import smimea
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Organisation
from dnsbound.verify.access import AccessList
from unit.cms import crafting

PAYLOAD = b"twelve kilometres\n"
HUGH = MailboxName.parse("hugh@cars.example")
MESSAGE = b"From: Hugh <hugh@cars.example>\nSubject: report\n\nTwelve kilometres.\n"


CAR = "car54._device.cars.example"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


@pytest.fixture
def car(cars: Organisation) -> Credential:
    return cars.device("car54").credential


def reason(verifier: ObjectVerifier, signed: SignedObject) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        verifier.verify_blocking(signed)
    assert isinstance(caught.value, Refused | Undecided)
    return caught.value.reason


def of_mailbox(authority: CertificateAuthority | None = None) -> Credential:
    """A key and a certificate for Hugh's mailbox, signed by itself or by an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.load_der_x509_certificate(Credential.generate("a.example", now=time.time()).chain[0])
    signing = key if authority is None else authority.private_key
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    issuer = own.subject if authority is None else x509.load_der_x509_certificate(authority.chain[0]).subject
    dates = own.not_valid_before_utc, own.not_valid_after_utc
    builder = x509.CertificateBuilder(issuer, own.subject, key.public_key(), 7, *dates)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(HUGH.text)]), critical=False)
    made = builder.sign(signing, hashes.SHA256()).public_bytes(Encoding.DER)
    return Credential(None, key, (made,) if authority is None else (made, *authority.chain))


def publish(cars: Organisation, *records: TLSA) -> None:
    owner = smimea.owner_of(HUGH)
    cars.remove(owner)
    cars.publish(owner, *(f"SMIMEA {record.to_text()}" for record in records))


@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_cm_13_a_device_signs_by_its_name(world: World, car: Credential, *, detached: bool) -> None:
    message = sign(PAYLOAD, car, now=time.time(), detached=detached)
    verified = ObjectVerifier.expecting([CAR], world.resolver()).verify_blocking(
        parse(message, content=PAYLOAD if detached else None)
    )
    assert (verified.name.text, verified.payload) == (CAR, PAYLOAD)
    assert verified.peer.record == car.tlsa()


def test_cm_13_anybody_else_is_refused(world: World, cars: Organisation, car: Credential) -> None:
    resolver = world.resolver()
    verifier = ObjectVerifier.expecting([CAR], resolver)
    thief = Credential.generate(CAR, now=time.time())
    truck = cars.device("truck13").credential
    assert reason(verifier, parse(sign(PAYLOAD, thief, now=time.time()))) is Reason.TLSA_MISMATCH
    assert reason(verifier, parse(sign(PAYLOAD, truck, now=time.time()))) is Reason.NOT_PERMITTED
    good = sign(PAYLOAD, car, now=time.time())
    assert reason(verifier, parse(good.replace(PAYLOAD, b"eleven kilometres\n"))) is Reason.BAD_SIGNATURE


def test_cm_13_a_bad_signature_causes_no_query(world: World, car: Credential) -> None:
    message = sign(PAYLOAD, car, now=time.time()).replace(PAYLOAD, b"eleven kilometres\n")
    asked = len(world.queries)
    assert reason(ObjectVerifier.expecting([CAR], world.resolver()), parse(message)) is Reason.BAD_SIGNATURE
    assert len(world.queries) == asked


def test_cm_13_removing_the_record_ends_it_and_silence_decides_nothing(
    world: World, cars: Organisation, car: Credential
) -> None:
    signed = parse(sign(PAYLOAD, car, now=time.time()))
    cars.fault(Fault.SERVFAIL)
    assert reason(ObjectVerifier.expecting([CAR], world.resolver()), signed) is Reason.DNS_FAILED
    cars.heal()
    cars.remove(CAR)
    assert reason(ObjectVerifier.expecting([CAR], world.resolver()), signed) is Reason.NO_TLSA


def test_cm_13_a_message_without_certificate_is_verified_by_the_published_key(world: World, cars: Organisation) -> None:
    published = crafting.CAR.tlsa(selector=Selector.SPKI, matching_type=MatchingType.FULL)
    cars.publish(CAR, published)
    signed = parse(crafting.craft(certificates=()), name=ClientName.parse(CAR))
    verified = ObjectVerifier.expecting([CAR], world.resolver()).verify_blocking(signed)
    assert verified.peer.record == published


@pytest.mark.parametrize("expected", ["hugh@cars.example", "hugh@CARS.example", "*@cars.example"])
def test_cm_16_a_person_signs_mail_by_the_mailbox(world: World, cars: Organisation, expected: str) -> None:
    hugh = of_mailbox()
    publish(cars, hugh.tlsa())
    signed = smime.parse(smime.sign(MESSAGE, hugh, now=time.time())).signed
    verified = ObjectVerifier.expecting([expected], world.resolver()).verify_blocking(signed)
    assert verified.name == HUGH
    assert verified.name.text == "hugh@cars.example"
    assert asyncio.run(ObjectVerifier.expecting([expected], world.resolver()).verify(signed)).name == HUGH


@pytest.mark.parametrize("expected", ["h@cars.example", "**.cars.example", "hugh.cars.example", "*@evil.example"])
def test_cm_16_other_entries_let_no_mailbox_in(world: World, cars: Organisation, expected: str) -> None:
    hugh = of_mailbox()
    publish(cars, hugh.tlsa())
    signed = smime.parse(smime.sign(MESSAGE, hugh, now=time.time())).signed
    asked = len(world.queries)
    assert reason(ObjectVerifier.expecting([expected], world.resolver()), signed) is Reason.NOT_PERMITTED
    assert len(world.queries) == asked


def test_cm_16_denied_mailboxes_stay_out_and_grants_are_merged(world: World, cars: Organisation) -> None:
    hugh = of_mailbox()
    publish(cars, hugh.tlsa())
    signed = smime.parse(smime.sign(MESSAGE, hugh, now=time.time())).signed
    rules = """
        [door.mail]
        allow = [
            { names = ["*@cars.example"], grants = { a = 1, b = 1 } },
            { names = ["hugh@cars.example"], grants = { b = 2 } },
        ]
        deny = ["*@evil.example"]
        [door.other]
        allow = ["*@cars.example"]
        deny = ["hugh@cars.example"]
    """
    access = AccessList.from_toml(rules)
    assert (access.entries("mail"), list(access.grants("mail"))) == (2, [])
    verified = ObjectVerifier(access, world.resolver(), door="mail").verify_blocking(signed)
    assert dict(verified.peer.grants) == {"a": 1, "b": 2}
    assert reason(ObjectVerifier(access, world.resolver(), door="other"), signed) is Reason.NOT_PERMITTED


def test_cm_16_a_mailbox_without_or_with_another_record(world: World, cars: Organisation) -> None:
    hugh = of_mailbox()
    signed = smime.parse(smime.sign(MESSAGE, hugh, now=time.time())).signed
    expecting = [HUGH.text]
    assert reason(ObjectVerifier.expecting(expecting, world.resolver()), signed) is Reason.NO_TLSA
    publish(cars, of_mailbox().tlsa())
    assert reason(ObjectVerifier.expecting(expecting, world.resolver()), signed) is Reason.TLSA_MISMATCH
    cars.remove(smimea.owner_of(HUGH))
    cars.publish(smimea.owner_of(HUGH), hugh.tlsa())  # TLSA where SMIMEA belongs
    assert reason(ObjectVerifier.expecting(expecting, world.resolver()), signed) is Reason.NO_TLSA


def test_cm_16_an_authority_of_the_domain_speaks_for_its_mailboxes(world: World, cars: Organisation) -> None:
    """Usage 2, where the verifier's policy takes it: the mailbox must be in the certificate."""
    authority = CertificateAuthority.create("cars", now=time.time())
    hugh = of_mailbox(authority)
    publish(cars, tlsa_for_certificate(authority.chain[0], Usage.DANE_TA, Selector.SPKI, MatchingType.SHA2_256))
    signed = smime.parse(smime.sign(MESSAGE, hugh, now=time.time())).signed
    policy = MatchPolicy(usages=frozenset({Usage.DANE_TA}))
    assert ObjectVerifier.expecting([HUGH.text], world.resolver(), policy=policy).verify_blocking(signed).name == HUGH
    device = authority.issue(ClientName.parse(CAR), now=time.time())
    claimed = parse(sign(PAYLOAD, device, now=time.time()), name=HUGH)
    refused = reason(ObjectVerifier.expecting([HUGH.text], world.resolver(), policy=policy), claimed)
    assert refused in (Reason.CHAIN_INVALID, Reason.NAME_NOT_IN_CERTIFICATE)
    default = ObjectVerifier.expecting([HUGH.text], world.resolver())
    assert reason(default, signed) is Reason.TLSA_UNUSABLE
