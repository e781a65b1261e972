"""RADIUS packets: framing, attributes, what answers may carry."""

from itertools import product

import pytest

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES
from dnsbound.protocols.radius import (
    ANSWERS,
    CHOSEN_AUTHENTICATOR,
    Discard,
    Discarded,
    RadiusPacket,
    answer_to,
    read_answer,
    read_request,
    request_of,
    split_eap_message,
)
from dnsbound.protocols.radius_attributes import _UNNAMED, RULES, TABLED, Count, count_of, name_of
from unit.radius_requests import AUTHENTICATOR, EAP, SECRET, access_request, asked


def packet(body: bytes = b"", *, length: int | None = None, code: int = 1) -> bytes:
    said = 20 + len(body) if length is None else length
    return bytes((code, 7)) + said.to_bytes(2, "big") + AUTHENTICATOR + body


# --- framing


@pytest.mark.parametrize("length", [0, 1, 19, 21, 4097, 65_535])
def test_rad_01_a_length_that_cannot_be(length: int) -> None:
    with pytest.raises(Malformed):
        RadiusPacket.from_wire(packet(length=length))


@pytest.mark.parametrize("kept", range(20))
def test_rad_01_a_packet_without_its_header(kept: int) -> None:
    with pytest.raises(Malformed):
        RadiusPacket.from_wire(packet()[:kept])


def test_rad_01_octets_behind_the_length_are_padding() -> None:
    octets = access_request()
    assert read_request(octets + bytes(100), SECRET) == read_request(octets, SECRET)
    answer = answer_to(asked(), RadiusCode.ACCESS_ACCEPT, (), SECRET)
    assert read_answer(answer + b"\1" * 30, access_request(), SECRET) == read_answer(answer, access_request(), SECRET)


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(RadiusCode)))
def test_rad_02_unknown_codes_are_dropped(code: int) -> None:
    with pytest.raises(Malformed):
        RadiusPacket.from_wire(packet(code=code))


@pytest.mark.parametrize("body", [b"\1", b"\1\0", b"\1\1", b"\1\3", b"\1\2\1", b"\1\4ab\1\xff", b"\1\4ab\1"])
def test_rad_03_attributes_that_do_not_fit(body: bytes) -> None:
    with pytest.raises(Malformed):
        RadiusPacket.from_wire(packet(body))


def test_rad_03_values_have_1_to_253_octets() -> None:
    assert asked((*EAP, (RadiusAttribute.CLASS, b"c" * 253))).first(RadiusAttribute.CLASS) == b"c" * 253
    for value in (b"", b"c" * 254):
        with pytest.raises(Misuse):
            access_request((*EAP, (RadiusAttribute.CLASS, value)))
    for number in (0, 256):
        with pytest.raises(Misuse):
            access_request(((number, b"c"),))


def test_rad_08_attributes_keep_their_order() -> None:
    classes = tuple((RadiusAttribute.CLASS, bytes((index,))) for index in range(5))
    assert asked((*EAP, *classes)).all(RadiusAttribute.CLASS) == tuple(value for _, value in classes)
    assert asked().all(RadiusAttribute.CLASS) == ()
    assert asked().first(RadiusAttribute.CLASS) is None


def test_rad_14_attributes_of_unknown_types_and_empty_ones_are_kept_and_harm_nobody() -> None:
    octets = packet(b"\xf1\x05abc\x19\x02")
    assert RadiusPacket.from_wire(octets).attributes == ((0xF1, b"abc"), (RadiusAttribute.CLASS, b""))
    assert RadiusPacket.from_wire(octets).to_wire() == octets
    assert asked((*EAP, (0xF1, b"abc"))).first(0xF1) == b"abc"
    assert name_of(0xF1) == "Attr-241"
    assert name_of(RadiusAttribute.NAS_IP_ADDRESS) == "NAS-IP-Address"


def test_rad_15_the_number_of_attributes_is_bounded() -> None:
    most = RADIUS_ATTRIBUTES.default
    assert len(RadiusPacket.from_wire(packet(b"\x19\3c" * most)).attributes) == most
    with pytest.raises(LimitExceeded) as caught:
        RadiusPacket.from_wire(packet(b"\x19\3c" * (most + 1)))
    assert caught.value.limit == "radius-attributes"


def test_a_packet_of_ours_has_4096_octets_at_most() -> None:
    long = tuple((RadiusAttribute.CLASS, b"c" * 253) for _ in range(16))
    with pytest.raises(LimitExceeded) as caught:
        access_request(long)
    assert caught.value.limit == "radius-octets"
    flood = asked(tuple((RadiusAttribute.PROXY_STATE, b"p" * 253) for _ in range(15)))
    with pytest.raises(LimitExceeded):
        answer_to(flood, RadiusCode.ACCESS_CHALLENGE, split_eap_message(bytes(300)), SECRET)


@pytest.mark.parametrize("identifier", [-1, 256])
def test_identifiers_are_octets(identifier: int) -> None:
    with pytest.raises(Misuse):
        access_request(identifier=identifier)


# --- EAP-Message


@pytest.mark.parametrize("octets", [1, 4, 252, 253, 254, 506, 507, 1500])
def test_re_01_eap_packets_are_split_and_joined_in_order(octets: int) -> None:
    eap = bytes(index % 251 for index in range(octets))
    pieces = split_eap_message(eap)
    assert [len(value) for _, value in pieces] == [253] * (octets // 253) + ([octets % 253] if octets % 253 else [])
    assert asked(pieces).eap_message == eap


def test_re_01_eap_messages_follow_each_other() -> None:
    first, second = split_eap_message(bytes(300))
    between = (RadiusAttribute.CLASS, b"c")
    assert asked((between, first, second, between)).eap_message == bytes(300)
    with pytest.raises(Discarded) as caught:
        RadiusPacket.from_wire(access_request((first, between, second)))
    assert caught.value.why is Discard.SCATTERED_EAP


def test_re_02_an_empty_eap_message_starts() -> None:
    assert split_eap_message(b"") == ((RadiusAttribute.EAP_MESSAGE, b""),)
    assert asked(split_eap_message(b"")).eap_message == b""
    assert asked(((RadiusAttribute.USER_NAME, b"a"),)).eap_message is None


# --- what may stand where


def test_rad_10_every_attribute_has_a_rule_for_every_packet() -> None:
    assert set(RULES) == set(RadiusAttribute)
    for rule in RULES.values():
        assert tuple(rule.counts) == TABLED
    assert set(_UNNAMED) == set(TABLED)
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_rad_10_names_are_those_of_the_registry() -> None:
    spelled = {number: rule.name.upper().replace("-", "_") for number, rule in RULES.items()}
    assert {number: name for number, name in spelled.items() if number.name != name} == {}


ANSWER_CODES = (RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCESS_REJECT, RadiusCode.ACCESS_CHALLENGE)
ADDED = {RadiusAttribute.MESSAGE_AUTHENTICATOR, RadiusAttribute.PROXY_STATE}


@pytest.mark.parametrize(("code", "number"), [*product(ANSWER_CODES, sorted(set(RadiusAttribute) - ADDED))])
def test_rad_10_an_answer_carries_what_the_table_lets_it(code: RadiusCode, number: RadiusAttribute) -> None:
    once, twice = ((number, b"\0\0\0\1"),), ((number, b"\0\0\0\1"),) * 2
    count = count_of(code, number)
    if count is Count.NONE:
        with pytest.raises(Misuse):
            answer_to(asked(), code, once, SECRET)
        return
    assert read_answer(answer_to(asked(), code, once, SECRET), access_request(), SECRET).first(number) is not None
    if count is Count.AT_MOST_ONE:
        with pytest.raises(Misuse):
            answer_to(asked(), code, twice, SECRET)
    else:
        answer_to(asked(), code, twice, SECRET)


def test_rad_10_an_unknown_attribute_stands_in_acceptances_alone() -> None:
    unknown = ((0xF1, b"abc"),)
    assert answer_to(asked(), RadiusCode.ACCESS_ACCEPT, unknown, SECRET)
    for code in (RadiusCode.ACCESS_REJECT, RadiusCode.ACCESS_CHALLENGE):
        with pytest.raises(Misuse):
            answer_to(asked(), code, unknown, SECRET)


def test_re_09_no_message_to_people_beside_eap() -> None:
    with pytest.raises(Misuse):
        answer_to(asked(), RadiusCode.ACCESS_REJECT, (*EAP, (RadiusAttribute.REPLY_MESSAGE, b"no")), SECRET)
    assert answer_to(asked(), RadiusCode.ACCESS_REJECT, ((RadiusAttribute.REPLY_MESSAGE, b"no"),), SECRET)


@pytest.mark.parametrize("number", sorted(ADDED))
def test_what_the_codec_adds_is_not_given(number: RadiusAttribute) -> None:
    with pytest.raises(Misuse):
        answer_to(asked(), RadiusCode.ACCESS_ACCEPT, ((number, bytes(16)),), SECRET)


def test_racc_02_accounting_response_says_nothing() -> None:
    request = asked((), code=RadiusCode.ACCOUNTING_REQUEST)
    vendor = ((RadiusAttribute.VENDOR_SPECIFIC, b"\0\0\1\x37\1\3a"),)
    assert RadiusPacket.from_wire(answer_to(request, RadiusCode.ACCOUNTING_RESPONSE, (), SECRET)).attributes == ()
    assert answer_to(request, RadiusCode.ACCOUNTING_RESPONSE, vendor, SECRET)
    with pytest.raises(Misuse):
        answer_to(request, RadiusCode.ACCOUNTING_RESPONSE, ((RadiusAttribute.CLASS, b"c"),), SECRET)


# --- who answers what


def test_rad_05_every_code_has_its_answers() -> None:
    assert set(ANSWERS) == set(RadiusCode)
    answers = set().union(*ANSWERS.values())
    assert {code for code in RadiusCode if not ANSWERS[code]} == answers


@pytest.mark.parametrize(("asking", "code"), [*product([code for code in RadiusCode if ANSWERS[code]], RadiusCode)])
def test_rad_05_an_answer_answers_its_kind_of_request(asking: RadiusCode, code: RadiusCode) -> None:
    request = asked((), code=asking)
    authenticator = AUTHENTICATOR if asking in CHOSEN_AUTHENTICATOR else None
    octets = request_of(asking, 7, (), SECRET, authenticator=authenticator)
    if code in ANSWERS[asking]:
        assert read_answer(answer_to(request, code, (), SECRET), octets, SECRET).code is code
        return
    with pytest.raises(Misuse):
        answer_to(request, code, (), SECRET)
    foreign = RadiusPacket(code=code, identifier=7, authenticator=bytes(16), attributes=()).to_wire()
    with pytest.raises(Discarded) as caught:
        read_answer(foreign, octets, SECRET)
    assert caught.value.why is Discard.NOT_AN_ANSWER


@pytest.mark.parametrize("code", [code for code in RadiusCode if not ANSWERS[code]])
def test_rad_05_an_answer_is_no_request(code: RadiusCode) -> None:
    foreign = RadiusPacket(code=code, identifier=7, authenticator=bytes(16), attributes=()).to_wire()
    with pytest.raises(Discarded) as caught:
        read_request(foreign, SECRET)
    assert caught.value.why is Discard.NOT_A_REQUEST
    with pytest.raises(Misuse):
        request_of(code, 7, (), SECRET)


@pytest.mark.parametrize("code", [RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCOUNTING_RESPONSE])
def test_rs_02_status_server_is_answered_by_its_port(code: RadiusCode) -> None:
    octets = request_of(RadiusCode.STATUS_SERVER, 9, (), SECRET, authenticator=AUTHENTICATOR)
    answer = answer_to(read_request(octets, SECRET), code, (), SECRET)
    assert read_answer(answer, octets, SECRET).code is code


def test_rad_09_proxy_states_come_back_in_order_as_they_were() -> None:
    states = tuple((RadiusAttribute.PROXY_STATE, value) for value in (b"outer", b"\0", b"inner" * 40))
    request = asked((states[0], *EAP, *states[1:]))
    answer = answer_to(request, RadiusCode.ACCESS_REJECT, EAP, SECRET)
    assert RadiusPacket.from_wire(answer).attributes[-3:] == states
    empty = RadiusPacket.from_wire(packet(b"\x21\2"))
    assert answer_to(empty, RadiusCode.ACCESS_REJECT, (), SECRET).endswith(b"\x21\2")
