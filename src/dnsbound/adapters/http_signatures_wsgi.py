"""WSGI: requests that are signed with a DNS-bound key (RFC 9421), whoever ended their TLS.

    application = SignedRequestsMiddleware(application, requests)

puts into the environment what `adapters.wsgi` does, so that its `require` works behind it: `dnsbound.peer`,
`dnsbound.grants`, `REMOTE_USER` and `AUTH_TYPE`; and `dnsbound.signed_request`, a VerifiedObject. Fields that could
pass for a front's word are taken away. The content is checked before the application is called. Refusals are answered
as by `adapters.http_signatures_asgi`; responses are not signed here.

The target as it came is in no variable of WSGI: gunicorn, uWSGI, Werkzeug, waitress and mod_wsgi tell it in one of
their own (`RAW_URI`, `REQUEST_URI`). Behind another server it is written anew, and a path with escapes that are not
written in the usual way is refused.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Final
from urllib.parse import quote

from dnsbound.adapters.wsgi import Application, Environment, StartResponse, tell
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.errors import LimitExceeded, Malformed, Refused, Undecided
from dnsbound.http_limits import HTTP_SIGNED_BODY_OCTETS
from dnsbound.objects.http_signatures.profile import accept_signature

SIGNED_REQUEST: Final = "dnsbound.signed_request"
_TARGETS: Final = ("RAW_URI", "REQUEST_URI")
_WORDS: Final = {
    "401 Unauthorized": b"a signed request is wanted\n",
    "413 Content Too Large": b"too much content\n",
    "503 Service Unavailable": b"try again\n",
}


class SignedRequestsMiddleware:
    """Wraps a WSGI application."""

    def __init__(self, application: Application, requests: SignedRequests) -> None:
        self._application = application
        self._requests = requests

    def __call__(self, environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            request = self._requests.request(environ["REQUEST_METHOD"], _target(environ), _fields(environ))
            verified, content = self._requests.verify_blocking(
                request, lambda: self._content(environ), source=environ.get("REMOTE_ADDR", "")
            )
        except (Refused, Malformed):
            challenge = [("WWW-Authenticate", "HTTP-Message-Signature"), ("Accept-Signature", accept_signature())]
            return _answer(start_response, "401 Unauthorized", *challenge)
        except Undecided:
            return _answer(start_response, "503 Service Unavailable", ("Retry-After", "5"))
        except LimitExceeded:
            return _answer(start_response, "413 Content Too Large")
        tell(environ, verified.peer)
        environ |= {SIGNED_REQUEST: verified, "wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return self._application(environ, start_response)

    def _content(self, environ: Environment) -> bytes:
        """The whole content. Where its length is not said, the server has to end its stream (`wsgi.input_terminated`):
        without that there is nothing that can be read."""
        most = self._requests.content_octets
        said = environ.get("CONTENT_LENGTH") or ""
        if said and not said.isdecimal():
            raise Malformed("Content-Length is no number")
        if not said and not environ.get("wsgi.input_terminated", False):
            return b""
        wanted = int(said) if said else most + 1
        if wanted <= most or not said:
            content: bytes = environ["wsgi.input"].read(wanted)
            if len(content) <= most:
                return content
        raise LimitExceeded(HTTP_SIGNED_BODY_OCTETS.name, f"more than {most} octets")


def _target(environ: Environment) -> str:
    for name in _TARGETS:
        if (told := environ.get(name, "")).startswith("/"):
            return str(told)
    # PEP 3333: octets of the path, as if they were Latin-1.
    path = quote((environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"))
    query = environ.get("QUERY_STRING", "")
    return f"{path or '/'}?{query}" if query else path or "/"


def _fields(environ: Environment) -> list[tuple[bytes, bytes]]:
    """The fields of the request. A server has joined the lines of a field by then (RFC 3875 section 4.1.18), as the
    signature base does too."""
    told = {key.removeprefix("HTTP_"): value for key, value in environ.items() if key.startswith("HTTP_")}
    told |= {key: environ[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)}
    return [(name.replace("_", "-").encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]


def _answer(start_response: StartResponse, status: str, *fields: tuple[str, str]) -> Iterable[bytes]:
    body = _WORDS[status]
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *fields])
    return [body]
