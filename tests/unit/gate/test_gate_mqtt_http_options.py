"""Options of MQTT and HTTP gates: what they mean, and the line of what cannot be."""

from pathlib import Path

import pytest

from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_http_options import http_rules
from dnsbound.edge.gate_mqtt_options import mqtt_rules
from dnsbound.edge.gate_protocols import GATED
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed, Misuse
from dnsbound.protocols.gate_http import HttpRules
from dnsbound.protocols.gate_mqtt import ClientIds, Denied, MqttRules
from dnsbound.protocols.gated import GateStranger
from dnsbound.protocols.http_fields import Forwarded
from dnsbound.protocols.mqtt_stream import PacketSizes

EXAMPLES = Path(__file__).parents[3] / "examples/gate"
STRANGER = GateStranger(door="d", tls_version="", client=("192.0.2.1", 1), server=("192.0.2.2", 2))


def options(text: str, directory: Path) -> TomlTable:
    return TomlTable.of(TomlText(path=directory / "gate.toml", text=text))


def test_without_options_the_defaults(tmp_path: Path) -> None:
    assert mqtt_rules(options("", tmp_path)) == MqttRules()
    assert http_rules(options("", tmp_path)) == (HttpRules(), False)


def test_every_option_of_mqtt(tmp_path: Path) -> None:
    (tmp_path / "broker.secret").touch(0o600)
    (tmp_path / "broker.secret").write_bytes(b"pass word\r\n")
    table = options(
        'client_id = "exact"\nacl = "required"\ndenied = "close"\npassword_file = "broker.secret"\n'
        "packet_octets = 5000\nmessage_octets = 6000\n",
        tmp_path,
    )
    assert mqtt_rules(table) == MqttRules(
        client_ids=ClientIds.EXACT,
        denied=Denied.CLOSE,
        grants_required=True,
        password=b"pass word",
        sizes=PacketSizes(packet=5000, message=6000),
    )
    table.done()


def test_every_option_of_http(tmp_path: Path) -> None:
    table = options('strangers = "pass"\nforwarded = "append"\nclient_cert = true\nhead_octets = 8192\n', tmp_path)
    assert http_rules(table) == (HttpRules(forwarded=Forwarded.APPEND, client_cert=True, head_octets=8192), True)
    table.done()


@pytest.mark.parametrize(
    "text",
    [
        'client_id = "any"',
        'acl = "none"',
        'denied = "pass"',
        'password_file = "absent"',
        'password_file = "open"',
        'password_file = "empty"',
        "packet_octets = 1",
        'message_octets = "many"',
    ],
)
def test_options_of_mqtt_that_cannot_be(text: str, tmp_path: Path) -> None:
    for name, mode, octets in (("open", 0o644, b"x"), ("empty", 0o600, b"\n")):
        (tmp_path / name).write_bytes(octets)
        (tmp_path / name).chmod(mode)
    with pytest.raises(Malformed, match="line 2"):
        mqtt_rules(options(f"\n{text}\n", tmp_path))


@pytest.mark.parametrize("text", ['strangers = "all"', 'forwarded = "keep"', "client_cert = 1", "head_octets = 1"])
def test_options_of_http_that_cannot_be(text: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="line 2"):
        http_rules(options(f"\n{text}\n", tmp_path))


def test_a_stranger_gets_no_mqtt_and_http_where_it_may(tmp_path: Path) -> None:
    mqtt, http = GATED["mqtt"](options("", tmp_path)), GATED["http"](options('strangers = "pass"', tmp_path))
    with pytest.raises(Misuse):
        mqtt.protocol(STRANGER)
    assert (mqtt.alpn, mqtt.strangers) == (("mqtt",), False)
    assert (http.alpn, http.strangers) == (("http/1.1",), True)
    assert http.protocol(STRANGER).begin().end is None


def test_the_example_is_read() -> None:
    path = EXAMPLES / "mqtt-http.toml"
    assert len(GateConfiguration.from_text(path.read_text(), path=path).gates) == 2
