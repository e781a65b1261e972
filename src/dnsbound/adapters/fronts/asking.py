"""How HTTP front ends put the client's certificate to the verify service, and the header fields they must not let by.

The other side of the same words is `dnsbound.edge.authz_http`.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final

from dnsbound.adapters.fronts.snippet import OverTcp, Settings
from dnsbound.protocols.identity_headers import CLIENT_CERT, CLIENT_CERT_CHAIN, DOOR, GRANTS, NAME, REASON, VALID_UNTIL

PATH: Final = "/auth"
CERTIFICATE: Final = "X-Client-Cert"
CHAIN: Final = "X-Client-Cert-Chain"
SOURCE: Final = "X-Real-IP"
"""The client's address, for budgets and for the log."""
ALSO_READ: Final = (CHAIN, "X-Client-Name", "X-Client-TLS")
"""What the service reads of a front end that sets it. One that hands on fields of the client removes these."""

IDENTITY: Final = (NAME, DOOR, GRANTS, VALID_UNTIL)
"""What the back end is told of a client that was let in; the service's answer has the fields of the same names."""
NEVER_FROM_CLIENTS: Final = (*IDENTITY, REASON, CLIENT_CERT, CLIENT_CERT_CHAIN)


def spellings(field: str) -> Iterator[str]:
    """The field with each hyphen as it is or as an underscore: one variable to many back ends. The field itself
    first."""
    yield from map("".join, product(*([char, "_"] if char == "-" else [char] for char in field)))


def forged_spellings() -> Iterator[str]:
    """Every name to remove that is not overwritten anyway."""
    for field in NEVER_FROM_CLIENTS:
        yield from (each for each in spellings(field) if each not in IDENTITY)


def bearer(settings: Settings) -> str | None:
    """The value of Authorization for the verify service; None at a Unix socket, where none is needed."""
    return f"Bearer {settings.verifier.secret}" if isinstance(settings.verifier, OverTcp) else None
