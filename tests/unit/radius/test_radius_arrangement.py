"""What the types of a packet's attributes say by their order and number alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_arrangement import (
    SAID_ONCE,
    arrangement_of,
    check_answer_types,
    check_request_types,
)

EAP = int(RadiusAttribute.EAP_MESSAGE)
MAC = int(RadiusAttribute.MESSAGE_AUTHENTICATOR)
USER = int(RadiusAttribute.USER_NAME)
CLASS = int(RadiusAttribute.CLASS)
PASSWORD = int(RadiusAttribute.USER_PASSWORD)


def test_eap_message_attributes_are_found_where_they_follow_each_other() -> None:
    found = arrangement_of((USER, EAP, EAP, EAP, MAC))
    assert (found.eap, found.is_scattered) == (slice(1, 4), False)
    assert arrangement_of((USER, MAC)).eap == slice(0, 0)


@pytest.mark.parametrize("numbers", [(EAP, USER, EAP), (EAP, EAP, MAC, EAP), (USER, EAP, USER, USER, EAP)])
def test_scattered_ones_are_found_to_be(numbers: tuple[int, ...]) -> None:
    found = arrangement_of(numbers)
    assert (found.eap, found.is_scattered) == (slice(0, 0), True)


def test_the_first_message_authenticator_is_found_and_all_are_counted() -> None:
    found = arrangement_of((USER, MAC, EAP, MAC))
    assert (found.authenticators, found.authenticator_at) == (2, 1)
    assert arrangement_of((USER,)).authenticators == 0


def test_only_repetitions_that_two_readers_could_take_differently_count() -> None:
    assert arrangement_of((CLASS, CLASS, EAP, EAP)).repeated is None
    assert arrangement_of((CLASS, USER, CLASS, USER)).repeated == USER


@pytest.mark.parametrize("numbers", [(EAP, PASSWORD), (PASSWORD, EAP)])
def test_eap_and_a_password_are_two_authentications(numbers: tuple[int, ...]) -> None:
    assert arrangement_of(numbers).has_several_authentications
    assert not arrangement_of(numbers[:1]).has_several_authentications


@given(st.lists(st.sampled_from([EAP, MAC, USER, CLASS, PASSWORD, 250]), max_size=12))
def test_it_is_what_a_slow_look_finds(numbers: list[int]) -> None:
    found = arrangement_of(tuple(numbers))
    places = [index for index, number in enumerate(numbers) if number == EAP]
    follow = places == list(range(places[0], places[0] + len(places))) if places else True
    assert found.is_scattered is not follow
    assert list(range(len(numbers))[found.eap]) == (places if follow else [])
    assert found.authenticators == numbers.count(MAC)
    repeated = [number for index, number in enumerate(numbers) if number in numbers[:index] and number in SAID_ONCE]
    assert found.repeated == (repeated[0] if repeated else None)
    assert found.has_several_authentications is (EAP in numbers and PASSWORD in numbers)


def test_what_is_refused_once_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(Misuse):
            check_request_types((MAC,))
        with pytest.raises(Misuse):
            check_answer_types(RadiusCode.ACCESS_ACCEPT, (EAP, MAC))
        with pytest.raises(Misuse):
            check_answer_types(RadiusCode.ACCESS_CHALLENGE, (CLASS,))
        check_answer_types(RadiusCode.ACCESS_ACCEPT, (CLASS,))
