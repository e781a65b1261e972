"""The shape of every protocol without input and output: bytes in, events out, bytes to send, time as an argument."""

from enum import Enum
from typing import Protocol, TypeVar

from dnsbound.times import Moment, Seconds

E_co = TypeVar("E_co", covariant=True)


class NeedData(Enum):
    """Returned by `Machine.next_event` when more octets or more time must come first."""

    NEED_DATA = "need-data"


class Machine(Protocol[E_co]):
    """A protocol engine. It never blocks, logs, or asks the time."""

    def receive_data(self, data: bytes, *, now: Moment) -> None: ...

    def next_event(self) -> E_co | NeedData: ...

    def data_to_send(self) -> bytes: ...

    def next_timeout(self) -> Seconds | None: ...

    def handle_timeout(self, *, now: Moment) -> None: ...
