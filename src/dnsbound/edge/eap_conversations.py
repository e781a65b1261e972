"""The EAP conversations of one process that are not over: found by State, bounded in all and for each station.

Whoever can reach an access point can begin as many as it likes, under as many station addresses as it likes, so the
table never refuses a newcomer and never grows beyond its bounds. When it is full, the source that holds the most gives
way with the conversation that was silent the longest: an attacker at one access point displaces its own, and an
honest conversation, which moves on with each round trip, is the last of its source to go. A source is a NAS (a
client and what that says of the NAS behind it); a station is a Calling-Station-Id at one. What a client says of the
NASes behind it nobody can check, so a client that holds more than half of the table gives way before all others.

What this is not: the conversations themselves (`protocols.eap_server`), or the answers that are kept for repetitions
(`protocols.radius_duplicates`). The clock is an argument.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from dnsbound.limits import EAP_CONVERSATION_SECONDS, EAP_CONVERSATIONS, EAP_CONVERSATIONS_PER_STATION
from dnsbound.times import Seconds

Station: TypeAlias = tuple[str, str]


class Conversing(Protocol):
    """What the table needs of a conversation."""

    @property
    def owner(self) -> str:
        """The client whose secret it came with."""

    @property
    def source(self) -> str:
        """The NAS it came by."""

    @property
    def station(self) -> str:
        """Who talks there, as the NAS says; empty when it does not say."""


_C = TypeVar("_C", bound=Conversing)


@dataclass(slots=True)
class _Kept(Generic[_C]):
    conversation: _C
    ends: Seconds


class ConversationTable(Generic[_C]):
    """Conversations by State. `seconds` from a conversation's beginning it is over, whatever happens in it."""

    def __init__(
        self, *, at_once: int | None = None, per_station: int | None = None, seconds: int | None = None
    ) -> None:
        self.at_once: Final = EAP_CONVERSATIONS.checked(at_once)
        self.per_station: Final = EAP_CONVERSATIONS_PER_STATION.checked(per_station)
        self.seconds: Final = EAP_CONVERSATION_SECONDS.checked(seconds)
        self._kept: OrderedDict[bytes, _Kept[_C]] = OrderedDict()
        """In the order in which they end."""
        self._all = _Crowd()
        self._of_client: dict[str, _Crowd] = {}
        self._with_most = ""
        """The client that was the last to hold more than half."""
        self._by_station: dict[Station, OrderedDict[bytes, None]] = {}

    def add(self, state: bytes, conversation: _C, *, now: Seconds) -> list[_C]:
        """Keep a new conversation; those that had to give way for it."""
        gone: list[_C] = []
        stations = self._by_station.get((conversation.source, conversation.station)) if conversation.station else None
        if stations is not None and len(stations) >= self.per_station:
            gone.append(self._taken(next(iter(stations))))
        if len(self._kept) >= self.at_once:
            gone.append(self._taken(self._longest_silent()))
        self._kept[state] = _Kept(conversation, now + self.seconds)
        self._all.add(conversation.source, state)
        owned = self._of_client.setdefault(conversation.owner, _Crowd())
        owned.add(conversation.source, state)
        if self._is_most(owned):
            self._with_most = conversation.owner
        if conversation.station:
            station = (conversation.source, conversation.station)
            self._by_station.setdefault(station, OrderedDict())[state] = None
        return gone

    def find(self, state: bytes, *, now: Seconds) -> _C | None:
        """The conversation, which counts as having spoken; None when there is none, or its time is over."""
        kept = self._kept.get(state)
        if kept is None or kept.ends <= now:
            return None
        self._all.spoke(kept.conversation.source, state)
        self._of_client[kept.conversation.owner].spoke(kept.conversation.source, state)
        return kept.conversation

    def remove(self, state: bytes) -> None:
        """It is over. Doing so twice is no mistake."""
        if state in self._kept:
            self._taken(state)

    def expired(self, *, now: Seconds) -> list[_C]:
        """Take out those whose time is over."""
        gone = []
        while self._kept:
            state, kept = next(iter(self._kept.items()))
            if kept.ends > now:
                break
            gone.append(self._taken(state))
        return gone

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[_C]:
        return (kept.conversation for kept in tuple(self._kept.values()))

    def _longest_silent(self) -> bytes:
        owned = self._of_client.get(self._with_most)
        crowd = owned if owned is not None and self._is_most(owned) else self._all
        return crowd.longest_silent_of_the_greediest()

    def _is_most(self, crowd: "_Crowd") -> bool:
        return 2 * len(crowd) > self.at_once

    def _taken(self, state: bytes) -> _C:
        conversation = self._kept.pop(state).conversation
        self._all.remove(conversation.source, state)
        owned = self._of_client[conversation.owner]
        owned.remove(conversation.source, state)
        if not owned:
            del self._of_client[conversation.owner]
        station = (conversation.source, conversation.station)
        if conversation.station:
            del self._by_station[station][state]
            if not self._by_station[station]:
                del self._by_station[station]
        return conversation


class _Crowd:
    """Conversations by the source they came by, such that the source with the most is found at once."""

    __slots__ = ("_by_size", "_by_source", "_largest", "_size")

    def __init__(self) -> None:
        self._by_source: dict[str, OrderedDict[bytes, None]] = {}
        """The longest silent first."""
        self._by_size: dict[int, OrderedDict[str, None]] = {}
        self._largest = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, source: str, state: bytes) -> None:
        self._by_source.setdefault(source, OrderedDict())[state] = None
        self._resized(source, +1)

    def spoke(self, source: str, state: bytes) -> None:
        self._by_source[source].move_to_end(state)

    def remove(self, source: str, state: bytes) -> None:
        del self._by_source[source][state]
        self._resized(source, -1)
        if not self._by_source[source]:
            del self._by_source[source]

    def longest_silent_of_the_greediest(self) -> bytes:
        while not self._by_size.get(self._largest):
            self._largest -= 1
        greediest = next(iter(self._by_size[self._largest]))
        return next(iter(self._by_source[greediest]))

    def _resized(self, source: str, step: int) -> None:
        self._size += step
        size = len(self._by_source[source])
        former = self._by_size.get(size - step)
        if former is not None:
            former.pop(source, None)
            if not former:
                del self._by_size[size - step]
        if size:
            self._by_size.setdefault(size, OrderedDict())[source] = None
            self._largest = max(self._largest, size)
