"""What EMQX (5.8 and later) asks by its HTTP authenticator and its HTTP authorizer, and what it is answered.

EMQX fills in a body that its operator has written; this is the one that is understood here:

    { "username": "${username}", "clientid": "${clientid}", "peerhost": "${peerhost}", "certificate": "${cert_pem}" }
    { "username": "${username}", "clientid": "${clientid}", "topic": "${topic}", "action": "${action}" }

Every answer has status 200: EMQX takes any other for `ignore`, and goes on to its next authenticator. An admission says
when it ends and which topics are granted, so that the authorizer need not be asked at all. Written after the
documentation of EMQX; no EMQX was at hand to try it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.credential.presented import Presented
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.json_object import JsonMembers
from dnsbound.protocols.mqtt_grants import TopicGrants
from dnsbound.protocols.mqtt_topics import Levels
from dnsbound.protocols.presented_by_fronts import presented_of_body
from dnsbound.times import Moment

DENIED: Final = b'{"result":"deny"}'
ALLOWED: Final = b'{"result":"allow"}'
_PUBLISH: Final = "publish"
_SUBSCRIBE: Final = "subscribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmqxLogin:
    """A question of the authenticator. username: the claimed name."""

    username: str
    client_id: str
    source: str
    presented: Presented

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed, LimitExceeded."""
        members = JsonMembers.from_wire(octets, "EMQX login")
        return cls(
            username=members.text("username"),
            client_id=members.text("clientid"),
            source=members.text("peerhost"),
            presented=presented_of_body(members.text("certificate").encode()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmqxTopic:
    """A question of the authorizer, about a client that was let in before."""

    username: ClientName
    client_id: str
    topic: str
    action: str

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed, LimitExceeded."""
        members = JsonMembers.from_wire(octets, "EMQX topic")
        return cls(
            username=ClientName.parse(members.text("username")),
            client_id=members.text("clientid"),
            topic=members.text("topic"),
            action=members.text("action"),
        )

    def is_granted(self, grants: Mapping[str, Any]) -> bool:
        """Malformed when the grants or the topic are none."""
        topics = TopicGrants.of(grants, name=self.username, client_id=self.client_id, required=True)
        if self.action == _PUBLISH:
            return topics.may_publish(self.topic)
        return self.action == _SUBSCRIBE and topics.may_subscribe(self.topic)


def admission(name: ClientName, client_id: str, grants: Mapping[str, Any], valid_until: Moment) -> bytes:
    """The answer that lets in. Malformed when the grants cannot be told to EMQX."""
    topics = TopicGrants.of(grants, name=name, client_id=client_id, required=True)
    rules = [_rule("allow", _PUBLISH, levels) for levels in topics.publish or ()]
    rules += [_rule("allow", _SUBSCRIBE, levels) for levels in topics.subscribe or ()]
    rules.append(_rule("deny", "all", ("#",)))
    answer = {"result": "allow", "is_superuser": False, "expire_at": int(valid_until), "acl": rules}
    return json.dumps(answer, separators=(",", ":")).encode("ascii")


def _rule(permission: str, action: str, levels: Levels) -> dict[str, str]:
    topic = "/".join(levels)
    if topic.startswith("eq ") or "${" in topic:
        raise Malformed("grants: EMQX would read a topic filter as something else")
    return {"permission": permission, "action": action, "topic": topic}
