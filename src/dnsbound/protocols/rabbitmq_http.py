"""What RabbitMQ's `rabbitmq_auth_backend_http` asks, and what its `rabbitmq_trust_store` reads by HTTP (from 3.10 on).

The backend asks four questions, each a form or a query: may a user log in, enter a virtual host, use a resource, and
publish or subscribe under a topic. The answer is the word `allow` or `deny`, always with status 200. It tells a user
name and no key: that name is good for something only where another has verified it before RabbitMQ heard of it, as the
gate does. Topics come as AMQP's routing keys, in which RabbitMQ's MQTT has made each `/` a `.` and each `+` a `*`.

The trust store reads a list of certificates, then each by its path. It knows a certificate by issuer and serial number
alone, and takes an empty list for none at all: `danger` in the names of what serves it is meant.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.form_fields import form_fields
from dnsbound.protocols.mqtt_grants import TopicGrants

ALLOW: Final = b"allow"
DENY: Final = b"deny"
RESOURCES: Final = "rabbitmq"
"""The grant that lists what else than topics may be used: texts `KIND:PERMISSION:NAME`, where `*` ends a name."""
_SUBSCRIPTIONS: Final = "mqtt-subscription-"
"""What the queues are called that RabbitMQ makes for MQTT clients: this, then the client identifier and the QoS."""
_QOS: Final = ("qos0", "qos1")


class RabbitQuestion(StrEnum):
    """Which of the four paths was asked."""

    USER = "user"
    VHOST = "vhost"
    RESOURCE = "resource"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitAsked:
    """One question. Fields that its kind does not have are empty."""

    kind: RabbitQuestion
    username: ClientName
    password: str = field(repr=False)
    vhost: str
    resource: str
    name: str
    permission: str
    routing_key: str
    client_id: str
    source: str

    @classmethod
    def from_form(cls, kind: RabbitQuestion, octets: bytes) -> Self:
        """Malformed, also for a user name that is no client name."""
        fields = form_fields(octets)
        return cls(
            kind=kind,
            username=ClientName.parse(fields.get("username", "")),
            password=fields.get("password", ""),
            vhost=fields.get("vhost", ""),
            resource=fields.get("resource", ""),
            name=fields.get("name", ""),
            permission=fields.get("permission", ""),
            routing_key=fields.get("routing_key", ""),
            client_id=fields.get("variable_map.client_id", fields.get("client_id", "")),
            source=fields.get("ip", ""),
        )


def permits(  # noqa: PLR0911 (a table of few questions)
    asked: RabbitAsked, grants: Mapping[str, Any], *, vhost: str, exchange: str
) -> bool:
    """Whether grants let a verified name do what was asked. vhost: the one its door is in; exchange: of MQTT.

    A name reaches its virtual host, its own queues, the exchange of MQTT, and there the topics it is granted. Malformed
    when the grants are none.
    """
    if asked.kind is RabbitQuestion.USER:
        return True
    if asked.vhost != vhost:
        return False
    if asked.kind is RabbitQuestion.VHOST:
        return True
    if asked.kind is RabbitQuestion.TOPIC:
        return asked.name == exchange and _permits_topic(asked, grants)
    if asked.resource == "exchange" and asked.name == exchange:
        return asked.permission in ("read", "write")
    if asked.resource == "queue" and _is_own_queue(asked):
        return asked.permission in ("configure", "read", "write")
    return _is_granted(asked, grants)


def _permits_topic(asked: RabbitAsked, grants: Mapping[str, Any]) -> bool:
    topics = TopicGrants.of(grants, name=asked.username, client_id=asked.client_id, required=True)
    as_keys = TopicGrants(publish=_as_keys(topics.publish), subscribe=_as_keys(topics.subscribe))
    topic = asked.routing_key.replace(".", "/")
    if asked.permission == "write":
        return as_keys.may_publish(topic)
    return asked.permission == "read" and as_keys.may_subscribe(topic.replace("*", "+"))


def _as_keys(filters: tuple[tuple[str, ...], ...] | None) -> tuple[tuple[str, ...], ...] | None:
    """Names have dots, and so more words in a routing key than levels in a topic."""
    if filters is None:
        return None
    return tuple(tuple(word for level in levels for word in level.split(".")) for levels in filters)


def _is_own_queue(asked: RabbitAsked) -> bool:
    """The gate lets client identifiers begin with the name; what follows is not another name's then."""
    rest = asked.name.removeprefix(f"{_SUBSCRIPTIONS}{asked.username.canonical}")
    return rest != asked.name and (rest in _QOS or rest.startswith("/"))


def _is_granted(asked: RabbitAsked, grants: Mapping[str, Any]) -> bool:
    written = grants.get(RESOURCES, ())
    if not isinstance(written, tuple | list) or not all(isinstance(entry, str) for entry in written):
        raise Malformed(f"grants.{RESOURCES} is not a list of texts")
    for entry in written:
        kind, _, rest = entry.partition(":")
        permission, _, name = rest.partition(":")
        fits = asked.name.startswith(name[:-1]) if name.endswith("*") else asked.name == name
        if (kind, permission) == (asked.resource, asked.permission) and fits:
            return True
    return False


# --- the trust store


def listing(certificates: Iterable[bytes]) -> bytes:
    """The list, for DER certificates: the identifier of each is its digest, so that another one has another."""
    digests = sorted(sha256(certificate).hexdigest() for certificate in certificates)
    return json.dumps({"certificates": [{"id": digest, "path": f"/{digest}.pem"} for digest in digests]}).encode()
