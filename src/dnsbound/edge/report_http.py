"""Taking reports to their receiver over HTTP: one POST for each, answered with its receipt.

The answers are those of `dnsbound.adapters.report_asgi`: 200 with a receipt, 202 for what is kept and not decided yet,
403 with or without a receipt, anything else is trouble. TLS protects what a report says from others; who receives it is
proved by the receipt alone, so any way there will do.
"""

import asyncio
import http.client
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from dnsbound.edge.report_sender import Deliver, Misdelivered
from dnsbound.errors import Misuse, PeerError
from dnsbound.object_limits import RECEIPT_OCTETS
from dnsbound.times import Seconds

REPORT_MEDIA_TYPE: Final = "application/dnsbound-report+jwt"
RECEIPT_MEDIA_TYPE: Final = "application/dnsbound-receipt+jwt"
ANSWER_SECONDS: Final[Seconds] = 30.0
_THIS_ONE_ALONE: Final = frozenset({400, 403, 413, 415, 422})


def http_delivery(
    url: str, *, context: ssl.SSLContext | None = None, seconds: Seconds = ANSWER_SECONDS, danger_clear: bool = False
) -> Deliver:
    """What takes reports to this URL. context: of TLS, a `dnsbound.Context` for one, the system's by default.
    danger_clear: let `http://` go to another machine, where anybody on the way reads what is reported. Misuse for
    another URL."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise Misuse(f"{url!r} is no URL like https://report.gov.example/reports")
    if parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1") and not danger_clear:
        raise Misuse(f"reports would go to {host} in clear: use https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        port = parts.port
    except ValueError as error:
        raise Misuse(f"{url!r}: {error}") from None

    def connect() -> http.client.HTTPConnection:
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        trusted = context or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=trusted)

    async def deliver(token: bytes) -> bytes | None:
        return await asyncio.to_thread(_post, connect, path, token)

    return deliver


def _post(connect: Callable[[], http.client.HTTPConnection], path: str, token: bytes) -> bytes | None:
    connection = connect()
    try:
        connection.request("POST", path, token, {"Content-Type": REPORT_MEDIA_TYPE, "Accept": RECEIPT_MEDIA_TYPE})
        answer = connection.getresponse()
        body = answer.read(RECEIPT_OCTETS.default + 1)
    except http.client.HTTPException as error:
        raise PeerError(f"the receiver's answer is no HTTP: {type(error).__name__}") from error
    finally:
        connection.close()
    kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    if answer.status in (200, 403) and kind == RECEIPT_MEDIA_TYPE:
        return body
    if answer.status == 202:
        return None
    if answer.status in _THIS_ONE_ALONE:
        raise Misdelivered(f"the receiver answered {answer.status}")
    raise PeerError(f"the receiver answered {answer.status}")
