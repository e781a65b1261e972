"""Repetitions get the former answer and are worked on once; nothing is remembered without bounds."""

from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_duplicates import Begun, RecentRequests, Repeated

NAS = ("192.0.2.7", 40_000)


def request(identifier: int = 1, authenticator: bytes = b"a" * 16, *, code: int = 1) -> RadiusPacket:
    return RadiusPacket(
        code=RadiusCode(code),
        identifier=identifier,
        authenticator=authenticator,
        attributes=((RadiusAttribute.USER_NAME, b"a"),),
    )


def begun(recent: RecentRequests, asked: RadiusPacket, *, now: float, source: object = NAS) -> Begun:
    found = recent.begin(source, asked, now=now)
    assert isinstance(found, Begun)
    return found


def test_rad_12_a_repetition_gets_the_former_answer() -> None:
    recent = RecentRequests()
    first = begun(recent, request(), now=0)
    recent.answered(first, b"answer", now=1)
    assert recent.begin(NAS, request(), now=2) == Repeated(answer=b"answer")
    assert recent.begin(NAS, request(), now=3) == Repeated(answer=b"answer")


def test_rad_12_a_request_in_progress_is_neither_answered_nor_begun_again() -> None:
    recent = RecentRequests()
    first = begun(recent, request(), now=0)
    assert recent.begin(NAS, request(), now=1) == Repeated(answer=None)
    recent.answered(first, b"answer", now=2)
    assert recent.begin(NAS, request(), now=3) == Repeated(answer=b"answer")


def test_rad_12_another_authenticator_source_code_or_identifier_is_another_request() -> None:
    recent = RecentRequests()
    recent.answered(begun(recent, request(), now=0), b"answer", now=0)
    begun(recent, request(2), now=1)
    begun(recent, request(code=4), now=1)
    begun(recent, request(), now=1, source=("192.0.2.7", 40_001))
    begun(recent, request(authenticator=b"b" * 16), now=1)
    assert len(recent) == 4


def test_rad_12_the_same_identifier_with_a_new_authenticator_ends_the_old_one() -> None:
    recent = RecentRequests()
    old = begun(recent, request(), now=0)
    new = begun(recent, request(authenticator=b"b" * 16), now=1)
    recent.answered(old, b"old", now=2)
    assert recent.begin(NAS, request(authenticator=b"b" * 16), now=3) == Repeated(answer=None)
    recent.answered(new, b"new", now=4)
    assert recent.begin(NAS, request(authenticator=b"b" * 16), now=5) == Repeated(answer=b"new")


def test_rad_12_after_a_while_it_is_a_new_request() -> None:
    recent = RecentRequests(seconds=10)
    recent.answered(begun(recent, request(), now=0), b"answer", now=5)
    assert recent.begin(NAS, request(), now=14.9) == Repeated(answer=b"answer")
    again = begun(recent, request(), now=15)
    begun(recent, request(2), now=24)
    assert len(recent) == 2
    begun(recent, request(3), now=25)
    assert len(recent) == 2, "what was never answered is forgotten too"
    recent.answered(again, b"late", now=26)
    assert len(recent) == 2


def test_rad_12_silence_is_not_remembered() -> None:
    recent = RecentRequests()
    recent.answered(begun(recent, request(), now=0), None, now=1)
    begun(recent, request(), now=2)


def test_the_table_is_bounded() -> None:
    recent = RecentRequests(entries=256)
    for number in range(10_000):
        begun(recent, request(number % 256), now=0, source=number // 256)
    assert len(recent) == 256
    assert recent.begin(9999 // 256, request(9999 % 256), now=0) == Repeated(answer=None)
