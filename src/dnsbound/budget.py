"""What a limit is, and the Budget that loops a peer can lengthen spend from. The limits themselves are in `limits`."""

from dataclasses import dataclass

from dnsbound.errors import LimitExceeded, Misuse


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: its default, the range a configuration may choose from, and where the number comes from."""

    name: str
    default: int
    minimum: int
    maximum: int
    source: str

    def checked(self, value: int | None) -> int:
        """The configured value, or the default for None; Misuse when out of range."""
        if value is None:
            return self.default
        if not self.minimum <= value <= self.maximum:
            raise Misuse(f"{self.name} must be from {self.minimum} to {self.maximum}, not {value}")
        return value


class Budget:
    """An amount of work that is spent and never refilled."""

    __slots__ = ("_left", "_limit")

    def __init__(self, limit: Limit, value: int | None = None) -> None:
        self._limit = limit
        self._left = limit.checked(value)

    def spend(self, amount: int = 1) -> None:
        """Take from the budget; LimitExceeded once it is used up."""
        if amount > self._left:
            raise LimitExceeded(self._limit.name, "used up")
        self._left -= amount

    @property
    def left(self) -> int:
        return self._left
