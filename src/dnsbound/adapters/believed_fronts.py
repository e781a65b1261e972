"""From where a front is believed when it says who a client is: Unix sockets, and the addresses that are listed."""

import ipaddress
from collections.abc import Collection
from typing import Final

from dnsbound.errors import Misuse

_UNIX: Final = frozenset({"", "unix"})
"""What servers say of a client at a Unix socket: gunicorn, uvicorn nothing; some the word."""


class BelievedFronts:
    """fronts: IP addresses beside Unix sockets; Misuse for what is none."""

    def __init__(self, fronts: Collection[str]) -> None:
        try:
            self._addresses = frozenset(map(ipaddress.ip_address, fronts))
        except ValueError as error:
            raise Misuse(f"fronts are IP addresses: {error}") from None

    def __contains__(self, address: str) -> bool:
        """address: where a connection is from, as the server tells it."""
        if address in _UNIX:
            return True
        try:
            return ipaddress.ip_address(address) in self._addresses
        except ValueError:
            return False
