"""The certificate of a client whose TLS ends at a front: `Client-Cert` and `Client-Cert-Chain` (RFC 9440).

    shown = ClientCertField(fronts=["127.0.0.1"])

Given to the middlewares of signed requests, so that a client whose records hold digests need not send its certificate
again. The fields are believed on connections from the listed addresses and from Unix sockets alone, and there only if
the front takes them off what clients send, as RFC 9440 section 4 demands of it. Nothing is lost where it does not: a
certificate that is made up has to match the records of the name, and its key has to have signed the request.
"""

from collections.abc import Collection, Iterable
from typing import Final

from dnsbound.adapters.believed_fronts import BelievedFronts
from dnsbound.credential.presented import Presented
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.identity_headers import CLIENT_CERT, CLIENT_CERT_CHAIN
from dnsbound.protocols.presented_by_fronts import byte_sequences, joined


class ClientCertField:
    """fronts: IP addresses beside Unix sockets."""

    def __init__(self, *, fronts: Collection[str] = ()) -> None:
        self._believed: Final = BelievedFronts(fronts)

    def __call__(self, address: str, fields: Iterable[tuple[bytes, bytes]]) -> Presented | None:
        """What the client has shown to the front; None without a word of it, and for what does not parse. address:
        where the connection is from."""
        if address not in self._believed:
            return None
        there = [(name.lower(), value) for name, value in fields]
        leaf = [value for name, value in there if name == CLIENT_CERT.lower().encode()]
        chain = [value for name, value in there if name == CLIENT_CERT_CHAIN.lower().encode()]
        if len(leaf) != 1:
            return None
        try:
            certificates = joined(byte_sequences(leaf[0]), byte_sequences(b",".join(chain)) if chain else ())
            return Presented(certificates)
        except (Malformed, LimitExceeded):
            return None
