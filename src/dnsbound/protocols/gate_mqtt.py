"""MQTT in the gate: the user name becomes the verified DNS name, the client identifier is bound to it, and grants are
kept before any broker.

What it does to a connection, and why:

- The first packet is CONNECT and the only one. Its user name becomes the name, its password goes away or becomes the
  gate's own. Authentication of another kind (MQTT 5.0 section 4.12) is refused: there is one identity.
- The client identifier begins with the name, since whoever connects with the identifier of another takes over its
  session (section 3.1.4). One that is left empty is the name.
- Where grants name topics (`dnsbound.protocols.mqtt_grants`), the will, each PUBLISH and each filter of a SUBSCRIBE is
  held to them. What is refused is said so where the protocol has a word for it: SUBACK, PUBACK and PUBREC in version
  5, SUBACK alone in 3.1.1. A PUBLISH without such a word is acknowledged as usual and not passed on, or ends the
  connection (`Denied`).
- A message's payload passes through without being held.

What a subscription of an earlier connection still delivers in a session that lasts is the broker's to know.

Sections: MQTT 5.0 sections 3.1 to 3.4, 3.8, 3.9, 3.14, 4.7, 4.12 and 4.13; MQTT 3.1.1 sections 3.1 to 3.3, 3.8 and 3.9.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from dnsbound.door_limits import MQTT_CLIENT_ID_OCTETS, MQTT_TOPIC_ALIASES, MQTT_UNANSWERED
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.protocols.gated import NOTHING, BackendError, GateIdentity, Step, ended_by_grants
from dnsbound.protocols.mqtt_answers import BrokerAnswers
from dnsbound.protocols.mqtt_grants import TopicGrants
from dnsbound.protocols.mqtt_packets import (
    OLD_RETURN_CODE,
    Connect,
    ConnectAnswer,
    Property,
    ReasonCode,
    Subscribe,
    UnsupportedVersion,
    acknowledgement,
    disconnect,
    read_properties,
)
from dnsbound.protocols.mqtt_stream import (
    MQTT_5,
    Packet,
    PacketSizes,
    PacketStream,
    PacketType,
    Payload,
    Piece,
    PublishHead,
)
from dnsbound.protocols.mqtt_topics import topic_levels, topic_text


class ClientIds(StrEnum):
    """How a client identifier is bound to the name."""

    PREFIX = "prefix"
    """ID becomes NAME/ID, unless it is the name or begins with `NAME/` already."""
    EXACT = "exact"
    """It must be the name or begin with `NAME/`; every other is refused."""


class Denied(StrEnum):
    """What happens to a PUBLISH that is not granted."""

    DROP = "drop"
    """It is not passed on. Version 5 says so for QoS 1 and 2; otherwise it looks as if it had been taken."""
    CLOSE = "close"
    """The connection ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttRules:
    """A gate's choices. grants_required: grants that name no topic grant none. password: for brokers that ask for one;
    a client never learns it."""

    client_ids: ClientIds = ClientIds.PREFIX
    denied: Denied = Denied.DROP
    grants_required: bool = False
    password: bytes | None = field(default=None, repr=False)
    sizes: PacketSizes = field(default_factory=PacketSizes)


class _Unwelcome(PeerError):
    """The connection is refused or ended, with a word for it in MQTT."""

    def __init__(self, code: ReasonCode, what: str) -> None:
        super().__init__(what)
        self.code = code


class MqttGate:
    """The filter of one connection (`dnsbound.protocols.gated.GatedProtocol`)."""

    def __init__(self, identity: GateIdentity, rules: MqttRules) -> None:
        self._identity = identity
        self._rules = rules
        self._stream = PacketStream(rules.sizes)
        self._answers: BrokerAnswers | None = None
        self._grants: TopicGrants | None = None
        self._version = 0
        """None was said yet."""
        self._aliases: dict[int, str] = {}
        self._swallowed: set[int] = set()
        """QoS 2 messages that were acknowledged and not passed on, whose PUBREL is to come."""
        self._dropped: PublishHead | None = None
        self._left = False
        self._over = False
        self._unreachable: BackendError | None = None
        self._to_client = bytearray()
        self._to_backend = bytearray()

    def begin(self) -> Step:
        return NOTHING

    def unreachable(self, error: BackendError) -> Step:
        self._unreachable = error  # told to the client in the version that its CONNECT speaks
        return NOTHING

    def client_said(self, octets: bytes) -> Step:
        if self._over:
            return NOTHING
        try:
            for piece in self._stream.receive(octets):
                self._take(piece)
        except (Malformed, LimitExceeded, PeerError, Misuse, BackendError) as error:
            return self._ended(error)
        return self._step()

    def backend_said(self, octets: bytes) -> Step:
        if self._over:
            return NOTHING
        try:
            if self._answers is None:
                raise BackendError("the broker spoke before it was spoken to")  # noqa: TRY301 (one place that ends)
            self._to_client += self._answers.receive(octets)
        except (Malformed, LimitExceeded) as error:
            return self._ended(BackendError(f"the broker: {error}"))
        except BackendError as error:
            return self._ended(error)
        return self._step()

    def client_ended(self) -> Step:
        return NOTHING

    def backend_ended(self) -> Step:
        return NOTHING

    def renewed(self, identity: GateIdentity) -> Step:
        return ended_by_grants(self._identity, identity)

    # --- what a client says

    def _take(self, piece: Piece) -> None:
        if self._grants is None:
            if not isinstance(piece, Packet) or piece.kind is not PacketType.CONNECT:
                raise PeerError("the first MQTT packet is no CONNECT")
            self._connect(piece)
        elif self._left:
            raise _Unwelcome(ReasonCode.PROTOCOL_ERROR, "an MQTT packet after DISCONNECT")
        elif isinstance(piece, PublishHead):
            self._publish(piece)
        elif isinstance(piece, Payload):
            if self._dropped is None:
                self._to_backend += piece.octets
            elif piece.last:
                self._answer_dropped(self._dropped)
        elif (taken := _PACKETS.get(piece.kind)) is not None:
            taken(self, piece)
        else:
            raise _Unwelcome(ReasonCode.PROTOCOL_ERROR, f"{piece.kind.name} from a client")

    def _connect(self, packet: Packet) -> None:
        try:
            asked = Connect.from_wire(packet.body)
        except UnsupportedVersion as error:
            self._version = 4
            raise _Unwelcome(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, error.what) from None
        self._version = self._stream.version = asked.version
        if self._unreachable is not None:
            self._refuse(ReasonCode.SERVER_UNAVAILABLE)
            raise self._unreachable
        for identifier, _ in read_properties(asked.properties):
            if identifier in (Property.AUTHENTICATION_METHOD, Property.AUTHENTICATION_DATA):
                raise _Unwelcome(ReasonCode.BAD_AUTHENTICATION_METHOD, "MQTT authentication beside the certificate")
        client_id = self._bound(asked)
        self._grants = self._granted(client_id)
        if asked.will is not None and not self._grants.may_publish(asked.will.topic):
            raise _Unwelcome(ReasonCode.NOT_AUTHORIZED, f"the will topic {asked.will.topic!r:.80} is not granted")
        self._answers = BrokerAnswers(
            version=asked.version,
            assigned=client_id if asked.version >= MQTT_5 and not asked.client_id else None,
        )
        changed = replace(
            asked,
            client_id=client_id,
            user_name=self._identity.name.canonical,
            password=self._rules.password,
        )
        self._to_backend += changed.to_wire()

    def _granted(self, client_id: str) -> TopicGrants:
        required = self._rules.grants_required
        try:
            return TopicGrants.of(
                self._identity.grants, name=self._identity.name, client_id=client_id, required=required
            )
        except Malformed as error:
            self._refuse(ReasonCode.NOT_AUTHORIZED)
            raise Misuse(f"{self._identity.name} at door {self._identity.door}: {error.what}") from None

    def _bound(self, asked: Connect) -> str:
        """The client identifier that the broker gets."""
        name, wanted = self._identity.name.canonical, asked.client_id
        if not wanted:
            if asked.version < MQTT_5 and not (asked.clean and asked.version == 4):
                raise _Unwelcome(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "no client identifier, and no clean session")
            return name
        if any(each in "+#" or not each.isprintable() for each in wanted):
            raise _Unwelcome(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "wildcards or controls in a client identifier")
        if wanted != name and not wanted.startswith(f"{name}/"):
            if self._rules.client_ids is ClientIds.EXACT:
                raise _Unwelcome(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "the client identifier of somebody else")
            wanted = f"{name}/{wanted}"
        if len(wanted.encode()) > MQTT_CLIENT_ID_OCTETS.default:
            raise _Unwelcome(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "a client identifier that is too long")
        return wanted

    def _publish(self, head: PublishHead) -> None:
        if head.identifier == 0:
            raise Malformed("PUBLISH has packet identifier 0")
        topic = self._topic(head)
        if self._grants is None or self._grants.may_publish(topic):
            self._dropped = None
            self._to_backend += head.octets
            return
        if self._rules.denied is Denied.CLOSE:
            raise _Unwelcome(ReasonCode.NOT_AUTHORIZED, f"PUBLISH to {topic!r:.80} is not granted")
        self._dropped = head
        if not head.remaining:
            self._answer_dropped(head)

    def _topic(self, head: PublishHead) -> str:
        """The topic of a PUBLISH, that of its alias where it has none (MQTT 5.0 section 3.3.2.3.4)."""
        alias = None
        for identifier, value in read_properties(head.properties):
            if identifier == Property.TOPIC_ALIAS:
                alias = int.from_bytes(value, "big")
        if alias is None:
            topic = topic_text(head.topic, "a topic name")
            topic_levels(topic)
            return topic
        if not 0 < alias <= MQTT_TOPIC_ALIASES.default:
            raise _Unwelcome(ReasonCode.PROTOCOL_ERROR, f"topic alias {alias}")
        if head.topic:
            self._aliases[alias] = topic_text(head.topic, "a topic name")
        elif alias not in self._aliases:
            raise _Unwelcome(ReasonCode.PROTOCOL_ERROR, f"topic alias {alias} stands for nothing")
        topic_levels(self._aliases[alias])
        return self._aliases[alias]

    def _answer_dropped(self, head: PublishHead) -> None:
        self._dropped = None
        if head.identifier is None:
            return
        kind = PacketType.PUBACK if head.qos == 1 else PacketType.PUBREC
        if self._version >= MQTT_5:
            self._inject(acknowledgement(kind, head.identifier, ReasonCode.NOT_AUTHORIZED))
            return
        if kind is PacketType.PUBREC:
            if len(self._swallowed) >= MQTT_UNANSWERED.default:
                raise LimitExceeded(MQTT_UNANSWERED.name, "QoS 2 messages that are not granted")
            self._swallowed.add(head.identifier)
        self._inject(acknowledgement(kind, head.identifier))

    def _release(self, packet: Packet) -> None:
        identifier = int.from_bytes(packet.body[:2], "big")
        if identifier in self._swallowed:
            self._swallowed.discard(identifier)
            self._inject(acknowledgement(PacketType.PUBCOMP, identifier))
        else:
            self._pass(packet)

    def _subscribe(self, packet: Packet) -> None:
        asked = Subscribe.from_wire(packet.body, version=self._version)
        grants, answers = self._grants, self._answers
        if grants is None or answers is None:
            raise Misuse("a subscription before the connection")
        granted = tuple(grants.may_subscribe(text) for text, _ in asked.filters)
        if all(granted):
            self._pass(packet)
            return
        answers.refuse(asked.identifier, granted)
        if any(granted):
            kept = tuple(each for each, good in zip(asked.filters, granted, strict=True) if good)
            self._to_backend += replace(asked, filters=kept).to_wire()
        else:
            self._inject(answers.refused(asked.identifier))

    def _pass(self, packet: Packet) -> None:
        self._to_backend += packet.octets

    def _leave(self, packet: Packet) -> None:
        self._left = True
        self._pass(packet)

    # --- what comes of it

    def _inject(self, octets: bytes) -> None:
        if self._answers is not None:
            self._to_client += self._answers.insert(octets)

    def _refuse(self, code: ReasonCode) -> None:
        """A CONNACK of the gate's own."""
        if self._version >= MQTT_5:
            self._to_client += ConnectAnswer(session_present=False, code=code, properties=()).to_wire()
        elif (old := OLD_RETURN_CODE.get(code)) is not None:
            self._to_client += ConnectAnswer(session_present=False, code=old).to_wire()

    def _ended(self, error: DnsboundError) -> Step:
        self._over = True
        if isinstance(error, _Unwelcome) and self._answers is None:
            self._refuse(error.code)
        elif self._version >= MQTT_5 and self._answers is not None and not isinstance(error, BackendError):
            self._to_client += self._answers.insert(disconnect(_code(error)))
        if isinstance(error, Malformed):
            error = PeerError(f"MQTT: {error}")
        return self._step(error)

    def _step(self, end: DnsboundError | None = None) -> Step:
        step = Step(to_client=bytes(self._to_client), to_backend=bytes(self._to_backend), end=end)
        self._to_client.clear()
        self._to_backend.clear()
        return step


def _code(error: DnsboundError) -> ReasonCode:
    if isinstance(error, _Unwelcome):
        return error.code
    if isinstance(error, LimitExceeded):
        return ReasonCode.PACKET_TOO_LARGE
    return ReasonCode.MALFORMED_PACKET


_PACKETS: Final[dict[PacketType, Callable[[MqttGate, Packet], None]]] = {
    PacketType.PUBACK: MqttGate._pass,  # noqa: SLF001 (the table of its own methods)
    PacketType.PUBREC: MqttGate._pass,  # noqa: SLF001
    PacketType.PUBREL: MqttGate._release,  # noqa: SLF001
    PacketType.PUBCOMP: MqttGate._pass,  # noqa: SLF001
    PacketType.SUBSCRIBE: MqttGate._subscribe,  # noqa: SLF001
    PacketType.UNSUBSCRIBE: MqttGate._pass,  # noqa: SLF001
    PacketType.PINGREQ: MqttGate._pass,  # noqa: SLF001
    PacketType.DISCONNECT: MqttGate._leave,  # noqa: SLF001
}
"""What a client may send after its CONNECT; absent means that the connection ends."""
