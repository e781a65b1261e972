"""Class: sealed for one client of one server, and found by its worker."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Misuse
from dnsbound.protocols.radius_class import CLASS_OCTETS, AccessClasses, NotOurClass
from dnsbound.protocols.radius_routing import KEY_OCTETS, RANDOM_OCTETS, RadiusRouting

KEY = bytes(range(KEY_OCTETS))
ROUTING = RadiusRouting(4, KEY)
CLASSES = AccessClasses(KEY)


def of_worker(worker):
    return ROUTING.marked(worker, os.urandom(RANDOM_OCTETS))


def test_it_is_believed_from_the_client_it_was_given_to_alone():
    value = CLASSES.sealed(of_worker(2), "office")
    assert CLASSES.checked(value, "office") == value
    for classes, client in ((CLASSES, "isp"), (CLASSES, "offic"), (AccessClasses(bytes(KEY_OCTETS)), "office")):
        with pytest.raises(NotOurClass):
            classes.checked(value, client)


def test_it_leads_to_its_worker():
    for worker in range(4):
        assert ROUTING.named_by(CLASSES.sealed(of_worker(worker), "office")) == worker


def test_every_changed_octet_is_noticed():
    value = CLASSES.sealed(of_worker(0), "office")
    assert len(value) == CLASS_OCTETS
    for at in range(CLASS_OCTETS):
        changed = value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]
        with pytest.raises(NotOurClass):
            CLASSES.checked(changed, "office")


@given(st.binary(max_size=64))
def test_a_made_up_one_is_not_believed(value):
    with pytest.raises(NotOurClass):
        CLASSES.checked(value, "office")


def test_keys_and_marks_have_their_length():
    with pytest.raises(Misuse):
        AccessClasses(KEY[:-1])
    with pytest.raises(Misuse):
        CLASSES.sealed(bytes(3), "office")
