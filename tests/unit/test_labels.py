"""Labels that tell nothing, and names for one service."""

import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.labels import label_of_serial, name_below, service_name, unguessable_label
from dnsbound.provision.owner import OwnerName

SECRET = bytes(range(32))
FORM = re.compile(r"[a-z2-7]{26}")


def test_a_fresh_label_is_all_of_128_bits():
    assert unguessable_label(bytes) == "a" * 26
    assert unguessable_label(lambda octets: b"\xff" * octets) == "7" * 25 + "4"
    made = {unguessable_label() for _ in range(200)}
    assert len(made) == 200
    assert all(FORM.fullmatch(label) for label in made)


def test_a_serial_has_one_label_for_one_secret():
    label = label_of_serial("SN-0042", SECRET)
    assert FORM.fullmatch(label)
    assert label == label_of_serial("  SN-0042\n", SECRET)
    assert label != label_of_serial("SN-0043", SECRET)
    assert label != label_of_serial("sn-0042", SECRET)
    assert label != label_of_serial("SN-0042", SECRET[::-1])


def test_the_hash_is_hmac_and_for_this_purpose_alone():
    octets = hmac.new(SECRET, b"dnsbound label 1\0SN-0042", sha256).digest()[:16]
    assert label_of_serial("SN-0042", SECRET) == unguessable_label(lambda _: octets)


@pytest.mark.parametrize("serial", ["", "   ", "a\0b", "a\nb", "x" * 1025])
def test_what_is_no_serial(serial):
    with pytest.raises(Malformed):
        label_of_serial(serial, SECRET)


def test_a_short_secret_is_refused():
    with pytest.raises(Misuse):
        label_of_serial("SN-0042", SECRET[:15])


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40))
def test_every_serial_makes_a_client_name(serial):
    label = label_of_serial(serial, SECRET)
    name = name_below(label, OwnerName.parse("_device.cars.example"))
    assert name.canonical == f"{label}._device.cars.example"


def test_a_service_is_one_label_in_front():
    client = ClientName.parse("Device1.cars.example")
    for said in ("smtp-client", "_smtp-client", "SMTP-Client"):
        assert service_name(said, client).canonical == "_smtp-client.device1.cars.example"
    assert service_name("mqtt", ClientName.parse("car54._device.cars.example")).labels[0] == "_mqtt"


@pytest.mark.parametrize(
    "service", ["", "_", "tcp", "_udp", "smtp._tcp", "25", "-a", "a-", "a--b", "a_b", "é", "x" * 63]
)
def test_what_is_no_service(service):
    with pytest.raises(Malformed):
        service_name(service, ClientName.parse("device1.cars.example"))


@pytest.mark.parametrize("name", ["_25._tcp.cars.example", "device1._udp.cars.example", "_mqtt.device1.cars.example"])
def test_a_name_that_has_such_a_label_already(name):
    with pytest.raises(Misuse):
        service_name("smtp-client", ClientName.parse(name))
