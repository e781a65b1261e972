"""The verifier of signed requests: keys from the records or along with the request, nonces, and what the log sees."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dnsbound import AccessList, ClientName, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Security
from dnsbound.edge.nonces import NoncesHere
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.request_signing import RequestSigner, SignedResponses
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.http_limits import HTTP_CLOCK_SKEW
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.objects.http_signatures import HttpResponse, sign_response
from dnsbound.objects.http_signatures.message import lines
from dnsbound.objects.http_signatures.profile import LABEL
from unit.claims import DOOR, NAME, NOW
from unit.http_signatures.signed_messages import (
    CONTENT,
    NONCE,
    OTHER,
    RAW,
    X509,
    altered,
    door,
    records,
    request,
    signed,
    tlsa,
    verify,
)

CAR = ClientName.parse(NAME)


def refusal(requests: SignedRequests, message: Any, content: bytes = CONTENT, **options: Any) -> Reason:
    with pytest.raises((Refused, Undecided)) as refused:
        verify(requests, message, content, **options)
    assert isinstance(refused.value, Refused | Undecided)
    return refused.value.reason


@pytest.mark.parametrize("selector", [Selector.SPKI, Selector.CERT])
def test_hs_08_the_key_comes_from_the_records_where_they_have_it(selector: Selector) -> None:
    published = tlsa(X509, selector=selector, matching_type=MatchingType.FULL)
    verified, content = verify(door(records(published)), signed(X509, key_in_band=False))
    assert (verified.name, content) == (CAR, CONTENT)
    assert refusal(door(records(published)), signed(OTHER, key_in_band=False)) is Reason.BAD_SIGNATURE
    assert refusal(door(records(tlsa(X509))), signed(X509, key_in_band=False)) is Reason.NO_KEY


@pytest.mark.parametrize(
    ("credential", "selector", "matching_type"),
    [
        (RAW, Selector.SPKI, MatchingType.SHA2_256),
        (RAW, Selector.SPKI, MatchingType.SHA2_512),
        (X509, Selector.SPKI, MatchingType.SHA2_256),
        (X509, Selector.CERT, MatchingType.SHA2_256),
    ],
)
def test_hs_09_digests_match_the_key_that_comes_along(
    credential: Any, selector: Selector, matching_type: MatchingType
) -> None:
    known = records(tlsa(credential, Usage.DANE_EE, selector, matching_type))
    verified, _ = verify(door(known), signed(credential))
    assert verified.name == CAR
    assert known.asked == [(NAME, False)]


def test_hs_09_a_key_in_band_that_no_record_names_is_nobodys() -> None:
    assert refusal(door(records(tlsa(X509))), signed(OTHER)) is Reason.TLSA_MISMATCH


def test_hs_09_the_connection_may_show_the_certificate() -> None:
    shown = Presented(X509.chain)
    verified, _ = verify(door(records(tlsa(X509))), signed(X509, key_in_band=False), presented=shown)
    assert verified.name == CAR
    known = records(tlsa(X509))
    assert refusal(door(known), signed(OTHER, key_in_band=False), presented=shown) is Reason.BAD_SIGNATURE
    assert known.asked == []


def test_hs_10_the_target_is_the_configured_origins() -> None:
    requests = door(records(tlsa(RAW)))
    message = signed()
    came = [(b"Host", b"10.0.0.7:8000"), *((n.encode(), v.encode()) for n, v in message.fields)]
    rebuilt = requests.request("POST", "/reports?day=1", came)
    assert verify(requests, rebuilt)[0].name == CAR
    elsewhere = signed(message=request(url="https://other.example/reports?day=1"))
    came = [(b"Host", b"other.example"), *((n.encode(), v.encode()) for n, v in elsewhere.fields)]
    assert refusal(requests, requests.request("POST", "/reports?day=1", came)) is Reason.BAD_SIGNATURE
    with pytest.raises(Malformed):
        requests.request("OPTIONS", "*", came)


def test_hs_10_an_origin_may_have_the_path_that_a_proxy_takes_off() -> None:
    requests = SignedRequests(
        ObjectVerifier(AccessList.allowing(DOOR, [NAME]), records(tlsa(RAW)), door=DOOR, clock=lambda: NOW),
        origin="https://API.example:443/v2/",
        nonces=NoncesHere(),
    )
    message = signed(message=request(url="https://api.example/v2/reports"))
    came = [(n.encode(), v.encode()) for n, v in message.fields]
    assert verify(requests, requests.request("POST", "/reports", came))[0].name == CAR


@pytest.mark.parametrize("added", ["#", "#&admin=1", "&x#&admin=1"])
def test_hs_10_nothing_is_hidden_behind_a_fragment(added: str) -> None:
    """A server hands `?day=1#&admin=1` on as a query; what is signed is the URI without its fragment."""
    requests = door(records(tlsa(RAW)))
    came = [(n.encode(), v.encode()) for n, v in signed().fields]
    assert verify(requests, requests.request("POST", "/reports?day=1", came))[0].name == CAR
    with pytest.raises(Malformed):
        requests.request("POST", f"/reports?day=1{added}", came)


@pytest.mark.parametrize("origin", ["api.example", "https://api.example/?x", "https://api.example/#x", ""])
def test_hs_10_an_origin_that_is_none(origin: str) -> None:
    with pytest.raises(Misuse):
        SignedRequests(
            ObjectVerifier.expecting([NAME], records(), clock=lambda: NOW), origin=origin, nonces=NoncesHere()
        )


def test_hs_11_no_lookup_for_a_stranger_or_a_bad_signature() -> None:
    known = records(tlsa(RAW))
    nobody = SignedRequests(
        ObjectVerifier(AccessList.allowing(DOOR, ["a.b.example"]), known, door=DOOR, clock=lambda: NOW),
        origin="https://api.example",
        nonces=NoncesHere(),
    )
    assert refusal(nobody, signed()) is Reason.NOT_PERMITTED
    assert refusal(door(known), altered(signed(), "signature", "dnsbound=:AAAA:")) is Reason.BAD_SIGNATURE
    assert refusal(door(known), request()) is Reason.NO_CREDENTIAL
    assert refusal(door(known, now=NOW + 3600), signed()) is Reason.STALE
    assert known.asked == []


def test_hs_11_the_content_is_not_read_for_a_stranger() -> None:
    def content() -> bytes:
        pytest.fail("read before the signer was known")

    with pytest.raises(Refused):
        door(records(tlsa(OTHER))).verify_blocking(signed(), content)


def test_hs_11_a_nonce_is_used_up_by_what_is_taken_alone() -> None:
    nonces = NoncesHere()
    assert refusal(door(records(tlsa(OTHER)), nonces=nonces), signed()) is Reason.TLSA_MISMATCH
    assert refusal(door(records(tlsa(RAW)), nonces=nonces), signed(), b"changed") is Reason.BAD_SIGNATURE
    assert len(nonces) == 0
    verify(door(records(tlsa(RAW)), nonces=nonces), signed())
    assert len(nonces) == 1


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"security": Security.INSECURE}, Reason.INSECURE),
        ({"security": Security.BOGUS}, Reason.BOGUS),
        ({"security": Security.INDETERMINATE}, Reason.INDETERMINATE),
    ],
)
def test_hs_08_records_that_are_not_secure_are_none(facts: dict[str, Any], reason: Reason) -> None:
    full = tlsa(X509, matching_type=MatchingType.FULL)
    assert refusal(door(records(full, **facts)), signed(X509, key_in_band=False)) is reason
    assert refusal(door(records(full, **facts)), signed(X509)) is reason


def test_hs_04_a_request_is_taken_once() -> None:
    seen: list[Any] = []
    requests = door(records(tlsa(RAW)), seen=seen.append)
    message = signed()
    verify(requests, message)
    assert refusal(requests, message) is Reason.REPLAYED
    assert refusal(requests, message) is Reason.REPLAYED
    verify(requests, signed(nonce=NONCE[::-1]))
    assert [decision.reason for decision in seen if decision.reason] == [Reason.REPLAYED, Reason.REPLAYED]


def test_hs_04_of_many_at_once_one_is_taken() -> None:
    nonces = NoncesHere()

    def ask(_: int) -> bool:
        return nonces.is_new(CAR, NONCE, until=NOW + 60, now=NOW)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(200))) == 1


def test_hs_04_a_nonce_is_remembered_as_long_as_any_clock_takes_it() -> None:
    nonces, message = NoncesHere(), signed(seconds=60)
    last = NOW + 60 + HTTP_CLOCK_SKEW.default
    verify(door(records(tlsa(RAW)), nonces=nonces), message)
    assert refusal(door(records(tlsa(RAW), validated_at=last), nonces=nonces, now=last), message) is Reason.REPLAYED
    assert refusal(door(records(tlsa(RAW)), nonces=nonces, now=last + 1), message) is Reason.STALE
    nonces.is_new(CAR, "other", until=last + 60, now=last + 1)
    assert len(nonces) == 1


def test_hs_04_content_that_comes_late_is_not_taken_once_more() -> None:
    """Whoever has a copy of a request begins to send it, and ends when its nonce has been forgotten."""
    nonces, message, clock = NoncesHere(), signed(seconds=60), [NOW]
    verifier = ObjectVerifier(AccessList.allowing(DOOR, [NAME]), records(tlsa(RAW)), door=DOOR, clock=lambda: clock[0])
    requests = SignedRequests(verifier, origin="https://api.example", nonces=nonces)

    def slowly() -> bytes:
        verify(door(records(tlsa(RAW)), nonces=nonces), message)
        clock[0] = NOW + 60 + HTTP_CLOCK_SKEW.default + 1
        return CONTENT

    async def slowly_too() -> bytes:
        clock[0] = NOW + 60 + HTTP_CLOCK_SKEW.default + 1
        return CONTENT

    with pytest.raises(Refused) as refused:
        requests.verify_blocking(message, slowly)
    assert refused.value.reason is Reason.STALE
    clock[0] = NOW
    with pytest.raises(Refused) as refused:
        asyncio.run(requests.verify(message, slowly_too))
    assert refused.value.reason is Reason.STALE


def test_hs_04_a_memory_that_is_full_decides_nothing() -> None:
    nonces = NoncesHere(limit=16, per_name=3)
    for index in range(3):
        assert nonces.is_new(CAR, f"nonce-{index}", until=NOW + 60, now=NOW)
    with pytest.raises(Undecided) as undecided:
        nonces.is_new(CAR, "nonce-3", until=NOW + 60, now=NOW)
    assert undecided.value.reason is Reason.WORK_BUDGET
    for index in range(13):
        assert nonces.is_new(ClientName.parse(f"c{index}.cars.example"), "nonce", until=NOW + 60, now=NOW)
    with pytest.raises(Undecided):
        nonces.is_new(ClientName.parse("last.cars.example"), "nonce", until=NOW + 60, now=NOW)
    assert not nonces.is_new(CAR, "nonce-0", until=NOW + 60, now=NOW)
    assert nonces.is_new(ClientName.parse("last.cars.example"), "nonce", until=NOW + 90, now=NOW + 61)
    assert len(nonces) == 1


def test_hs_04_names_have_nonces_of_their_own() -> None:
    nonces = NoncesHere()
    assert nonces.is_new(CAR, NONCE, until=NOW + 60, now=NOW)
    assert nonces.is_new(ClientName.parse("car55.cars.example"), NONCE, until=NOW + 60, now=NOW)
    assert not nonces.is_new(ClientName.parse(NAME.upper()), NONCE, until=NOW + 60, now=NOW)


class SlowMemory:
    """A memory that waits, as a database does."""

    waits = True

    def __init__(self) -> None:
        self.here = NoncesHere()

    def is_new(self, name: ClientName, nonce: str, *, until: float, now: float) -> bool:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return self.here.is_new(name, nonce, until=until, now=now)


def test_hs_04_an_event_loop_asks_a_database_in_a_thread() -> None:
    requests = door(records(tlsa(RAW)), nonces=SlowMemory())

    async def content() -> bytes:
        return CONTENT

    async def twice() -> None:
        message = signed()
        verified, held = await requests.verify(message, content)
        assert (verified.name, held) == (CAR, CONTENT)
        with pytest.raises(Refused) as refused:
            await requests.verify(message, content)
        assert refused.value.reason is Reason.REPLAYED

    asyncio.run(twice())


def test_what_does_not_parse_is_refused_and_logged() -> None:
    seen: list[Any] = []
    requests = door(records(tlsa(RAW)), seen=seen.append)
    assert refusal(requests, altered(signed(), "signature-input", "dnsbound=(")) is Reason.BAD_SIGNATURE
    assert refusal(requests, altered(signed(), "signature-input", "x" * 10_000)) is Reason.BAD_SIGNATURE
    assert [decision.reason for decision in seen] == [Reason.BAD_SIGNATURE, Reason.BAD_SIGNATURE]


def test_a_signer_never_signs_the_same_twice() -> None:
    signer = RequestSigner(RAW, clock=lambda: NOW)
    one, two = (signer.sign("GET", "https://api.example/", []) for _ in range(2))
    assert dict(one.added)["Signature-Input"] != dict(two.added)["Signature-Input"]
    requests = door(records(tlsa(RAW)))
    for made in (one, two):
        assert verify(requests, made.message, b"")[0].name == CAR


def test_hs_13_a_client_knows_who_answered() -> None:
    server = ObjectVerifier.expecting([NAME], records(tlsa(X509)), clock=lambda: NOW)
    sent = RequestSigner(RAW, clock=lambda: NOW).sign("GET", "https://api.example/", []).message
    response = HttpResponse.of(200, [("Content-Type", "text/plain")], request=sent)
    added = sign_response(response, b"ok", X509, request_label=LABEL, now=NOW)
    fields = [(name.encode(), value.encode()) for name, value in (*response.fields, *added)]
    assert SignedResponses(server).verify_blocking(sent, 200, fields, b"ok").name == CAR
    for status, kept, content in (
        (201, fields, b"ok"),
        (200, fields, b"no"),
        (200, fields[:1], b"ok"),
        (20, fields, b"ok"),
    ):
        with pytest.raises(Refused):
            SignedResponses(server).verify_blocking(sent, status, kept, content)
    another = RequestSigner(RAW, clock=lambda: NOW).sign("GET", "https://api.example/", []).message
    with pytest.raises(Refused) as refused:
        SignedResponses(server).verify_blocking(another, 200, fields, b"ok")
    assert refused.value.reason is Reason.BAD_SIGNATURE
    assert lines(sent.fields, "signature")
