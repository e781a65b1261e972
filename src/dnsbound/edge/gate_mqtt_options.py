"""The options of an MQTT gate, `[gate.LABEL.options]` of gate.toml, as the rules its filter keeps.

    client_id = "prefix"            # or "exact": a client identifier that is not the name's own is refused
    acl = "grants"                  # or "required": a client whose grants name no topic may use none
    denied = "drop"                 # or "close": what becomes of a PUBLISH that is not granted
    password_file = "broker.secret" # what the broker is told beside the user name; clients never learn it
    packet_octets = 131072          # of a packet that is held whole
    message_octets = 16777216       # of a PUBLISH

What the words mean is `dnsbound.protocols.gate_mqtt`.
"""

from dnsbound.door_limits import MQTT_MESSAGE_OCTETS, MQTT_PACKET_OCTETS
from dnsbound.edge.broker_password import broker_password
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.protocols.gate_mqtt import ClientIds, Denied, MqttRules
from dnsbound.protocols.mqtt_stream import PacketSizes


def mqtt_rules(options: TomlTable) -> MqttRules:
    """The rules; Malformed, with file and line, for what cannot be. The password file is read here, once."""
    return MqttRules(
        client_ids=options.chosen("client_id", {each.value: each for each in ClientIds}, ClientIds.PREFIX),
        denied=options.chosen("denied", {each.value: each for each in Denied}, Denied.DROP),
        grants_required=options.chosen("acl", {"grants": False, "required": True}, default=False),
        password=broker_password(options),
        sizes=PacketSizes(
            packet=options.number("packet_octets", MQTT_PACKET_OCTETS),
            message=options.number("message_octets", MQTT_MESSAGE_OCTETS),
        ),
    )
