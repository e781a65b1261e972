"""Where the gate reads what an admitted client, or its back end, says in MQTT and HTTP."""

import h11

from dnsbound.names import ClientName
from dnsbound.protocols.gate_http import HttpGate, HttpRules
from dnsbound.protocols.gate_mqtt import MqttGate, MqttRules
from dnsbound.protocols.gated import GatedProtocol, GateIdentity
from dnsbound.protocols.identity_headers import is_identity_header
from dnsbound.protocols.mqtt_packets import Connect, Subscribe, Will
from fuzz.target import Target

NAME = "car54._device.cars.example"
IDENTITY = GateIdentity(
    name=ClientName.parse(NAME),
    grants={"publish": ["devices/%u/#"], "subscribe": ["fleet/+"]},
    door="fuzz",
    valid_until=1_790_000_000.0,
    tls_version="TLSv1.3",
    certificate=None,
    spki=b"",
    client=("192.0.2.1", 1),
    server=("192.0.2.2", 2),
)
GET = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"


def mqtt() -> MqttGate:
    return MqttGate(IDENTITY, MqttRules())


def http() -> HttpGate:
    made = HttpGate(IDENTITY, HttpRules())
    made.begin()
    return made


def talk(gate: GatedProtocol, octets: bytes, *, size: int) -> bytes:
    """What a back end gets of these octets of a client, in pieces of a size, until the end."""
    met = b""
    for at in range(0, len(octets), size):
        step = gate.client_said(octets[at : at + size])
        met += step.to_backend
        if step.end is not None:
            break
    return met


def mqtt_client(octets: bytes) -> object:
    """However they are cut, the same is passed on, and the first packet of it has the name."""
    whole = talk(mqtt(), octets, size=len(octets) or 1)
    assert talk(mqtt(), octets, size=7) == whole
    assert not whole or NAME.encode() in whole
    return whole


def mqtt_broker(octets: bytes) -> object:
    gate = mqtt()
    gate.client_said(
        connects()[2] + Subscribe(identifier=7, properties=b"", filters=(("#", 0), ("fleet/a", 0))).to_wire()
    )
    return gate.backend_said(octets)


def http_client(octets: bytes) -> object:
    """However they are cut, no field of a client's own says who it is."""
    whole = left = talk(http(), octets, size=len(octets) or 1)
    talk(http(), octets, size=7)
    while left:
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(left)
        request = reader.next_event()
        assert isinstance(request, h11.Request)
        said = [(name, value) for name, value in request.headers if is_identity_header(name) and b"name" in name]
        assert said == [(b"dnsbound-name", NAME.encode())]
        while isinstance(event := reader.next_event(), h11.Data):
            pass
        left = reader.trailing_data[0] if isinstance(event, h11.EndOfMessage) else b""
    return whole


def http_backend(octets: bytes) -> object:
    gate = http()
    gate.client_said(GET + GET.replace(b"GET", b"HEAD") + GET)
    return gate.backend_said(octets), gate.backend_ended()


def connects() -> list[bytes]:
    will = Will(topic=f"devices/{NAME}/state", payload=b"gone", qos=1, retain=True)
    made = [Connect(version=each, clean=True, keep_alive=60, client_id="one", will=will) for each in (3, 4, 5)]
    return [each.to_wire() for each in made]


def mqtt_seeds() -> list[bytes]:
    topic = f"devices/{NAME}/state".encode()
    publish = b"\x32" + bytes((len(topic) + 8,)) + len(topic).to_bytes(2, "big") + topic + b"\0\7text"
    subscribe = Subscribe(identifier=7, properties=None, filters=(("#", 0), ("fleet/a", 1))).to_wire()
    return [each + publish + subscribe + b"\x62\2\0\7\xc0\0\xe0\0" for each in connects()]


def http_seeds() -> list[bytes]:
    chunked = b"POST /x HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    forged = b"PUT / HTTP/1.1\r\nHost: api\r\nDnsbound_Name: admin\r\nContent-Length: 2\r\nConnection: x\r\n\r\nhi"
    socket = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    return [GET + chunked + forged, forged + GET, b"GET http://api/ HTTP/1.0\r\n\r\n", socket]


def answer_seeds() -> list[bytes]:
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n"
    return [plain + b"HTTP/1.1 204 No Content\r\n\r\n" + chunked, b"HTTP/1.0 200 OK\r\n\r\nhi", chunked + plain]


GATED_STREAM_TARGETS: dict[str, Target] = {
    "mqtt-client": Target(mqtt_client, mqtt_seeds),
    "mqtt-broker": Target(mqtt_broker, lambda: [b"\x20\3\0\0\0\x90\4\0\7\0\1\x30\5\0\1a\0x\xd0\0"]),
    "http-client": Target(http_client, http_seeds),
    "http-backend": Target(http_backend, answer_seeds),
}
