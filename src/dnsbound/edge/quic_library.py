"""The names of aioquic that this package uses, in one place: some of its modules are not public, and it is not always
installed (extra `quic`). What is used of its classes is in `quic_engine`.
"""

from dnsbound.errors import Misuse

try:
    from aioquic import tls
    from aioquic._buffer import Buffer
    from aioquic.quic import events
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import Limit as QuicLimit
    from aioquic.quic.connection import QuicConnection, QuicConnectionError
    from aioquic.quic.packet import (
        QuicErrorCode,
        QuicFrameType,
        QuicHeader,
        QuicPacketType,
        QuicProtocolVersion,
        encode_quic_retry,
        encode_quic_version_negotiation,
        pull_quic_header,
    )
    from aioquic.quic.retry import QuicRetryTokenHandler
    from aioquic.quic.stream import QuicStream
except ImportError as missing:
    raise Misuse("QUIC needs the extra: pip install 'dnsbound[quic]'") from missing

__all__ = [
    "Buffer",
    "QuicConfiguration",
    "QuicConnection",
    "QuicConnectionError",
    "QuicErrorCode",
    "QuicFrameType",
    "QuicHeader",
    "QuicLimit",
    "QuicPacketType",
    "QuicProtocolVersion",
    "QuicRetryTokenHandler",
    "QuicStream",
    "encode_quic_retry",
    "encode_quic_version_negotiation",
    "events",
    "pull_quic_header",
    "tls",
]
