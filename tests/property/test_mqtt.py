"""MQTT in the gate: inclusion of filters against what they match, and streams however they are cut."""

from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.budget import Budget
from dnsbound.door_limits import MQTT_TOPIC_WORK
from dnsbound.errors import DnsboundError
from dnsbound.protocols.gate_mqtt import MqttGate, MqttRules
from dnsbound.protocols.mqtt_packets import Connect
from dnsbound.protocols.mqtt_stream import Packet, PacketSizes, PacketStream, Payload, PublishHead, variable_integer
from dnsbound.protocols.mqtt_topics import covers, filter_levels
from dnsbound.wire import prefixed
from gated_clients import CAR54, admitted

TOPICS = [levels for depth in (1, 2, 3, 4) for levels in product(("a", "b", "$s"), repeat=depth)]
"""Every topic name of up to four levels over letters that are enough for filters of three to differ in."""
FILTERS = [
    filter_levels("/".join((*levels, *tail)))
    for depth in (0, 1, 2, 3)
    for levels in product(("a", "$s", "+"), repeat=depth)
    for tail in ((), ("#",))
    if levels or tail
]


def matched(levels: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """MQTT 5.0 section 4.7 by the letter: the topics that a filter matches."""

    def matches(topic: tuple[str, ...]) -> bool:
        if topic[0].startswith("$") and levels[0] in ("+", "#"):
            return False
        fixed = levels[:-1] if levels[-1] == "#" else levels
        if len(topic) < len(fixed) or (levels[-1] != "#" and len(topic) != len(fixed)):
            return False
        return all(level in ("+", said) for level, said in zip(fixed, topic, strict=False))

    return frozenset(filter(matches, TOPICS))


def test_mq_13_a_filter_covers_another_exactly_when_it_matches_all_of_its_topics() -> None:
    topics = {levels: matched(levels) for levels in FILTERS}
    assert all(topics.values())
    wrong = [
        (granted, asked)
        for granted, asked in product(FILTERS, repeat=2)
        if covers(granted, asked, Budget(MQTT_TOPIC_WORK)) != (topics[granted] >= topics[asked])
    ]
    assert wrong == []


def test_mq_13_a_topic_is_covered_exactly_when_it_is_matched() -> None:
    for granted in FILTERS:
        met = {topic for topic in TOPICS if covers(granted, topic, Budget(MQTT_TOPIC_WORK))}
        assert met == matched(granted)


def publish(topic: str, payload: bytes, qos: int) -> bytes:
    body = prefixed(topic.encode(), 2) + (b"\0\7" if qos else b"") + payload
    return bytes((0x30 | qos << 1,)) + variable_integer(len(body)) + body


OWN = f"devices/{CAR54}/state"
SAYINGS = st.lists(
    st.one_of(
        st.builds(publish, st.sampled_from([OWN, "other", "fleet/x"]), st.binary(max_size=300), st.integers(0, 2)),
        st.sampled_from([b"\xc0\x00", b"\x62\2\0\7", b"\x82\x0e\0\x0a\0\7fleet/x\x01" + b"", b"\x82\6\0\x0b\0\1#\x01"]),
    ),
    max_size=12,
)


def told(gate: MqttGate, octets: bytes, cuts: list[int]) -> tuple[bytes, bytes, str]:
    to_client, to_backend, end = b"", b"", ""
    marks = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    for start, stop in pairwise(marks):
        step = gate.client_said(octets[start:stop])
        to_client, to_backend = to_client + step.to_client, to_backend + step.to_backend
        if step.end is not None:
            assert isinstance(step.end, DnsboundError)
            end = type(step.end).__name__
    return to_client, to_backend, end


@given(said=SAYINGS, cuts=st.lists(st.integers(0, 5000), max_size=30))
@settings(max_examples=150)
def test_however_a_stream_is_cut_the_same_is_said(said: list[bytes], cuts: list[int]) -> None:
    octets = Connect(version=4, clean=True, keep_alive=9, client_id="x").to_wire() + b"".join(said)
    grants = {"publish": ["devices/%u/#"], "subscribe": ["fleet/+"]}
    whole = told(MqttGate(admitted(grants=grants), MqttRules()), octets, [])
    assert told(MqttGate(admitted(grants=grants), MqttRules()), octets, cuts) == whole


@given(said=SAYINGS)
@settings(max_examples=150)
def test_a_broker_meets_nobody_else_and_nothing_that_is_not_granted(said: list[bytes]) -> None:
    gate = MqttGate(admitted(grants={"publish": ["devices/%u/#"], "subscribe": []}), MqttRules())
    octets = Connect(version=4, clean=True, keep_alive=9, client_id="x", user_name="admin", password=b"").to_wire()
    _, met, _ = told(gate, octets + b"".join(said), [])
    first, *rest = PacketStream(PacketSizes()).receive(met)
    assert isinstance(first, Packet)
    assert Connect.from_wire(first.body).user_name == CAR54
    assert {piece.topic for piece in rest if isinstance(piece, PublishHead)} <= {OWN.encode()}
    kinds = {piece.kind.name for piece in rest if not isinstance(piece, PublishHead | Payload)}
    assert kinds <= {"PINGREQ", "PUBREL"}


@given(octets=st.binary(max_size=400), version=st.sampled_from([3, 4, 5]))
@settings(max_examples=200)
def test_any_octets_give_a_step(octets: bytes, version: int) -> None:
    gate = MqttGate(admitted(grants={"publish": ["#"]}), MqttRules())
    gate.client_said(Connect(version=version, clean=True, keep_alive=9, client_id="x").to_wire())
    for step in (gate.client_said(octets), gate.backend_said(octets)):
        assert step.end is None or isinstance(step.end, DnsboundError)
