"""`dnsbound id transfer`, and names that `id new` makes."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dnsbound.credential.certificate_request import certificate_request
from dnsbound.edge.credential_files import load_credential
from dnsbound.names import ClientName
from dnsbound.provision.labels import label_of_serial

OLD, NEW = "car54._device.cars.example", "van1._device.hire.example"
THEIRS = ("--inventory", "theirs.db")


@pytest.fixture
def owned(dnsbound):
    for zone in ("cars.example", "hire.example"):
        assert dnsbound("zone", "create", zone).code == 0
    assert dnsbound("id", "new", OLD).code == 0
    return dnsbound


def state(dnsbound, name, *more):
    return json.loads(dnsbound("id", "show", name, "--json", *more).out)["state"]


def test_both_names_until_the_former_is_revoked(owned):
    ran = owned("id", "transfer", OLD, NEW, "--overlap", "30d", "--owner", "Hire Ltd", "--reason", "sold")
    assert (ran.code, re.fullmatch(rf"{OLD} -> {NEW}  overlapping  both until \S+", ran.lines[0]) is not None) == (
        0,
        True,
    )
    assert "access lists" in ran.err
    assert (state(owned, OLD), state(owned, NEW)) == ("active", "active")
    assert owned("id", "transfer", OLD, "third.hire.example").code == 1
    assert owned("id", "transfer", OLD, "--finish").code == 0
    assert (state(owned, OLD), state(owned, NEW)) == ("revoked", "active")
    assert owned("id", "transfer", OLD, "--finish").code == 1


def test_cancelled(owned):
    assert owned("id", "transfer", OLD, NEW).code == 0
    told = json.loads(owned("id", "transfer", OLD, "--cancel", "--json").out)
    assert told["state"] == "cancelled"
    assert (state(owned, OLD), state(owned, NEW)) == ("active", "revoked")


@pytest.mark.parametrize(("gone", "stays"), [(OLD, NEW), (NEW, OLD)])
def test_revoking_one_of_two_names_says_that_the_other_stands(owned, gone, stays):
    assert owned("id", "transfer", OLD, NEW).code == 0
    ran = owned("revoke", gone, "--yes")
    assert ran.code == 0
    assert f"dnsbound revoke {stays}" in ran.err
    assert (state(owned, gone), state(owned, stays)) == ("revoked", "active")
    assert owned("id", "transfer", OLD, "--finish").code == 1, "the transfer is over"
    told = json.loads(owned("revoke", stays, "--yes", "--json").out)
    assert (told["standing"], told["transfer"]) == ([], None)


def test_revoking_one_of_several_names_of_a_key(owned):
    others = [f"van{number}._device.hire.example" for number in range(7)]
    for name in others:
        assert owned("id", "new", name, "--cert", f"{OLD}.pem", "--usage", "3", "--selector", "1").code == 0
    ran = owned("revoke", OLD, "--yes")
    assert (ran.code, f"`dnsbound revoke {others[0]}`" in ran.err, "2 more" in ran.err) == (0, True, True)
    told = json.loads(owned("revoke", others[0], "--yes", "--json").out)
    assert (told["standing"], told["transfer"]) == (others[1:], None)


@pytest.mark.parametrize(("to", "said"), [((), "revoke it there"), ((NEW,), f"as {NEW}: revoke it there")])
def test_revoking_what_another_inventory_may_have_taken(owned, to, said):
    assert owned("id", "transfer", OLD, *to, "--export", "car.json", "--overlap", "30d").code == 0
    ran = owned("revoke", OLD, "--yes")
    assert (ran.code, said in ran.err) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        (OLD,),
        (OLD, NEW, "--overlap", "soon"),
        (OLD, NEW, "--overlap", "1s"),
        (OLD, "--cancel", "--finish"),
        (OLD, NEW, "--csr", "x.csr"),
        (OLD, NEW, "--danger-unproved"),
        (OLD, "--import", "missing.json", "--danger-unproved"),
    ],
)
def test_wrong_use(owned, arguments):
    ran = owned("id", "transfer", *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert state(owned, OLD) == "active"


def test_to_another_inventory_with_a_proof_of_the_key(owned):
    assert owned("id", "transfer", OLD, "--export", "car.json", "--overlap", "30d").code == 0
    key = load_credential(f"{OLD}.pem").private_key
    assert key is not None
    stranger = ec.generate_private_key(ec.SECP256R1())
    requests = {
        "good.csr": certificate_request(key, ClientName.parse(NEW)),
        "other-key.csr": certificate_request(stranger, ClientName.parse(NEW)),
        "other-name.csr": certificate_request(key, ClientName.parse(OLD)),
        "no-name.csr": certificate_request(key, None),
    }
    for name, octets in requests.items():
        Path(name).write_bytes(octets)
    take = ("id", "transfer", NEW, "--import", "car.json", *THEIRS)
    assert owned(*take).code == 2
    for name in ("other-key.csr", "other-name.csr", "no-name.csr", f"{OLD}.pem"):
        assert owned(*take, "--csr", name).code == 2
    ran = owned(*take, "--csr", "good.csr", "--owner", "Hire Ltd")
    assert (ran.code, ran.lines[0].startswith(f"{NEW}. 300 IN TLSA 3 1 1 ")) == (0, True)
    assert owned(*take, "--csr", "good.csr").code == 1
    assert state(owned, NEW, *THEIRS) == "active"
    assert owned("id", "transfer", OLD, "--finish").code == 0
    assert state(owned, OLD) == "revoked"


def test_a_file_that_is_damaged_takes_nothing_over(owned):
    assert owned("id", "transfer", OLD, "--export", "car.json").code == 0
    whole = Path("car.json").read_text()
    for text in (whole[:-20], "", "\udc80", whole.replace('"dnsbound_transfer": 1', '"dnsbound_transfer": 9')):
        Path("car.json").write_text(text, errors="surrogateescape")
        assert owned("id", "transfer", NEW, "--import", "car.json", "--danger-unproved", *THEIRS).code == 2
    assert owned("id", "list", *THEIRS).out == ""


def test_an_unguessable_name(dnsbound):
    made = set()
    for number in range(2):
        ran = dnsbound(
            "id", "new", "--unguessable", "--below", "_device.cars.example", "--out", f"keys{number}", "--json"
        )
        assert ran.code == 0
        made.add(json.loads(ran.out)["name"])
    assert len(made) == 2
    assert all(re.fullmatch(r"[a-z2-7]{26}\._device\.cars\.example", name) for name in made)


def test_the_name_of_a_serial_number(dnsbound):
    secret = Path("secret")
    secret.write_bytes(bytes(range(32)))
    secret.chmod(0o600)
    arguments = ("id", "new", "--label-of", "SN-0042", "--secret", "secret", "--below", "_device.cars.example")
    name = f"{label_of_serial('SN-0042', bytes(range(32)))}._device.cars.example"
    assert json.loads(dnsbound(*arguments, "--json").out)["name"] == name
    assert dnsbound(*arguments, "--out", "again").code == 1
    secret.chmod(0o644)
    assert dnsbound(*arguments, "--out", "again").code == 2
    secret.chmod(0o600)
    secret.write_bytes(b"short")
    assert dnsbound(*arguments, "--out", "again").code == 2


def test_the_name_of_a_service(dnsbound):
    ran = dnsbound("id", "new", "device1.cars.example", "--service", "smtp-client")
    assert ran.lines[0].startswith("_smtp-client.device1.cars.example. ")
    assert "another key" in ran.err
    assert dnsbound("id", "new", "device1.cars.example", "--service", "_tcp").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (OLD, "--unguessable", "--below", "cars.example"),
        (OLD, "--below", "cars.example"),
        ("--unguessable",),
        ("--label-of", "1", "--below", "cars.example"),
        (OLD, "--secret", "secret"),
        ("--unguessable", "--below", "not a name"),
    ],
)
def test_names_that_nobody_said(dnsbound, arguments):
    ran = dnsbound("id", "new", *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
