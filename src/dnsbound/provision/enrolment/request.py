"""Whether a certification request is one that can be granted to a device under one exact name.

RFC 7030 section 4.2.1 leaves to local policy what a server grants. Here it is strict: the request names exactly the one
name, nothing beside it, with a key that verifiers accept; whatever else it would like of a certificate is not looked
at, since the certificate is made here and the record names the key alone.
"""

import base64
import hmac

from dnsbound.credential.certificate_request import CertificateRequest
from dnsbound.names import ClientName
from dnsbound.provision.enrolment.refusal import Because, EnrolmentRefused


def check_request(request: CertificateRequest, name: ClientName) -> None:
    """EnrolmentRefused unless the request asks for this name alone, with a good key, and not for an authority."""
    asked = request.names
    if request.other_names or len(asked) != 1 or asked[0].lower() != name.canonical:
        raise EnrolmentRefused(
            Because.OTHER_NAME, "the request must ask for exactly the permitted name, as one dNSName"
        )
    if request.weak_because is not None:
        raise EnrolmentRefused(Because.WEAK_KEY, request.weak_because)
    if request.wants_authority:
        raise EnrolmentRefused(Because.WANTS_AUTHORITY, "the request is for a certificate that signs others")


def check_linked(request: CertificateRequest, binding: bytes, *, required: bool) -> None:
    """EnrolmentRefused where the request's challengePassword is not this connection's channel binding in base64 (RFC
    7030 section 3.5), so that a request cannot be carried from one connection to another. An empty one is none.

    RFC 7030 knows tls-unique alone, which TLS 1.3 does not have; there it is tls-exporter (RFC 9266).
    """
    if not request.challenge:
        if required:
            raise EnrolmentRefused(Because.NOT_LINKED, "the request carries no channel binding")
        return
    expected = base64.b64encode(binding)
    if not binding or not hmac.compare_digest(request.challenge.encode("utf-8"), expected):
        raise EnrolmentRefused(Because.NOT_LINKED, "the request's challengePassword is not of this connection")
