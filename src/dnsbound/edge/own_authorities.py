"""A client's Context that trusts nobody until it is told whom: for servers no public certificate authority speaks for.

A RADIUS server, and the EAP-TLS server behind it, belong to one organisation. With the public authorities of the web
among the trusted ones, anybody who has a certificate of one of them for the expected name could stand in for it
(RFC 5216 section 5.3, RFC 9190 section 5.3: trust anchors are configured).
"""

import ssl
from typing import Any

from dnsbound.edge.context import Context


class OwnAuthoritiesContext(Context):
    """As `Context.client`, without the system's certificate authorities; `load_verify_locations` says which count."""

    def load_default_certs(self, purpose: Any = ssl.Purpose.SERVER_AUTH) -> None:  # noqa: ANN401 (as `ssl` has it)
        """Loads none."""
