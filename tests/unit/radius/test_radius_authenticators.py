"""What proves that a RADIUS packet comes from somebody who has the shared secret; nothing else is believed."""

import hashlib
import hmac

import pytest

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import (
    ANSWERS,
    CHOSEN_AUTHENTICATOR,
    Discard,
    Discarded,
    RadiusPacket,
    answer_to,
    read_answer,
    read_request,
    read_request_of_any,
    request_of,
)
from dnsbound.protocols.radius_arrangement import SAID_ONCE
from dnsbound.protocols.radius_attributes import name_of
from unit.radius_requests import AUTHENTICATOR, EAP, SECRET, access_request, asked

MAC = RadiusAttribute.MESSAGE_AUTHENTICATOR
REQUESTS = [code for code in RadiusCode if ANSWERS[code]]
DIGESTED = [code for code in REQUESTS if code not in CHOSEN_AUTHENTICATOR]


def without(octets: bytes, count: int = 1) -> bytes:
    """The packet without its first attributes, its length set right."""
    body = octets[20:]
    for _ in range(count):
        body = body[body[1] :]
    return octets[:2] + (20 + len(body)).to_bytes(2, "big") + octets[4:20] + body


def why(octets: bytes, secret: bytes = SECRET) -> Discard:
    with pytest.raises(Discarded) as caught:
        read_request(octets, secret)
    return caught.value.why


def why_answer(answer: bytes, request: bytes | None = None) -> Discard:
    with pytest.raises(Discarded) as caught:
        read_answer(answer, request or access_request(), SECRET)
    return caught.value.why


def resigned(answer: bytes, request: bytes) -> bytes:
    """An answer whose Response Authenticator is right for what it says now."""
    return answer[:4] + hashlib.md5(answer[:4] + request[4:20] + answer[20:] + SECRET).digest() + answer[20:]


# --- requests


@pytest.mark.parametrize("code", sorted(CHOSEN_AUTHENTICATOR))
def test_re_03_every_access_request_has_a_message_authenticator(code: RadiusCode) -> None:
    octets = request_of(code, 7, EAP, SECRET, authenticator=AUTHENTICATOR)
    assert read_request(octets, SECRET).attributes[0][0] == MAC
    assert why(without(octets)) is Discard.NO_MESSAGE_AUTHENTICATOR


def test_re_03_without_eap_too() -> None:
    octets = access_request(((RadiusAttribute.USER_NAME, b"a"), (RadiusAttribute.USER_PASSWORD, bytes(16))))
    assert read_request(octets, SECRET).first(RadiusAttribute.USER_NAME) == b"a"
    assert why(without(octets)) is Discard.NO_MESSAGE_AUTHENTICATOR


def test_re_03_it_is_the_hmac_of_the_packet_with_zeroes_in_its_place() -> None:
    octets = access_request()
    zeroed = octets[:22] + bytes(16) + octets[38:]
    assert octets[22:38] == hmac.digest(SECRET, zeroed, "md5")


@pytest.mark.parametrize("at", [1, 4, 19, 22, 37, 40, 52, 55, 68])
def test_re_04_a_changed_octet_or_another_secret_is_seen(at: int) -> None:
    octets = bytearray(access_request((*EAP, (RadiusAttribute.NAS_IDENTIFIER, b"access point 1"))))
    assert why(bytes(octets), b"another secret") is Discard.WRONG_MESSAGE_AUTHENTICATOR
    octets[at] ^= 1
    assert why(bytes(octets)) is Discard.WRONG_MESSAGE_AUTHENTICATOR


def test_re_05_exactly_one_and_of_sixteen_octets() -> None:
    body = access_request()[20:38]
    base = RadiusPacket.from_wire(access_request())
    twice = RadiusPacket(
        code=base.code,
        identifier=base.identifier,
        authenticator=base.authenticator,
        attributes=(*base.attributes, (int(MAC), body[2:])),
    )
    assert why(twice.to_wire()) is Discard.SEVERAL_MESSAGE_AUTHENTICATORS
    for length in (0, 15, 17):
        short = RadiusPacket(
            code=base.code, identifier=7, authenticator=AUTHENTICATOR, attributes=((int(MAC), b"m" * length), *EAP)
        )
        assert why(short.to_wire()) is Discard.WRONG_MESSAGE_AUTHENTICATOR


def test_re_05_it_may_stand_anywhere_in_a_request() -> None:
    """Access points in use send it last."""
    unsigned = RadiusPacket(
        code=RadiusCode.ACCESS_REQUEST,
        identifier=7,
        authenticator=AUTHENTICATOR,
        attributes=(*EAP, (int(MAC), bytes(16))),
    ).to_wire()
    octets = unsigned[:-16] + hmac.digest(SECRET, unsigned, "md5")
    assert read_request(octets, SECRET).eap_message == EAP[0][1]


@pytest.mark.parametrize("code", DIGESTED)
def test_racc_01_other_requests_are_proved_by_their_authenticator(code: RadiusCode) -> None:
    octets = request_of(code, 7, ((RadiusAttribute.USER_NAME, b"a"),), SECRET)
    assert read_request(octets, SECRET).code is code
    assert why(octets, b"another secret") is Discard.WRONG_REQUEST_AUTHENTICATOR
    for at in (1, 5, len(octets) - 1):
        assert why(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]) is Discard.WRONG_REQUEST_AUTHENTICATOR


@pytest.mark.parametrize("code", [RadiusCode.DISCONNECT_REQUEST, RadiusCode.COA_REQUEST])
def test_da_02_a_message_authenticator_is_checked_where_it_is(code: RadiusCode) -> None:
    octets = request_of(code, 7, ((RadiusAttribute.USER_NAME, b"a"),), SECRET)
    assert RadiusPacket.from_wire(octets).attributes[0][0] == MAC
    bare = without(octets)
    bare = bare[:4] + hashlib.md5(bare[:4] + bytes(16) + bare[20:] + SECRET).digest() + bare[20:]
    assert read_request(bare, SECRET).first(MAC) is None
    forged = octets[:22] + bytes(16) + octets[38:]
    forged = forged[:4] + hashlib.md5(forged[:4] + bytes(16) + forged[20:] + SECRET).digest() + forged[20:]
    assert why(forged) is Discard.WRONG_MESSAGE_AUTHENTICATOR


def test_rad_07_the_authenticator_of_an_access_request_is_the_callers() -> None:
    """Of sixteen octets that nobody can foresee: entropy is not read here."""
    assert access_request()[4:20] == AUTHENTICATOR
    for code in REQUESTS:
        wrong = None if code in CHOSEN_AUTHENTICATOR else AUTHENTICATOR
        with pytest.raises(Misuse):
            request_of(code, 7, (), SECRET, authenticator=wrong)
    with pytest.raises(Misuse):
        request_of(RadiusCode.ACCESS_REQUEST, 7, (), SECRET, authenticator=b"short")


def test_rad_06_an_empty_secret_is_no_secret() -> None:
    for use in (
        lambda: access_request(secret=b""),
        lambda: read_request(access_request(), b""),
        lambda: answer_to(asked(), RadiusCode.ACCESS_REJECT, (), b""),
        lambda: read_answer(answer_to(asked(), RadiusCode.ACCESS_REJECT, (), SECRET), access_request(), b""),
        lambda: read_request_of_any(access_request(), ()),
    ):
        with pytest.raises(Misuse):
            use()


def test_rad_06_while_a_secret_is_replaced_both_are_good() -> None:
    old, new = b"the secret until now, long", b"the secret from now on, long"
    for secret in (old, new):
        packet, used = read_request_of_any(access_request(secret=secret), (new, old))
        assert used == secret
        assert packet.identifier == 7
    with pytest.raises(Discarded) as caught:
        read_request_of_any(access_request(secret=b"a third one"), (new, old))
    assert caught.value.why is Discard.WRONG_MESSAGE_AUTHENTICATOR


# --- requests that can be understood in two ways


@pytest.mark.parametrize("number", sorted(SAID_ONCE))
def test_rad_11_state_and_whatever_says_who_and_where_stand_once(number: RadiusAttribute) -> None:
    octets = access_request((*EAP, (number, b"one1"), (number, b"two2")))
    assert why(octets) is Discard.REPEATED_ATTRIBUTE
    assert name_of(number)


@pytest.mark.parametrize(
    "password", [RadiusAttribute.USER_PASSWORD, RadiusAttribute.CHAP_PASSWORD, RadiusAttribute.ARAP_PASSWORD]
)
def test_re_08_eap_and_a_password_in_one_request(password: RadiusAttribute) -> None:
    assert why(access_request((*EAP, (password, bytes(16))))) is Discard.SEVERAL_AUTHENTICATIONS


# --- answers


@pytest.mark.parametrize("code", [RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCESS_REJECT, RadiusCode.ACCESS_CHALLENGE])
def test_re_06_message_authenticator_is_first_in_every_answer(code: RadiusCode) -> None:
    request = asked((*EAP, (RadiusAttribute.PROXY_STATE, b"proxy")))
    answer = answer_to(request, code, EAP, SECRET)
    assert answer[20] == MAC
    zeroed = answer[:4] + AUTHENTICATOR + answer[20:22] + bytes(16) + answer[38:]
    assert answer[22:38] == hmac.digest(SECRET, zeroed, "md5")


@pytest.mark.parametrize("asking", [RadiusCode.STATUS_SERVER, RadiusCode.DISCONNECT_REQUEST, RadiusCode.COA_REQUEST])
def test_re_06_in_answers_of_every_kind_but_those_of_accounting(asking: RadiusCode) -> None:
    for code in ANSWERS[asking]:
        assert answer_to(asked((), code=asking), code, (), SECRET)[20] == MAC


def test_re_07_an_answer_without_message_authenticator_is_not_believed() -> None:
    request = access_request()
    for code in ANSWERS[RadiusCode.ACCESS_REQUEST]:
        stripped = resigned(without(answer_to(asked(), code, EAP, SECRET)), request)
        assert why_answer(stripped) is Discard.NO_MESSAGE_AUTHENTICATOR


def test_re_07_nor_one_with_a_wrong_one_or_two() -> None:
    request, answer = access_request(), answer_to(asked(), RadiusCode.ACCESS_REJECT, (), SECRET)
    assert why_answer(resigned(answer[:22] + bytes(16), request)) is Discard.WRONG_MESSAGE_AUTHENTICATOR
    twice = answer[:2] + (56).to_bytes(2, "big") + answer[4:] + answer[20:]
    assert why_answer(resigned(twice, request)) is Discard.SEVERAL_MESSAGE_AUTHENTICATORS


def test_rad_04_an_answer_changed_on_its_way_or_to_another_request() -> None:
    answer = answer_to(asked(), RadiusCode.ACCESS_REJECT, (), SECRET)
    assert why_answer(b"\2" + answer[1:]) is Discard.WRONG_RESPONSE_AUTHENTICATOR
    assert why_answer(answer[:-1] + bytes((answer[-1] ^ 1,))) is Discard.WRONG_RESPONSE_AUTHENTICATOR
    other = request_of(RadiusCode.ACCESS_REQUEST, 7, EAP, SECRET, authenticator=bytes(16))
    assert why_answer(answer, other) is Discard.WRONG_RESPONSE_AUTHENTICATOR
    assert why_answer(answer, access_request(identifier=8)) is Discard.OTHER_IDENTIFIER


def test_rs_03_an_answer_to_status_server_may_lack_it_and_may_not_have_a_wrong_one() -> None:
    request = request_of(RadiusCode.STATUS_SERVER, 7, (), SECRET, authenticator=AUTHENTICATOR)
    answer = answer_to(read_request(request, SECRET), RadiusCode.ACCESS_ACCEPT, (), SECRET)
    assert read_answer(resigned(without(answer), request), request, SECRET).attributes == ()
    assert why_answer(resigned(answer[:22] + bytes(16), request), request) is Discard.WRONG_MESSAGE_AUTHENTICATOR


@pytest.mark.parametrize("octets", [1, 63, 64, 65, 200])
def test_re_03_secrets_of_every_length_key_the_hmac(octets: int) -> None:
    """RFC 2104 section 2: a key above 64 octets is its digest."""
    secret = bytes(range(1, octets + 1))
    packet = request_of(RadiusCode.ACCESS_REQUEST, 7, EAP, secret, authenticator=bytes(range(16)))
    assert packet[22:38] == hmac.digest(secret, packet[:22] + bytes(16) + packet[38:], "md5")
    assert read_request(packet, secret).identifier == 7
