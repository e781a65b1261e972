"""Whatever octets an authoritative server sends: seen, lacking with a reason, or malformed; never anything else."""

import time
from dataclasses import replace

import dns.message
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.canonical import key_of
from dnsbound.dns.messages import Response
from dnsbound.dns.served import Lacking, Seen, Wanted, ZoneSight
from dnsbound.errors import Malformed
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

NOW = time.time()
RECORD = "3 1 1 " + "ab" * 32
TREE = ZoneTree.build(
    [
        ZonePlan.of(
            "cars.example.",
            records=f"car1._device TLSA {RECORD}\ncar2._device CNAME car1._device\n*.w TLSA {RECORD}\n",
            denial="nsec3",
        )
    ],
    now=NOW,
)
ANSWERS = ZoneAnswers(TREE.zones)
ANCHORS = TrustAnchors.from_text(TREE.anchors("cars.example."))
NAMES = ("car1._device", "car2._device", "car3._device", "x.w")


def octets(name: str, rdtype: str) -> bytes:
    answer = ANSWERS.respond_wire(dns.message.make_query(name, rdtype, want_dnssec=True).to_wire(), udp=False)
    assert answer is not None
    return answer


ZONE = TREE.zones[0].origin
DNSKEYS = Response.from_wire(octets(ZONE.to_text(), "DNSKEY"), source="test")
SIGHT = ZoneSight(key_of(ZONE), ANCHORS, DNSKEYS)
VALID = {name: octets(f"{name}.cars.example", "TLSA") for name in NAMES}


def judged(name: str, wire: bytes, sight: ZoneSight) -> Seen | Lacking | None:
    wanted = Wanted.from_text(f"{name}.cars.example", "TLSA", present=[RECORD])
    gone = Wanted.from_text(f"{name}.cars.example", "TLSA", absent=[RECORD])
    try:
        response = Response.from_wire(wire, source="test")
    except Malformed:
        return None
    assert isinstance(sight.judge(response, gone, now=NOW), Seen | Lacking)
    return sight.judge(response, wanted, now=NOW)


def test_the_octets_are_good_before_they_are_damaged() -> None:
    assert isinstance(judged("car1._device", VALID["car1._device"], SIGHT), Seen)
    for name in NAMES[1:]:
        assert isinstance(judged(name, VALID[name], SIGHT), Lacking)


@given(
    name=st.sampled_from(NAMES),
    damage=st.lists(st.tuples(st.integers(min_value=2), st.integers(min_value=1, max_value=255)), max_size=4),
    cut=st.integers(min_value=0, max_value=40),
    anchored=st.booleans(),
)
def test_damaged_answers(name: str, damage: list[tuple[int, int]], cut: int, anchored: bool) -> None:
    wire = bytearray(VALID[name])
    for at, bits in damage:
        wire[at % len(wire)] ^= bits
    sight = SIGHT if anchored else ZoneSight(SIGHT.zone)
    result = judged(name, bytes(wire[: len(wire) - cut]), sight)
    if isinstance(result, Seen) and anchored:
        # What a validator calls good has the records, in whatever packing.
        assert result.validated
        assert name == "car1._device"


@given(wire=st.binary(max_size=300))
def test_any_octets(wire: bytes) -> None:
    judged("car1._device", wire, SIGHT)
    judged("car1._device", wire, ZoneSight(SIGHT.zone))


@given(offset=st.floats(min_value=-1e9, max_value=1e9))
def test_any_moment(offset: float) -> None:
    wanted = Wanted.from_text("car1._device.cars.example", "TLSA", present=[RECORD])
    response = Response.from_wire(VALID["car1._device"], source="test")
    for sight in (ZoneSight(SIGHT.zone, ANCHORS, DNSKEYS), ZoneSight(SIGHT.zone)):
        result = sight.judge(response, wanted, now=NOW + offset)
        held = -3600 < offset < 86_400
        assert isinstance(result, Seen) == held or abs(offset) in (3600, 86_400)


def test_answers_without_authority_are_never_believed() -> None:
    response = replace(Response.from_wire(VALID["car1._device"], source="test"), authoritative=False)
    wanted = Wanted.from_text("car1._device.cars.example", "TLSA", present=[RECORD])
    assert isinstance(SIGHT.judge(response, wanted, now=NOW), Lacking)
