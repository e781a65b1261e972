"""What a fuzz target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """run: reads the octets. seeds: made when first needed, so that listing targets costs nothing."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
