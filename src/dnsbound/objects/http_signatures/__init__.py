"""HTTP message signatures (RFC 9421) whose `keyid` is the signer's DNS name: what is signed, and reading it strictly.

    from dnsbound.objects import http_signatures

No input or output: whoever has a request at hand makes an `HttpRequest` of it. Adapters for httpx, ASGI and WSGI, and
the verifier that remembers nonces, are further up (`dnsbound.adapters`, `dnsbound.edge.signed_requests`). Needs the
extra `http-signatures`.
"""

from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse
from dnsbound.objects.http_signatures.profile import (
    MessageSignature,
    accept_signature,
    parse_request,
    parse_response,
    sign_request,
    sign_response,
)

__all__ = [
    "HttpRequest",
    "HttpResponse",
    "MessageSignature",
    "accept_signature",
    "parse_request",
    "parse_response",
    "sign_request",
    "sign_response",
]
