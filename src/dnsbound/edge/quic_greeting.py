"""What a QUIC server answers an address that nothing is known of, without keeping anything: which version it speaks,
and a Retry whose token shows that the address is the client's (RFC 9000 sections 6.1, 8.1.2). Each answer is shorter
than what it answers. Tokens are of one server and serve for half a minute."""

import os

from dnsbound.edge.quic_connection import Address
from dnsbound.edge.quic_engine import CONNECTION_ID_OCTETS, VERSION
from dnsbound.edge.quic_library import (
    QuicHeader,
    QuicRetryTokenHandler,
    encode_quic_retry,
    encode_quic_version_negotiation,
)
from dnsbound.times import Seconds


def our_versions(header: QuicHeader) -> bytes:
    """A Version Negotiation packet in answer to this one."""
    return encode_quic_version_negotiation(
        source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=[VERSION]
    )


class Greeter:
    """Makes tokens and knows them again. now: by one clock that never goes back."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens = QuicRetryTokenHandler()

    def retry(self, header: QuicHeader, address: Address, now: Seconds) -> bytes:
        """A Retry packet in answer to a client's Initial."""
        name = os.urandom(CONNECTION_ID_OCTETS)
        token = self._tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=name,
            now=now,
        )
        return encode_quic_retry(
            version=VERSION,
            source_cid=name,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )

    def first_destination(self, header: QuicHeader, address: Address, now: Seconds) -> bytes | None:
        """The connection id that the client chose before its Retry, when the Initial shows the token it got at this
        address; None for any other."""
        try:
            return self._tokens.validate_token(
                address=address, destination_cid=header.destination_cid, token=header.token, now=now
            )
        except ValueError:
            return None
