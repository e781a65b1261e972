"""The MQTT filter of the gate: what a broker gets, what a client is told, and what ends a connection."""

import pytest

from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.names import ClientName
from dnsbound.protocols.gate_mqtt import ClientIds, Denied, MqttGate, MqttRules
from dnsbound.protocols.gated import BackendError, Step
from dnsbound.protocols.mqtt_grants import TopicGrants
from dnsbound.protocols.mqtt_packets import Connect, ConnectAnswer, Property, Subscribe, SubscribeAnswer, Will
from dnsbound.protocols.mqtt_stream import Packet, PacketSizes, PacketStream, variable_integer
from dnsbound.wire import prefixed
from gated_clients import CAR54, admitted

GRANTS = {"publish": ["devices/%u/#"], "subscribe": ["devices/%u/#", "fleet/+"]}
OWN = f"devices/{CAR54}/state"
CONNACK = {3: b"\x20\x02\0\0", 4: b"\x20\x02\0\0", 5: b"\x20\x03\0\0\0"}


def connect(version: int = 4, client_id: str = "one", **more: object) -> Connect:
    return Connect(version=version, client_id=client_id, **({"clean": True, "keep_alive": 60} | more))  # type: ignore[arg-type]


def publish(topic: str, payload: bytes = b"21.5", *, qos: int = 0, version: int = 4, alias: int | None = None) -> bytes:
    properties = b"" if alias is None else b"\x23" + alias.to_bytes(2, "big")
    body = prefixed(topic.encode(), 2) + (b"\0\7" if qos else b"")
    body += (bytes((len(properties),)) + properties if version == 5 else b"") + payload
    return bytes((0x30 | qos << 1,)) + variable_integer(len(body)) + body


def subscribe(*filters: str, version: int = 4, identifier: int = 9) -> bytes:
    properties = b"" if version == 5 else None
    return Subscribe(
        identifier=identifier, properties=properties, filters=tuple((each, 1) for each in filters)
    ).to_wire()


def body(octets: bytes) -> bytes:
    (packet,) = PacketStream(PacketSizes()).receive(octets)
    assert isinstance(packet, Packet)
    return packet.body


def open_gate(version: int = 4, rules: MqttRules | None = None, grants: object = GRANTS) -> MqttGate:
    """A gate whose client is connected."""
    gate = MqttGate(admitted(grants=grants), rules or MqttRules())  # type: ignore[arg-type]
    assert gate.begin() == Step()
    assert gate.client_said(connect(version).to_wire()).end is None
    assert gate.backend_said(CONNACK[version]).to_client == CONNACK[version]
    return gate


def forwarded(step: Step) -> Connect:
    assert step.end is None
    return Connect.from_wire(body(step.to_backend))


# --- CONNECT


@pytest.mark.parametrize(
    "first", [b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n", publish("a"), b"\x00\x00", b"\x16\x03\x01\x02"]
)
def test_mq_01_the_first_packet_is_connect(first: bytes) -> None:
    step = MqttGate(admitted(), MqttRules()).client_said(first)
    assert isinstance(step.end, PeerError)
    assert step.to_backend == step.to_client == b""


@pytest.mark.parametrize("version", [3, 4, 5])
def test_mq_01_a_second_connect_ends(version: int) -> None:
    gate = open_gate(version)
    step = gate.client_said(connect(version, "other").to_wire())
    assert isinstance(step.end, PeerError)
    assert step.to_backend == b""
    assert step.to_client == (b"\xe0\x01\x82" if version == 5 else b"")
    assert gate.client_said(publish(OWN, version=version)) == Step()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("claimed", [None, "admin", CAR54.upper(), "car99._device.cars.example"])
def test_mq_06_the_user_name_is_the_verified_name(version: int, claimed: str | None) -> None:
    asked = connect(version, user_name=claimed, password=None if claimed is None else b"secret")
    told = forwarded(MqttGate(admitted("CAR54._device.cars.example"), MqttRules()).client_said(asked.to_wire()))
    assert (told.user_name, told.password) == (CAR54, None)
    with_password = MqttGate(admitted(), MqttRules(password=b"broker's")).client_said(asked.to_wire())
    assert forwarded(with_password).password == b"broker's"


def test_the_password_is_not_shown() -> None:
    assert "broker's" not in repr(MqttRules(password=b"broker's"))


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("one", f"{CAR54}/one"),
        ("car99._device.cars.example", f"{CAR54}/car99._device.cars.example"),
        (CAR54, CAR54),
        (f"{CAR54}/one", f"{CAR54}/one"),
        (f"{CAR54}one", f"{CAR54}/{CAR54}one"),
    ],
)
def test_mq_07_the_client_identifier_begins_with_the_name(version: int, wanted: str, told: str) -> None:
    assert (
        forwarded(MqttGate(admitted(), MqttRules()).client_said(connect(version, wanted).to_wire())).client_id == told
    )


@pytest.mark.parametrize(("version", "answer"), [(3, b"\0\2"), (4, b"\0\2"), (5, b"\0\x85\0")])
def test_mq_07_the_identifier_of_another_is_refused_where_it_must_be_exact(version: int, answer: bytes) -> None:
    exact = MqttRules(client_ids=ClientIds.EXACT)
    for own in (CAR54, f"{CAR54}/one"):
        assert forwarded(MqttGate(admitted(), exact).client_said(connect(version, own).to_wire())).client_id == own
    for other in ("one", "car99._device.cars.example", f"{CAR54}0", CAR54.upper()):
        step = MqttGate(admitted(), exact).client_said(connect(version, other).to_wire())
        assert isinstance(step.end, PeerError)
        assert step.to_backend == b""
        assert body(step.to_client) == answer


@pytest.mark.parametrize("wanted", ["a+", "#", "a\nb", "a\u0085", "x" * 600])
def test_mq_07_identifiers_that_could_mean_more(wanted: str) -> None:
    step = MqttGate(admitted(), MqttRules()).client_said(connect(client_id=wanted).to_wire())
    assert isinstance(step.end, PeerError)
    assert (step.to_backend, body(step.to_client)) == (b"", b"\0\2")


def test_mq_08_an_empty_identifier_is_the_name() -> None:
    assert forwarded(MqttGate(admitted(), MqttRules()).client_said(connect(4, "").to_wire())).client_id == CAR54
    for version in (3, 4):
        step = MqttGate(admitted(), MqttRules()).client_said(connect(version, "", clean=False).to_wire())
        assert isinstance(step.end, PeerError)
        assert body(step.to_client) == b"\0\2"


@pytest.mark.parametrize("clean", [True, False])
def test_mq_08_a_client_of_version_5_is_told_its_identifier(clean: bool) -> None:
    gate = MqttGate(admitted(), MqttRules())
    assert forwarded(gate.client_said(connect(5, "", clean=clean).to_wire())).client_id == CAR54
    told = ConnectAnswer.from_wire(body(gate.backend_said(b"\x20\x06\0\0\x03\x22\0\x0a").to_client), version=5)
    assert told.properties == ((0x22, b"\0\x0a"), (Property.ASSIGNED_CLIENT_IDENTIFIER, prefixed(CAR54.encode(), 2)))


def test_mq_08_nobody_else_is_told_one() -> None:
    for version, asked in ((5, "one"), (4, "")):
        gate = MqttGate(admitted(), MqttRules())
        gate.client_said(connect(version, asked).to_wire())
        assert gate.backend_said(CONNACK[version]).to_client == CONNACK[version]
    refused = MqttGate(admitted(), MqttRules())
    refused.client_said(connect(5, "").to_wire())
    assert refused.backend_said(b"\x20\x03\0\x87\0").to_client == b"\x20\x03\0\x87\0"


@pytest.mark.parametrize(("version", "answer"), [(3, b"\0\5"), (4, b"\0\5"), (5, b"\0\x87\0")])
def test_mq_09_a_will_is_held_to_the_grants(version: int, answer: bytes) -> None:
    def told(topic: str, grants: object) -> Step:
        will = Will(topic=topic, payload=b"gone", qos=1, retain=True)
        gate = MqttGate(admitted(grants=grants), MqttRules())  # type: ignore[arg-type]
        return gate.client_said(connect(version, will=will).to_wire())

    assert forwarded(told(OWN, GRANTS)).will == Will(topic=OWN, payload=b"gone", qos=1, retain=True)
    assert forwarded(told("devices/car99/state", {})).will is not None
    for topic in ("devices/car99/state", "$SYS/x"):
        step = told(topic, GRANTS)
        assert isinstance(step.end, PeerError)
        assert (step.to_backend, body(step.to_client)) == (b"", answer)
    assert isinstance(told("devices/+/state", {}).end, PeerError)


def test_mq_05_a_version_that_is_not_spoken_is_told_so() -> None:
    octets = bytearray(connect().to_wire())
    octets[8] = 6
    step = MqttGate(admitted(), MqttRules()).client_said(bytes(octets))
    assert isinstance(step.end, PeerError)
    assert (step.to_backend, step.to_client) == (b"", b"\x20\x02\0\1")


@pytest.mark.parametrize("properties", [b"\x15\0\1A", b"\x16\0\1A"])
def test_mq_14_authentication_beside_the_certificate_is_refused(properties: bytes) -> None:
    step = MqttGate(admitted(), MqttRules()).client_said(connect(5, properties=properties).to_wire())
    assert isinstance(step.end, PeerError)
    assert (step.to_backend, body(step.to_client)) == (b"", b"\0\x8c\0")
    again = open_gate(5).client_said(b"\xf0\x00")
    assert isinstance(again.end, PeerError)
    assert again.to_client == b"\xe0\x01\x82"


@pytest.mark.parametrize(("version", "answer"), [(3, b"\0\3"), (4, b"\0\3"), (5, b"\0\x88\0")])
def test_mq_16_a_broker_that_is_down_is_told_in_the_clients_version(version: int, answer: bytes) -> None:
    gate = MqttGate(admitted(), MqttRules())
    assert gate.unreachable(BackendError("down")) == Step()
    step = gate.client_said(connect(version).to_wire())
    assert isinstance(step.end, BackendError)
    assert (step.to_backend, body(step.to_client)) == (b"", answer)


@pytest.mark.parametrize(
    "grants", [{"publish": 7}, {"publish": ["a/#/b"]}, {"subscribe": [1]}, {"subscribe": {"a": 1}}]
)
def test_grants_that_are_no_filters_let_nobody_in(grants: object) -> None:
    step = MqttGate(admitted(grants=grants), MqttRules()).client_said(connect().to_wire())  # type: ignore[arg-type]
    assert isinstance(step.end, Misuse)
    assert (step.to_backend, body(step.to_client)) == (b"", b"\0\5")


# --- PUBLISH


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mq_10_a_message_to_a_granted_topic_passes_unchanged(version: int, qos: int) -> None:
    octets = publish(OWN, b"x" * 70_000, qos=qos, version=version)
    gate = open_gate(version)
    steps = [gate.client_said(octets[at : at + 1000]) for at in range(0, len(octets), 1000)]
    assert b"".join(step.to_backend for step in steps) == octets
    assert all(step.end is None and not step.to_client for step in steps)
    assert len(steps[5].to_backend) == 1000, "the payload was held"


@pytest.mark.parametrize(
    ("version", "qos", "answer"),
    [
        (3, 0, b""),
        (4, 0, b""),
        (5, 0, b""),
        (3, 1, b"\x40\2\0\7"),
        (4, 1, b"\x40\2\0\7"),
        (4, 2, b"\x50\2\0\7"),
        (5, 1, b"\x40\3\0\7\x87"),
        (5, 2, b"\x50\3\0\7\x87"),
    ],
)
@pytest.mark.parametrize("payload", [b"", b"21.5"])
def test_mq_10_a_message_that_is_not_granted_is_not_passed_on(
    version: int, qos: int, answer: bytes, payload: bytes
) -> None:
    gate = open_gate(version)
    step = gate.client_said(publish("devices/car99/state", payload, qos=qos, version=version))
    assert step == Step(to_client=answer)
    assert gate.client_said(publish(OWN, version=version)).to_backend == publish(OWN, version=version)


def test_mq_10_an_exchange_that_was_swallowed_is_ended_here() -> None:
    gate = open_gate(4)
    gate.client_said(publish("other", qos=2))
    assert gate.client_said(b"\x62\2\0\7") == Step(to_client=b"\x70\2\0\7")
    assert gate.client_said(b"\x62\2\0\7") == Step(to_backend=b"\x62\2\0\7")


def test_mq_10_exchanges_that_are_never_ended_are_limited() -> None:
    gate = open_gate(4)
    steps = []
    for identifier in range(1, 1030):
        octets = bytearray(publish("other", b"", qos=2))
        octets[-2:] = identifier.to_bytes(2, "big")
        steps.append(gate.client_said(bytes(octets)))
    assert isinstance(next(step.end for step in steps if step.end is not None), LimitExceeded)


@pytest.mark.parametrize("version", [4, 5])
def test_mq_10_a_gate_may_close_instead(version: int) -> None:
    gate = open_gate(version, MqttRules(denied=Denied.CLOSE))
    step = gate.client_said(publish("other", version=version))
    assert isinstance(step.end, PeerError)
    assert step.to_client == (b"\xe0\x01\x87" if version == 5 else b"")


@pytest.mark.parametrize("topic", ["devices/+/state", "#", ""])
def test_a_message_without_a_topic_name_ends(topic: str) -> None:
    for grants in (GRANTS, {}):
        step = open_gate(4, grants=grants).client_said(publish(topic))
        assert isinstance(step.end, PeerError)
        assert step.to_backend == b""


def test_mq_11_an_alias_is_held_to_what_it_stands_for() -> None:
    gate = open_gate(5)

    def say(topic: str, alias: int) -> Step:
        return gate.client_said(publish(topic, b"x", qos=1, version=5, alias=alias))

    refused = Step(to_client=b"\x40\3\0\7\x87")
    assert say(OWN, 1).to_backend == publish(OWN, b"x", qos=1, version=5, alias=1)
    assert say("", 1).to_backend == publish("", b"x", qos=1, version=5, alias=1)
    assert say("other", 2) == refused
    assert say("", 2) == refused
    assert say("other", 1) == refused
    assert say("", 1) == refused, "the broker still has the older topic for it"
    assert say(OWN, 1).to_backend


@pytest.mark.parametrize(("topic", "alias"), [("", 3), (OWN, 0), (OWN, 33), ("a/+", 1)])
def test_mq_11_aliases_that_are_none(topic: str, alias: int) -> None:
    step = open_gate(5).client_said(publish(topic, version=5, alias=alias))
    assert isinstance(step.end, PeerError)
    assert step.to_client[:2] == b"\xe0\x01"


@pytest.mark.parametrize(("offered", "told"), [(10, 10), (65_535, 32)])
def test_mq_11_no_more_aliases_than_are_remembered(offered: int, told: int) -> None:
    gate = MqttGate(admitted(), MqttRules())
    gate.client_said(connect(5).to_wire())
    octets = gate.backend_said(b"\x20\x06\0\0\x03\x22" + offered.to_bytes(2, "big")).to_client
    assert ConnectAnswer.from_wire(body(octets), version=5).properties == ((0x22, told.to_bytes(2, "big")),)


# --- SUBSCRIBE


@pytest.mark.parametrize("version", [3, 4, 5])
def test_mq_12_each_filter_is_answered_on_its_own(version: int) -> None:
    gate = open_gate(version)
    refusal = 0x87 if version == 5 else 0x80
    step = gate.client_said(subscribe("#", f"devices/{CAR54}/+", "$SYS/#", "fleet/all", version=version))
    told = Subscribe.from_wire(body(step.to_backend), version=version)
    assert told.filters == ((f"devices/{CAR54}/+", 1), ("fleet/all", 1))
    assert step.to_client == b""
    properties = b"" if version == 5 else None
    answered = gate.backend_said(SubscribeAnswer(identifier=9, codes=b"\1\0", properties=properties).to_wire())
    answer = SubscribeAnswer.from_wire(body(answered.to_client), version=version)
    assert answer.codes == bytes((refusal, 1, refusal, 0))


def test_mq_12_what_is_granted_passes_unchanged_and_what_is_not_is_answered_here() -> None:
    gate = open_gate(4)
    assert gate.client_said(subscribe("fleet/+")) == Step(to_backend=subscribe("fleet/+"))
    assert gate.backend_said(b"\x90\3\0\x09\1").to_client == b"\x90\3\0\x09\1"
    assert gate.client_said(subscribe("fleet/#")) == Step(to_client=b"\x90\3\0\x09\x80")
    assert gate.client_said(b"\xa2\x0b\0\x0a\0\7fleet/#").to_backend == b"\xa2\x0b\0\x0a\0\7fleet/#"


def test_mq_12_a_broker_that_answers_another_number_is_broken() -> None:
    gate = open_gate(4)
    gate.client_said(subscribe("fleet/+", "#"))
    assert isinstance(gate.backend_said(b"\x90\4\0\x09\1\1").end, BackendError)


def test_mq_12_unanswered_subscriptions_are_limited() -> None:
    gate = open_gate(4)
    for identifier in range(1, 1025):
        assert gate.client_said(subscribe("fleet/+", "#", identifier=identifier)).end is None
    assert isinstance(gate.client_said(subscribe("fleet/+", "#", identifier=2000)).end, LimitExceeded)
    again = open_gate(4)
    again.client_said(subscribe("fleet/+", "#"))
    assert isinstance(again.client_said(subscribe("fleet/+", "#")).end, PeerError)


def test_mq_13_shared_subscriptions_and_topics_of_the_broker() -> None:
    gate = open_gate(4, grants={"subscribe": ["#", "$SYS/broker/uptime"]})
    for granted in ("a/b", "$share/g/a/#", "+/+", "$SYS/broker/uptime"):
        assert gate.client_said(subscribe(granted)).to_backend == subscribe(granted)
    for refused in ("$SYS/#", "$share/g/$SYS/#", "$queue/a", "$SYS/broker/+"):
        assert gate.client_said(subscribe(refused)) == Step(to_client=b"\x90\3\0\x09\x80")


@pytest.mark.parametrize("text", ["a/#/b", "$share/g", "a+", ""])
def test_a_filter_that_is_none_ends(text: str) -> None:
    step = open_gate(5).client_said(subscribe(text, version=5))
    assert isinstance(step.end, PeerError)
    assert step.to_client == b"\xe0\x01\x81"


def test_grants_that_name_no_topic_leave_it_to_the_broker_unless_they_must() -> None:
    silent = open_gate(4, grants={"vlan": 12})
    assert silent.client_said(publish("anything")).to_backend == publish("anything")
    assert silent.client_said(subscribe("#")).to_backend == subscribe("#")
    strict = open_gate(4, MqttRules(grants_required=True), grants={"vlan": 12})
    assert strict.client_said(publish("anything")) == Step()
    assert strict.client_said(subscribe("a")) == Step(to_client=b"\x90\3\0\x09\x80")
    half = open_gate(4, grants={"subscribe": ["#"]})
    assert half.client_said(publish("anything")) == Step()


def test_grants_may_name_the_client_identifier() -> None:
    gate = open_gate(4, grants={"publish": ["c/%c/x", "100%"]})
    assert gate.client_said(publish(f"c/{CAR54}/one/x")).to_backend
    assert gate.client_said(publish("100%")).to_backend
    assert gate.client_said(publish(f"c/{CAR54}/two/x")) == Step()


# --- both directions


def test_mq_15_the_gates_answers_stand_between_packets() -> None:
    gate = open_gate(4)
    message = publish("fleet/all", b"y" * 5000)
    first = gate.backend_said(message[:100]).to_client
    assert first == message[:100]
    assert gate.client_said(publish("other", qos=1)) == Step()
    assert gate.backend_said(message[100:]).to_client == message[100:] + b"\x40\2\0\7"


def test_mq_15_and_not_before_the_brokers_own_connack() -> None:
    gate = MqttGate(admitted(grants=GRANTS), MqttRules())
    assert gate.client_said(connect().to_wire() + publish("other", qos=1)).to_client == b""
    assert gate.backend_said(CONNACK[4]).to_client == CONNACK[4] + b"\x40\2\0\7"


def test_mq_15_and_are_limited_while_they_wait() -> None:
    gate = MqttGate(admitted(grants=GRANTS), MqttRules())
    gate.client_said(connect().to_wire())
    refused = publish("other", b"", qos=1) * 10_000
    steps = [gate.client_said(refused) for _ in range(5)]
    assert isinstance(next(step.end for step in steps if step.end is not None), LimitExceeded)


@pytest.mark.parametrize("octets", [publish("a"), b"\xd0\x00", b"\x00", b"HTTP/1.1 400 Bad Request\r\n"])
def test_a_broker_that_does_not_answer_connect_is_broken(octets: bytes) -> None:
    gate = MqttGate(admitted(), MqttRules())
    gate.client_said(connect().to_wire())
    step = gate.backend_said(octets)
    assert isinstance(step.end, BackendError)
    assert step.to_client == b""


@pytest.mark.parametrize("octets", [CONNACK[4], b"\xc0\x00", subscribe("a"), b"\xf0\x00", b"\x0f\x00"])
def test_a_broker_that_says_what_clients_say_is_broken(octets: bytes) -> None:
    assert isinstance(open_gate(4).backend_said(octets).end, BackendError)


def test_a_broker_that_speaks_first_is_broken() -> None:
    assert isinstance(MqttGate(admitted(), MqttRules()).backend_said(CONNACK[4]).end, BackendError)


@pytest.mark.parametrize("octets", [CONNACK[4], b"\x90\3\0\x09\1", b"\xd0\x00", b"\xb0\x02\0\1"])
def test_a_client_that_says_what_brokers_say_ends(octets: bytes) -> None:
    assert isinstance(open_gate(4).client_said(octets).end, PeerError)


def test_mq_17_a_client_of_version_5_is_told_why() -> None:
    too_long = open_gate(5).client_said(b"\x82" + variable_integer(200_000))
    assert isinstance(too_long.end, LimitExceeded)
    assert too_long.to_client == b"\xe0\x01\x95"
    malformed = open_gate(5).client_said(b"\x80\x00")
    assert isinstance(malformed.end, PeerError)
    assert malformed.to_client == b"\xe0\x01\x81"
    assert open_gate(4).client_said(b"\x80\x00").to_client == b""


def test_nothing_is_said_after_disconnect() -> None:
    gate = open_gate(4)
    assert gate.client_said(b"\xe0\x00").to_backend == b"\xe0\x00"
    assert isinstance(gate.client_said(b"\xc0\x00").end, PeerError)


@pytest.mark.parametrize("octets", [b"\xc0\x00", b"\x40\2\0\1", b"\x50\2\0\1", b"\x70\2\0\1", b"\xa2\5\0\1\0\1a"])
def test_the_rest_passes(octets: bytes) -> None:
    assert open_gate(4).client_said(octets) == Step(to_backend=octets)


def test_packet_identifier_zero_is_none() -> None:
    octets = bytearray(publish(OWN, b"", qos=1))
    octets[-2:] = b"\0\0"
    assert isinstance(open_gate(4).client_said(bytes(octets)).end, PeerError)


@pytest.mark.parametrize("client_id", ["#", "+", "car77._device.cars.example", f"{CAR54}/#", f"{CAR54}x", ""])
def test_mq_07_an_identifier_that_is_not_the_names_own_is_no_part_of_a_filter(client_id: str) -> None:
    """Brokers that ask the verify service tell whatever identifier a client has chosen."""
    grants = {"publish": ["devices/%c"], "subscribe": ["devices/%u"]}
    with pytest.raises(Malformed):
        TopicGrants.of(grants, name=ClientName.parse(CAR54), client_id=client_id, required=True)
    of_name = TopicGrants.of({"publish": ["devices/%u"]}, name=ClientName.parse(CAR54), client_id="#", required=True)
    assert of_name.may_publish(f"devices/{CAR54}")
    assert not of_name.may_publish("devices/car77._device.cars.example")
