"""A Step of the gate while it is made: a filter that reads several words of one side adds up what they cause."""

from typing import TYPE_CHECKING

from dnsbound.protocols.gated import Step

if TYPE_CHECKING:
    from dnsbound.errors import DnsboundError


class GrowingStep:
    """to_client, to_backend: what the next Step will say. end: why the connection is over; it stays."""

    __slots__ = ("end", "to_backend", "to_client")

    def __init__(self) -> None:
        self.to_client = bytearray()
        self.to_backend = bytearray()
        self.end: DnsboundError | None = None

    def taken(self) -> Step:
        """What there is so far; the next Step begins empty."""
        step = Step(to_client=bytes(self.to_client), to_backend=bytes(self.to_backend), end=self.end)
        self.to_client.clear()
        self.to_backend.clear()
        return step
