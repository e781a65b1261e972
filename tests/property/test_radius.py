"""RADIUS packets by the thousand: reading undoes writing, pyrad understands ours and we understand pyrad's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AcctPacket, AuthPacket, CoAPacket

from dnsbound.errors import DnsboundError
from dnsbound.iana import AcctStatusType, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import (
    Discarded,
    RadiusPacket,
    answer_to,
    read_answer,
    read_request,
    request_of,
    split_eap_message,
)
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_arrangement import SAID_ONCE
from dnsbound.protocols.radius_keys import mppe_keys, read_mppe_keys, salts_from
from dnsbound.protocols.radius_nas import CalledStation, NasFacts

SECRETS = st.binary(min_size=1, max_size=64)
AUTHENTICATORS = st.binary(min_size=16, max_size=16)
IDENTIFIERS = st.integers(0, 255)
OURS = {int(RadiusAttribute.MESSAGE_AUTHENTICATOR), int(RadiusAttribute.EAP_MESSAGE), int(RadiusAttribute.PROXY_STATE)}
PASSWORDS = {2, 3, 70}
FREE = st.tuples(
    st.integers(1, 255).filter(lambda number: number not in OURS | PASSWORDS | SAID_ONCE),
    st.binary(min_size=1, max_size=100),
)
ATTRIBUTES = st.lists(FREE, max_size=12).map(tuple)
EAP = st.binary(min_size=1, max_size=1500)
PROXY_STATES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


@given(IDENTIFIERS, AUTHENTICATORS, st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=253)), max_size=12))
def test_reading_undoes_writing(identifier: int, authenticator: bytes, attributes: list[tuple[int, bytes]]) -> None:
    kept = tuple(attribute for attribute in attributes if attribute[0] != RadiusAttribute.EAP_MESSAGE)
    packet = RadiusPacket(
        code=RadiusCode.ACCESS_REQUEST, identifier=identifier, authenticator=authenticator, attributes=kept
    )
    assert RadiusPacket.from_wire(packet.to_wire()) == packet


@given(st.binary(max_size=300))
def test_octets_that_are_read_are_written_again(noise: bytes) -> None:
    try:
        packet = RadiusPacket.from_wire(noise)
    except DnsboundError:
        return
    assert noise.startswith(packet.to_wire())


@given(SECRETS, ATTRIBUTES, EAP, PROXY_STATES, EAP)
def test_a_conversation_with_ourselves(
    secret: bytes, attributes: tuple[tuple[int, bytes], ...], eap: bytes, states: list[bytes], told: bytes
) -> None:
    carried = tuple((int(RadiusAttribute.PROXY_STATE), state) for state in states)
    said = (*attributes, *split_eap_message(eap), *carried)
    octets = request_of(RadiusCode.ACCESS_REQUEST, 7, said, secret, authenticator=bytes(range(16)))
    request = read_request(octets, secret)
    assert request.attributes[1:] == said
    assert request.eap_message == eap
    answer = read_answer(
        answer_to(request, RadiusCode.ACCESS_CHALLENGE, split_eap_message(told), secret), octets, secret
    )
    assert answer.eap_message == told
    assert answer.all(RadiusAttribute.PROXY_STATE) == tuple(states)


@given(SECRETS, AUTHENTICATORS, ATTRIBUTES, EAP, st.data())
def test_one_changed_bit_is_never_believed(
    secret: bytes, authenticator: bytes, attributes: tuple[tuple[int, bytes], ...], eap: bytes, data: st.DataObject
) -> None:
    said = (*attributes, *split_eap_message(eap))
    octets = bytearray(request_of(RadiusCode.ACCESS_REQUEST, 7, said, secret, authenticator=authenticator))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DnsboundError):
        read_request(bytes(octets), secret)


# --- pyrad, both ways

RAW = {int(RadiusAttribute.VENDOR_SPECIFIC)}


@given(IDENTIFIERS, SECRETS, AUTHENTICATORS, ATTRIBUTES, EAP)
def test_pyrad_reads_what_we_write(
    identifier: int, secret: bytes, authenticator: bytes, attributes: tuple[tuple[int, bytes], ...], eap: bytes
) -> None:
    said = tuple(attribute for attribute in attributes if attribute[0] not in RAW) + split_eap_message(eap)
    octets = request_of(RadiusCode.ACCESS_REQUEST, identifier, said, secret, authenticator=authenticator)
    theirs = AuthPacket(packet=octets, secret=secret)
    assert theirs.verify_message_authenticator()
    assert (theirs.code, theirs.id, theirs.authenticator) == (1, identifier, authenticator)
    assert b"".join(theirs[79]) == eap
    for number in {number for number, _ in said}:
        assert list(theirs[number]) == [value for other, value in said if other == number]
    answer = answer_to(read_request(octets, secret), RadiusCode.ACCESS_REJECT, split_eap_message(eap), secret)
    assert theirs.VerifyReply(AuthPacket(packet=answer, secret=secret), answer)


@given(IDENTIFIERS, SECRETS, EAP, PROXY_STATES, EAP)
def test_we_read_what_pyrad_writes(
    identifier: int, secret: bytes, eap: bytes, states: list[bytes], told: bytes
) -> None:
    theirs = AuthPacket(code=1, id=identifier, secret=secret, authenticator=bytes(range(16)))
    theirs[1] = [b"@cars.example"]
    theirs[79] = [value for _, value in split_eap_message(eap)]
    if states:
        theirs[33] = states
    theirs.add_message_authenticator()
    octets = theirs.RequestPacket()
    request = read_request(octets, secret)
    assert (request.identifier, request.eap_message) == (identifier, eap)
    reply = theirs.CreateReply()
    reply.code = 11
    reply[79] = [value for _, value in split_eap_message(told)]
    answer = read_answer(reply.ReplyPacket(), octets, secret)
    assert answer.eap_message == told
    assert answer.all(RadiusAttribute.PROXY_STATE) == tuple(states)


@pytest.mark.parametrize(
    ("kind", "verified", "code"),
    [
        (AcctPacket, AcctPacket.VerifyAcctRequest, RadiusCode.ACCOUNTING_REQUEST),
        (CoAPacket, CoAPacket.VerifyCoARequest, RadiusCode.DISCONNECT_REQUEST),
    ],
)
@given(secret=SECRETS, name=st.binary(min_size=1, max_size=253))
def test_pyrad_and_we_prove_other_requests_alike(kind, verified, code, secret, name) -> None:
    ours = request_of(code, 7, ((RadiusAttribute.USER_NAME, name),), secret)
    assert verified(kind(packet=ours, secret=secret))
    theirs = kind(code=int(code), id=7, secret=secret)
    theirs[1] = [name]
    assert read_request(theirs.RequestPacket(), secret).first(RadiusAttribute.USER_NAME) == name


# --- what is inside


@given(st.binary(min_size=64, max_size=64), AUTHENTICATORS, SECRETS, st.binary(min_size=4, max_size=4))
def test_keys_come_back(msk: bytes, authenticator: bytes, secret: bytes, entropy: bytes) -> None:
    keys = read_mppe_keys(mppe_keys(msk, authenticator, secret, salts_from(entropy)), authenticator, secret)
    assert keys is not None
    assert keys.recv + keys.send == msk


@given(st.binary(max_size=253))
def test_any_station_is_read(octets: bytes) -> None:
    station = CalledStation.parse(octets)
    assert station.ssid is None or station.text.endswith(station.ssid)
    assert station.bssid is None or len(station.bssid) == 17


COUNTERS = st.none() | st.integers(0, 2**64 - 1)
SMALL = st.none() | st.integers(0, 2**32 - 1)


@given(
    st.builds(
        AccountingEvent,
        status=st.sampled_from(AcctStatusType),
        session_id=st.binary(min_size=1, max_size=253),
        nas=st.just(NasFacts()),
        multi_session_id=st.none() | st.binary(min_size=1, max_size=253),
        classes=st.lists(st.binary(min_size=1, max_size=64), max_size=3).map(tuple),
        input_octets=COUNTERS,
        output_octets=COUNTERS,
        session_seconds=SMALL,
        terminate_cause=SMALL,
        delay=st.integers(0, 2**32 - 1),
        timestamp=SMALL,
    )
)
def test_reports_come_back(event: AccountingEvent) -> None:
    octets = request_of(RadiusCode.ACCOUNTING_REQUEST, 7, event.to_attributes(), b"secret")
    assert AccountingEvent.of(read_request(octets, b"secret")) == event


@given(st.binary(max_size=120), SECRETS)
def test_noise_is_no_answer(noise: bytes, secret: bytes) -> None:
    request = request_of(RadiusCode.ACCESS_REQUEST, 7, (), secret, authenticator=bytes(16))
    answer = bytes((11, 7)) + (20 + len(noise)).to_bytes(2, "big") + bytes(16) + noise
    with pytest.raises(DnsboundError) as caught:
        read_answer(answer, request, secret)
    assert isinstance(caught.value, Discarded) or type(caught.value).__name__ in ("Malformed", "LimitExceeded")
