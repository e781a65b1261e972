"""Permissions to enrol and their use: one name, once, by one key."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from dnsbound.credential.association import tlsa_for_spki
from dnsbound.credential.certificate_request import CertificateRequest, certificate_request
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key, spki_der
from dnsbound.errors import Malformed, Misuse, Reason, Undecided
from dnsbound.names import ClientName
from dnsbound.provision.enrolment.enrolments import Requester
from dnsbound.provision.enrolment.permission import PermissionState, key_digest, key_digest_of_text, new_token
from dnsbound.provision.enrolment.refusal import Because, EnrolmentRefused
from dnsbound.provision.enrolment.request import check_request
from dnsbound.provision.entries import Record, ZoneSettings
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName

NOW = 1_795_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
OTHER = ClientName.parse("car55._device.cars.example")
MAKER = ClientName.parse("sn123._device.maker.example")
HERE = (OwnerName.parse("cars.example"),)


@pytest.fixture
def inventory(tmp_path):
    with Inventory.open(tmp_path / "inventory.db", create=True) as opened:
        yield opened


@pytest.fixture
def any_inventory(database_url):
    """Of SQLite and of PostgreSQL: for what the database itself has to see to."""
    with Inventory.open(database_url, create=True) as opened:
        yield opened


def spki() -> bytes:
    return spki_der(generate_private_key(KeyAlgorithm.P256).public_key())


def issued(inventory, name=CAR, **given) -> str:
    return inventory.permissions.issue_token(name, now=NOW, actor="operations", **given)[1]


def enrolled(inventory, requester, key, name=CAR, *, now=NOW + 1, **given):
    return inventory.enrolments.enrol(requester, name, spki=key, now=now, actor="est", **({"elsewhere": HERE} | given))


def because(inventory, requester, key, **given) -> Because:
    before = len(list(inventory.events()))
    with pytest.raises(EnrolmentRefused) as caught:
        enrolled(inventory, requester, key, **given)
    assert len(list(inventory.events())) == before, "a refusal changes nothing"
    return caught.value.because


def test_a_token_registers_one_key_under_its_name(any_inventory) -> None:
    inventory = any_inventory
    token, key = issued(inventory), spki()
    made = enrolled(inventory, Requester(token=token), key)
    assert (made.again, made.identity.name, made.identity.spki) == (False, CAR, key)
    assert [record.rdata for record in made.identity.records] == [f"3 1 1 {hashlib.sha256(key).hexdigest()}"]
    [permission] = inventory.permissions.all()
    assert permission.state(NOW + 2) is PermissionState.USED
    assert permission.used_by == hashlib.sha256(key).hexdigest()
    assert [event.action for event in inventory.events()] == ["permit-enrolment", "register", "enrol"]


def test_the_token_itself_is_kept_nowhere(tmp_path) -> None:
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        token = issued(inventory)
    secret = token.removeprefix("dnsbound-enrol-").encode()
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert hashlib.sha256(token.encode()).digest() in b"".join(files), "its digest is what is looked for"
    assert not [octets for octets in files if secret in octets]
    assert token not in repr(Requester(token=token))


def test_the_same_device_may_ask_again_and_no_other_key_ever(any_inventory) -> None:
    inventory = any_inventory
    token, key = issued(inventory), spki()
    first = enrolled(inventory, Requester(token=token), key)
    again = enrolled(inventory, Requester(token=token), key, now=NOW + 90_000)
    assert again.again
    assert again.identity == first.identity
    assert because(inventory, Requester(token=token), spki()) is Because.USED


def test_asking_again_ends_when_the_name_is_revoked(inventory) -> None:
    token, key = issued(inventory), spki()
    enrolled(inventory, Requester(token=token), key)
    inventory.identities.revoke(CAR, now=NOW + 2, actor="operations")
    assert because(inventory, Requester(token=token), key) is Because.USED


def test_a_token_ends(inventory) -> None:
    token = issued(inventory, seconds=60)
    assert because(inventory, Requester(token=token), spki(), now=NOW + 60) is Because.EXPIRED
    assert not enrolled(inventory, Requester(token=token), spki(), now=NOW + 59.9).again


def test_a_clock_set_back_brings_no_token_to_life(inventory) -> None:
    token = issued(inventory, seconds=60)
    inventory.permissions.issue_token(OTHER, now=NOW + 10_000, actor="operations")
    with pytest.raises(Undecided) as caught:
        enrolled(inventory, Requester(token=token), spki(), now=NOW + 30)
    assert caught.value.reason is Reason.CLOCK


def test_a_token_is_for_one_exact_name(inventory) -> None:
    token = issued(inventory)
    assert because(inventory, Requester(token=token), spki(), name=OTHER) is Because.NOT_AUTHORISED
    below = ClientName.parse(f"x.{CAR}")
    assert because(inventory, Requester(token=token), spki(), name=below) is Because.NOT_AUTHORISED


@pytest.mark.parametrize(
    "token", ["", "x", "dnsbound-enrol-", "dnsbound-enrol-" + "é" * 32, "dnsbound-enrol-" + "A" * 32, "a" * 10_000]
)
def test_what_is_no_token_of_ours_is_refused(inventory, token) -> None:
    issued(inventory)
    assert because(inventory, Requester(token=token), spki()) is Because.NOT_AUTHORISED


def test_tokens_have_192_bits(inventory) -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(token.removeprefix("dnsbound-enrol-")) for token in made} == {32}


def test_a_token_bound_to_a_key_needs_that_key(inventory) -> None:
    factory, fresh = spki(), spki()
    token = issued(inventory, key_sha256=key_digest(factory))
    assert because(inventory, Requester(token=token), fresh) is Because.ANOTHER_KEY
    wrong = Requester(token=token, proved_keys=frozenset({key_digest(spki())}))
    assert because(inventory, wrong, fresh) is Because.ANOTHER_KEY
    right = Requester(token=token, proved_keys=frozenset({key_digest(factory)}))
    assert enrolled(inventory, right, fresh).identity.spki == fresh


def test_a_token_bound_to_a_key_may_register_that_very_key(inventory) -> None:
    factory = spki()
    token = issued(inventory, key_sha256=key_digest(factory))
    assert enrolled(inventory, Requester(token=token), factory).identity.spki == factory


def test_a_known_key_needs_no_token(inventory) -> None:
    factory, fresh = spki(), spki()
    inventory.permissions.expect(CAR, key_sha256=key_digest(factory), now=NOW, actor="operations")
    assert because(inventory, Requester(), fresh) is Because.NOT_AUTHORISED
    by_maker = Requester(maker=MAKER)
    assert because(inventory, by_maker, fresh) is Because.NOT_AUTHORISED
    proved = Requester(proved_keys=frozenset({key_digest(factory)}))
    assert because(inventory, proved, fresh, name=OTHER) is Because.NOT_AUTHORISED
    assert enrolled(inventory, proved, fresh).identity.spki == fresh
    assert enrolled(inventory, proved, fresh).again
    assert because(inventory, proved, spki()) is Because.USED


def test_a_makers_name_needs_no_token(inventory) -> None:
    inventory.permissions.expect(CAR, maker=MAKER, now=NOW, actor="operations")
    key = spki()
    assert because(inventory, Requester(), key) is Because.NOT_AUTHORISED
    assert because(inventory, Requester(maker=OTHER), key) is Because.NOT_AUTHORISED
    assert enrolled(inventory, Requester(maker=MAKER), key).identity.spki == key


def test_a_permission_by_key_and_maker_needs_both(any_inventory) -> None:
    inventory = any_inventory
    factory, key = spki(), spki()
    inventory.permissions.expect(CAR, key_sha256=key_digest(factory), maker=MAKER, now=NOW, actor="operations")
    proved = Requester(proved_keys=frozenset({key_digest(factory)}))
    assert because(inventory, proved, key) is Because.NOT_AUTHORISED
    assert because(inventory, Requester(maker=MAKER), key) is Because.NOT_AUTHORISED
    assert enrolled(inventory, replace(proved, maker=MAKER), key).identity.spki == key


def test_a_token_does_not_open_what_is_expected_by_key(inventory) -> None:
    inventory.permissions.expect(CAR, key_sha256=key_digest(spki()), now=NOW, actor="operations")
    assert because(inventory, Requester(token=issued(inventory, OTHER)), spki()) is Because.NOT_AUTHORISED


def test_who_is_expected_at_the_door(any_inventory) -> None:
    inventory = any_inventory
    expected = inventory.enrolments.is_expected
    assert not expected(CAR, now=NOW)
    inventory.permissions.expect(CAR, maker=MAKER, seconds=60, now=NOW, actor="operations")
    assert expected(MAKER, now=NOW + 59)
    assert not expected(MAKER, now=NOW + 60)
    assert not expected(CAR, now=NOW + 1)
    enrolled(inventory, Requester(maker=MAKER), spki())
    assert expected(CAR, now=NOW + 61)
    assert expected(MAKER, now=NOW + 61), "it may ask again for a lost answer"


def test_a_name_that_is_taken(inventory) -> None:
    token = issued(inventory)
    key = spki()
    enrolled(inventory, Requester(token=issued(inventory)), key)
    assert because(inventory, Requester(token=token), spki()) is Because.REGISTERED
    with pytest.raises(AlreadyInInventory):
        issued(inventory)


def test_a_name_revoked_since(inventory) -> None:
    token = issued(inventory)
    enrolled(inventory, Requester(token=issued(inventory)), spki())
    inventory.identities.revoke(CAR, now=NOW + 2, actor="operations")
    assert because(inventory, Requester(token=token), spki(), now=NOW + 3) is Because.REVOKED
    fresh = inventory.permissions.issue_token(CAR, now=NOW + 4, actor="operations")[1]
    assert not enrolled(inventory, Requester(token=fresh), spki(), now=NOW + 5).again


def test_a_name_no_zone_holds(inventory) -> None:
    token = issued(inventory)
    other_zone = (OwnerName.parse("trucks.example"),)
    assert because(inventory, Requester(token=token), spki(), elsewhere=()) is Because.NO_ZONE
    assert because(inventory, Requester(token=token), spki(), elsewhere=other_zone) is Because.NO_ZONE
    assert not enrolled(inventory, Requester(token=token), spki(), elsewhere=None).again


def test_a_makers_list_is_expected_by_its_keys(any_inventory) -> None:
    inventory = any_inventory
    keys = {f"sn{number}": spki() for number in range(5)}
    for label, key in keys.items():
        name = ClientName.parse(f"{label}._device.stock.example")
        record = tlsa_for_spki(key)
        tags = ["stock"] if label != "sn4" else ["sold"]
        inventory.identities.register(
            name, spki=key, records=[record], ttl=None, now=NOW, actor="operations", tags=tags
        )
    below = OwnerName.parse("_device.cars.example")
    inventory.permissions.expect(
        ClientName.parse(f"sn0.{below}"), key_sha256=key_digest(keys["sn0"]), now=NOW, actor="operations"
    )

    def expected():
        found = inventory.permissions.expect_tagged("stock", below=below, now=NOW, actor="operations")
        return [(made.name.text, made.key_sha256) for made in found]

    assert expected() == [(f"sn{n}.{below}", key_digest(keys[f"sn{n}"])) for n in (1, 2, 3)]
    assert expected() == []
    proved = Requester(proved_keys=frozenset({key_digest(keys["sn2"])}))
    fresh = spki()
    assert because(inventory, proved, fresh, name=ClientName.parse(f"sn3.{below}")) is Because.NOT_AUTHORISED
    assert enrolled(inventory, proved, fresh, name=ClientName.parse(f"sn2.{below}")).identity.spki == fresh


def test_a_name_where_an_alias_stands(inventory) -> None:
    zone = ZoneSettings(
        name=HERE[0],
        nameservers=(OwnerName.parse("ns1.cars.example"),),
        rname=OwnerName.parse("ops.cars.example"),
        ttl=60,
    )
    inventory.zones.create(zone, now=NOW, actor="operations")
    token, owner = issued(inventory), OwnerName.parse(CAR.canonical)
    alias = Record(owner=owner, rdtype="CNAME", rdata="sn54._device.maker.example.", ttl=60)
    inventory.zones.publish(alias, now=NOW, actor="operations")
    assert because(inventory, Requester(token=token), spki(), elsewhere=()) is Because.NO_ROOM
    [permission] = inventory.permissions.all()
    assert permission.state(NOW) is PermissionState.OPEN, "it was not used up"


def test_a_blocked_name(inventory) -> None:
    token = issued(inventory)
    inventory.blocks.block(CAR, now=NOW + 1, actor="operations")
    assert because(inventory, Requester(token=token), spki()) is Because.BLOCKED
    inventory.blocks.lift(CAR, now=NOW + 1, actor="operations")
    assert not enrolled(inventory, Requester(token=token), spki()).again


def test_what_was_not_used_can_be_taken_back(any_inventory) -> None:
    inventory = any_inventory
    token = issued(inventory)
    [permission] = inventory.permissions.all(name=CAR)
    inventory.permissions.cancel(permission.number, now=NOW + 1, actor="operations", reason="lost")
    assert because(inventory, Requester(token=token), spki()) is Because.NOT_AUTHORISED
    with pytest.raises(NotInInventory):
        inventory.permissions.cancel(permission.number, now=NOW + 1, actor="operations")
    enrolled(inventory, Requester(token=issued(inventory)), spki())
    [used] = inventory.permissions.all()
    with pytest.raises(Misuse, match="revoke"):
        inventory.permissions.cancel(used.number, now=NOW + 1, actor="operations")
    assert [event.reason for event in inventory.events() if event.action == "cancel-enrolment"] == ["lost"]


def test_a_permission_is_for_somebody(inventory) -> None:
    with pytest.raises(Misuse):
        inventory.permissions.expect(CAR, now=NOW, actor="operations")
    with pytest.raises(Misuse):
        inventory.permissions.expect(CAR, key_sha256=b"short", now=NOW, actor="operations")
    for seconds in (0, -1, 10**12):
        with pytest.raises(Misuse):
            issued(inventory, seconds=seconds)


def test_digests_as_people_write_them() -> None:
    digest = hashlib.sha256(b"x").digest()
    spaced = ":".join(f"{octet:02X}" for octet in digest)
    assert key_digest_of_text(digest.hex()) == key_digest_of_text(spaced) == digest
    for text in ("", "ab", "g" * 64, digest.hex() + "00"):
        with pytest.raises(Malformed):
            key_digest_of_text(text)


RACER = """
import sys
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.enrolment.enrolments import Requester
from dnsbound.provision.enrolment.refusal import EnrolmentRefused
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key, spki_der
place, name, token, now = sys.argv[1:]
key = spki_der(generate_private_key(KeyAlgorithm.P256).public_key())
with Inventory.open(place) as inventory:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        inventory.enrolments.enrol(
            Requester(token=token), ClientName.parse(name), spki=key, elsewhere=None, now=float(now), actor="est"
        )
        print("won")
    except EnrolmentRefused as refused:
        print(refused.because.value)
"""


def test_of_many_at_once_exactly_one_wins(any_inventory, database_url) -> None:
    inventory = any_inventory
    token = issued(inventory)
    arguments = [sys.executable, "-c", RACER, database_url, CAR.text, token, str(NOW + 1)]
    racers = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        said = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert said == ["used"] * 5 + ["won"]
    assert sum(event.action == "enrol" for event in inventory.events()) == 1


def request_of(name, **given) -> CertificateRequest:
    key = generate_private_key(KeyAlgorithm.P256)
    return replace(CertificateRequest.from_der(certificate_request(key, name)), **given)


def test_a_request_asks_for_exactly_the_name() -> None:
    check_request(request_of(ClientName.parse("CAR54._device.Cars.example")), CAR)
    for given in (
        {"dns_names": ("car55._device.cars.example",)},
        {"dns_names": (CAR.canonical, "car55._device.cars.example")},
        {"dns_names": (CAR.canonical, CAR.canonical)},
        {"dns_names": ("*._device.cars.example",)},
        {"dns_names": (f"{CAR.canonical}.",)},
        {"other_names": 1},
        {"dns_names": (), "common_names": ()},
        {"dns_names": (), "common_names": ("car55._device.cars.example",)},
    ):
        with pytest.raises(EnrolmentRefused) as caught:
            check_request(request_of(CAR, **given), CAR)
        assert caught.value.because is Because.OTHER_NAME
    check_request(request_of(CAR, dns_names=(), common_names=(CAR.text,)), CAR)


def test_a_request_for_more_than_a_device_may_have() -> None:
    for given, why in (
        ({"weak_because": "RSA key of 1024 bits"}, Because.WEAK_KEY),
        ({"wants_authority": True}, Because.WANTS_AUTHORITY),
    ):
        with pytest.raises(EnrolmentRefused) as caught:
            check_request(request_of(CAR, **given), CAR)
        assert caught.value.because is why
