"""Keys of DTLS cookies, changed as time passes (RFC 6347 section 4.2.1: "the secret should be changed frequently").

A key makes cookies for one period and verifies them for one more, so a cookie serves between one and two periods. Two
servers that share an address do not share keys: a client that is carried to the other one is asked again.
"""

import secrets
from collections.abc import Callable
from typing import Final

from dnsbound.limits import COOKIE_SECONDS
from dnsbound.times import Seconds

KEY_OCTETS: Final = 32


class CookieKeys:
    """seconds: one period. make: a fresh key."""

    __slots__ = ("_changed_at", "_keys", "_make", "_seconds")

    def __init__(
        self, *, seconds: int | None = None, make: Callable[[], bytes] = lambda: secrets.token_bytes(KEY_OCTETS)
    ) -> None:
        self._seconds: Final = COOKIE_SECONDS.checked(seconds)
        self._make = make
        self._keys: tuple[bytes, ...] = ()
        self._changed_at: Seconds = 0.0

    @property
    def longest(self) -> Seconds:
        """How long a cookie may serve."""
        return 2.0 * self._seconds

    def at(self, now: Seconds) -> tuple[bytes, ...]:
        """The keys in force, the newest first. now: by any clock that never goes back."""
        if not self._keys or now - self._changed_at >= 2 * self._seconds:
            self._keys, self._changed_at = (self._make(),), now
        elif now - self._changed_at >= self._seconds:
            self._keys, self._changed_at = (self._make(), self._keys[0]), now
        return self._keys
