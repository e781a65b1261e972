"""ASGI: an application that takes reports by POST and answers with receipts, for any ASGI server.

    app = ReportApp(receiver)

200  accepted; the body is the receipt
202  kept, and not decided: the same report is to be sent again
403  refused; with a receipt that says so where the signer is known, for everybody else without a word
400, 404, 405, 413, 415   no report
503  not now: too busy, or the store cannot be written

The body is the token, `application/dnsbound-report+jwt`. Who brings it does not matter and is asked nothing: the
signature says who made it. So nobody is told why a report was refused but its signer.
"""

from typing import Final

from dnsbound.adapters.asgi import Receive, Scope, Send
from dnsbound.edge.report_http import RECEIPT_MEDIA_TYPE, REPORT_MEDIA_TYPE
from dnsbound.edge.report_receiver import Answer, ReportReceiver, Standing
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.object_limits import REPORT_OCTETS
from dnsbound.provision.errors import DatabaseFailed

RETRY_SECONDS: Final = 60
_PLAIN: Final = "text/plain; charset=utf-8"
_STATUS: Final = {Standing.ACCEPTED: 200, Standing.REFUSED: 403, Standing.UNDECIDED: 202}


class ReportApp:
    """One receiver at one path, which is the server's to choose."""

    def __init__(self, receiver: ReportReceiver, *, path: str = "/") -> None:
        """path: where reports are taken; everything else is 404."""
        self._receiver = receiver
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = self._status_of_head(scope)
        if status:
            await _plain(send, status)
            return
        body = await _body(receive)
        if body is None:
            await _plain(send, 413)
            return
        try:
            answer = await self._receiver.receive(body, source=_source(scope))
        except Malformed:
            await _plain(send, 400)
        except (LimitExceeded, DatabaseFailed):
            await _plain(send, 503)
        else:
            await _told(send, answer)

    def _status_of_head(self, scope: Scope) -> int:
        """What is wrong before the body is read; 0 for nothing."""
        if scope["path"] != self._path:
            return 404
        if scope["method"] != "POST":
            return 405
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != REPORT_MEDIA_TYPE.encode("ascii"):
            return 415
        length = headers.get(b"content-length", b"0")
        return 413 if not length.isdigit() or len(length) > 9 or int(length) > REPORT_OCTETS.default else 0


async def _body(receive: Receive) -> bytes | None:
    """None when it is too long, or its sender has gone."""
    parts, octets = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        octets += len(part)
        if octets > REPORT_OCTETS.default:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _source(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _told(send: Send, answer: Answer) -> None:
    status = _STATUS[answer.standing]
    if answer.standing is Standing.UNDECIDED and not answer.kept:
        status = 503
    if answer.receipt is None:
        await _plain(send, status)
    else:
        await _respond(send, status, RECEIPT_MEDIA_TYPE, answer.receipt)


_WORDS: Final = {
    202: b"kept, and not decided yet\n",
    400: b"no report\n",
    403: b"refused\n",
    404: b"not found\n",
    405: b"POST reports here\n",
    413: b"too long\n",
    415: f"reports are {REPORT_MEDIA_TYPE}\n".encode("ascii"),
    503: b"not now\n",
}


async def _plain(send: Send, status: int) -> None:
    await _respond(send, status, _PLAIN, _WORDS[status])


async def _respond(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode("ascii")), (b"content-length", str(len(body)).encode("ascii"))]
    if status in (202, 503):
        headers.append((b"retry-after", str(RETRY_SECONDS).encode("ascii")))
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
