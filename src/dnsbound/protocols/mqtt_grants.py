"""What a client may publish and subscribe to, by the grants of the access list.

    [[door."report.gov.example".allow]]
    names = ["car54._device.cars.example"]
    grants = { publish = ["devices/%u/#"], subscribe = ["fleet/+", "devices/%u/#"] }

`%u` is the verified name and `%c` the client identifier as the broker sees it, which begins with the name: the gate
sees to that, and where nobody has, a filter with `%c` in it is Malformed (`is_own_client_id`). Where one of the two
keys is there, the other's absence grants nothing of its kind. Where neither is there the grants say nothing about
topics: the broker's own access list decides, unless the gate requires grants. Everything a filter asks for must be
covered by one granted filter; what several cover together is not put together.

Sections: MQTT 5.0 sections 4.7 and 5.4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.budget import Budget
from dnsbound.door_limits import MQTT_TOPIC_WORK
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.mqtt_topics import Levels, covers, filter_levels, topic_levels

_CLIENT_ID: Final = "%c"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicGrants:
    """The filters a client is granted; None where the broker's own access list decides."""

    publish: tuple[Levels, ...] | None
    subscribe: tuple[Levels, ...] | None

    @classmethod
    def of(cls, grants: Mapping[str, Any], *, name: ClientName, client_id: str, required: bool) -> Self:
        """From the access list's grants; Malformed when they are no filters.

        required: grants that say nothing about topics grant nothing, instead of leaving it to the broker.
        """
        if "publish" not in grants and "subscribe" not in grants and not required:
            return cls(publish=None, subscribe=None)
        told = {"%u": name.canonical}
        if is_own_client_id(client_id, name):
            told[_CLIENT_ID] = client_id
        return cls(
            publish=_filters(grants, "publish", told),
            subscribe=_filters(grants, "subscribe", told),
        )

    def may_publish(self, topic: str) -> bool:
        """Malformed for a text that is no topic name, LimitExceeded for one that costs too much to judge."""
        return _any(self.publish, topic_levels(topic))

    def may_subscribe(self, topic_filter: str) -> bool:
        """The same for a topic filter, that of a shared subscription included."""
        return _any(self.subscribe, filter_levels(topic_filter))


def is_own_client_id(client_id: str, name: ClientName) -> bool:
    """Whether a client identifier is the name, or begins with it and a slash, and would be no wildcard in a filter."""
    bound = client_id == name.canonical or client_id.startswith(f"{name.canonical}/")
    return bound and not any(mark in client_id for mark in "+#") and client_id.isprintable()


def _any(granted: tuple[Levels, ...] | None, asked: Levels) -> bool:
    if granted is None:
        return True
    budget = Budget(MQTT_TOPIC_WORK)
    return any(covers(each, asked, budget) for each in granted)


def _filters(grants: Mapping[str, Any], key: str, told: Mapping[str, str]) -> tuple[Levels, ...]:
    written = grants.get(key, ())
    written = (written,) if isinstance(written, str) else written
    if not isinstance(written, list | tuple) or not all(isinstance(each, str) for each in written):
        raise Malformed(f"grants.{key} is not a list of topic filters")
    try:
        return tuple(_expanded(filter_levels(each), told) for each in written if each)
    except Malformed as error:
        raise Malformed(f"grants.{key}: {error.what}") from None


def _expanded(levels: Levels, told: Mapping[str, str]) -> Levels:
    """`%u` and `%c` inside of levels. A name or client identifier has no wildcard, so that none is made here."""
    expanded = []
    for level in levels:
        if _CLIENT_ID in level and _CLIENT_ID not in told:
            raise Malformed("the client identifier is not the name's own")
        for mark, text in told.items():
            level = level.replace(mark, text)  # noqa: PLW2901 (one mark after the other)
        expanded += level.split("/")
    return tuple(expanded)
