"""Octets of strangers, and of clients who have the secret and mean harm, against everything that reads RADIUS: each is
a `DnsboundError`, costs little, and is never answered."""

import gc
import random
import time
import tracemalloc

import pytest

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES
from dnsbound.protocols.radius import (
    ANSWERS,
    Discard,
    Discarded,
    RadiusPacket,
    answer_to,
    read_answer,
    read_request,
    read_request_of_any,
    request_of,
)
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_duplicates import RecentRequests, Repeated
from dnsbound.protocols.radius_dynamic import read_dynamic_request
from dnsbound.protocols.radius_keys import read_mppe_keys
from dnsbound.protocols.radius_nas import CalledStation, NasFacts
from unit.radius_requests import AUTHENTICATOR, EAP, SECRET, access_request, asked

NAS = ((RadiusAttribute.NAS_IDENTIFIER, b"ap-3"), (RadiusAttribute.CALLED_STATION_ID, b"001a2b3c4d5e:public"))
GOOD = access_request((*EAP, *NAS))


def test_every_truncation_is_malformed() -> None:
    for kept in range(len(GOOD)):
        with pytest.raises(Malformed):
            read_request(GOOD[:kept], SECRET)


def test_every_truncation_that_tells_its_length_is_not_believed() -> None:
    for kept in range(20, len(GOOD)):
        with pytest.raises((Malformed, Discarded)):
            read_request(GOOD[:2] + kept.to_bytes(2, "big") + GOOD[4:kept], SECRET)


@pytest.mark.parametrize("said", range(256))
def test_every_lie_about_the_length_of_an_attribute(said: int) -> None:
    if said == GOOD[21]:
        return
    with pytest.raises((Malformed, Discarded)):
        read_request(GOOD[:21] + bytes((said,)) + GOOD[22:], SECRET)


@pytest.mark.parametrize("code", RadiusCode)
def test_every_code_with_the_octets_of_an_access_request(code: RadiusCode) -> None:
    """An Access-Accept as a request, an Access-Request as accounting: nothing but what it is."""
    octets = bytes((code,)) + GOOD[1:]
    if code is RadiusCode.ACCESS_REQUEST:
        assert read_request(octets, SECRET).code is code
        return
    with pytest.raises(Discarded) as caught:
        read_request(octets, SECRET)
    if not ANSWERS[code]:
        assert caught.value.why is Discard.NOT_A_REQUEST
    elif code is RadiusCode.STATUS_SERVER:
        assert caught.value.why is Discard.WRONG_MESSAGE_AUTHENTICATOR
    else:
        assert caught.value.why is Discard.WRONG_REQUEST_AUTHENTICATOR


@pytest.mark.parametrize("code", [code for code in RadiusCode if not ANSWERS[code]])
def test_our_own_answer_sent_back_is_no_request(code: RadiusCode) -> None:
    asking = next(request for request, answers in ANSWERS.items() if code in answers)
    with pytest.raises(Discarded) as caught:
        read_request(answer_to(asked((), code=asking), code, (), SECRET), SECRET)
    assert caught.value.why is Discard.NOT_A_REQUEST


def test_a_rejection_is_not_turned_into_an_acceptance() -> None:
    """CVE-2024-3596. (That one without its first attribute is none: `test_re_07` of the authenticators' tests.)"""
    rejection = answer_to(asked(), RadiusCode.ACCESS_REJECT, EAP, SECRET)
    for forged in (b"\2" + rejection[1:], b"\2" + rejection[1:2] + b"\0\x14" + rejection[4:20]):
        with pytest.raises(Discarded) as caught:
            read_answer(forged, access_request(), SECRET)
        assert caught.value.why is Discard.WRONG_RESPONSE_AUTHENTICATOR


def flooded(value: bytes, count: int) -> RadiusPacket:
    states = ((int(RadiusAttribute.PROXY_STATE), value),) * count
    return RadiusPacket(code=RadiusCode.ACCESS_REQUEST, identifier=7, authenticator=AUTHENTICATOR, attributes=states)


def test_a_proxy_state_flood_is_carried_back_or_dropped_never_cut() -> None:
    most = RADIUS_ATTRIBUTES.default
    answer = answer_to(flooded(b"", most), RadiusCode.ACCESS_REJECT, EAP, SECRET)
    assert answer.endswith(b"\x21\2" * most)
    with pytest.raises(LimitExceeded) as caught:
        answer_to(flooded(b"p" * 253, 15), RadiusCode.ACCESS_CHALLENGE, ((79, b"e" * 253),) * 4, SECRET)
    assert caught.value.limit == "radius-octets"


def test_an_attribute_flood_ends_at_the_limit() -> None:
    """What is behind the limit is not even read: whether it is sound makes no difference."""
    for last in (b"\x19\2", b"\x19\0"):
        flood = b"\1\7" + (20 + 2 * 2038).to_bytes(2, "big") + AUTHENTICATOR + b"\x19\2" * 2037 + last
        with pytest.raises(LimitExceeded) as caught:
            read_request(flood, SECRET)
        assert caught.value.limit == "radius-attributes"


def test_forgeries_without_the_secret_leave_nothing_behind() -> None:
    """Their source address anybody can write. Both secrets are tried while one is being replaced."""
    rng = random.Random(1)
    forged = [GOOD[:4] + rng.randbytes(16) + GOOD[20:] for _ in range(100)]

    def all_dropped(times: int) -> None:
        for octets in forged * times:
            with pytest.raises(Discarded) as caught:
                read_request_of_any(octets, (SECRET, b"the secret before"))
            assert caught.value.why is Discard.WRONG_MESSAGE_AUTHENTICATOR
        gc.collect()

    all_dropped(1)
    tracemalloc.start()
    try:
        all_dropped(1)
        before = tracemalloc.get_traced_memory()[0]
        all_dropped(50)
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert left < 200_000


READERS = {
    "request": lambda octets: read_request(octets, SECRET),
    "answer": lambda octets: read_answer(octets, GOOD, SECRET),
    "dynamic": lambda octets: read_dynamic_request(octets, SECRET, now=0.0),
    "facts": lambda octets: NasFacts.of(RadiusPacket.from_wire(octets)),
    "accounting": lambda octets: AccountingEvent.of(RadiusPacket.from_wire(b"\4" + octets[1:])),
    "keys": lambda octets: read_mppe_keys(RadiusPacket.from_wire(octets).attributes, AUTHENTICATOR, SECRET),
}


@pytest.mark.parametrize("reader", READERS)
def test_noise_behind_a_good_header_is_a_value_or_an_error_of_ours(reader: str) -> None:
    rng = random.Random(reader)
    for _ in range(2000):
        body = b"".join(
            bytes((rng.choice((4, 5, 26, 30, 31, 32, 40, 44, 52, 55, 79, 80)), len(value) + 2)) + value
            for value in (rng.randbytes(rng.randrange(12)) for _ in range(rng.randrange(8)))
        )
        if rng.random() < 0.3:
            body = body[: rng.randrange(len(body) + 1)]
        octets = bytes((rng.choice(list(RadiusCode)), 7)) + (20 + len(body)).to_bytes(2, "big") + AUTHENTICATOR + body
        try:
            READERS[reader](octets)
        except DnsboundError:
            continue


@pytest.mark.parametrize(
    "text",
    [b":" * 253, b"a" * 253, b"00-" * 84, b"\xff" * 253, b"00:1A:2B:3C:4D:5E" + b":" * 200, b"0" * 253, b"." * 253],
)
def test_no_station_makes_the_reader_work_hard(text: bytes) -> None:
    started = time.thread_time()
    for _ in range(200):
        CalledStation.parse(text)
    assert time.thread_time() - started < 5


def test_a_client_that_never_takes_its_answers_fills_no_table() -> None:
    recent = RecentRequests(entries=1000, seconds=5)
    for number in range(50_000):
        packet = RadiusPacket(
            code=RadiusCode.ACCESS_REQUEST,
            identifier=number % 256,
            authenticator=number.to_bytes(16, "big"),
            attributes=(),
        )
        begun = recent.begin(("192.0.2.7", number % 60_000), packet, now=number / 1000)
        assert not isinstance(begun, Repeated)
    assert len(recent) <= 1000


def test_a_disconnect_request_recorded_and_sent_again_ends_nothing_later() -> None:
    session = ((RadiusAttribute.ACCT_SESSION_ID, b"5F3A"), (RadiusAttribute.EVENT_TIMESTAMP, b"\0\0\x10\0"))
    octets = request_of(RadiusCode.DISCONNECT_REQUEST, 9, session, SECRET)
    assert read_dynamic_request(octets, SECRET, now=4096.0).identifier == 9
    with pytest.raises(Discarded) as caught:
        read_dynamic_request(octets, SECRET, now=4096.0 + 301)
    assert caught.value.why is Discard.OUT_OF_TIME
