"""The device's side of EST (RFC 7030): one request on one connection, and what the server said. Blocking.

    server = EnrolmentServer.parse("https://enrol.cars.example", context)
    answer = server.ask(Operation.ENROL, credential.signer, name, basic=(name, token))

Each request is linked to its connection by the channel binding (RFC 7030 section 3.5, RFC 9266), so that nobody on the
way can use it on another. Waiting, keeping files and looking at the DNS are not here. Nothing but a request goes out:
the private key is asked for signatures and never read.
"""

import base64
import http.client
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self
from urllib.parse import urlsplit

from dnsbound.credential.certificate_facts import san_dns_names, spki_of
from dnsbound.credential.certificate_request import certificate_request
from dnsbound.credential.signer import Signer
from dnsbound.credential.signing_key import private_key_of
from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.limits import ENROLMENT_ANSWER_OCTETS
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.times import Seconds

ANSWER_SECONDS: Final[Seconds] = 30.0
_LONGEST_PAUSE: Final = 86_400
_SHOWN: Final = 300
_LATER: Final = frozenset({202, 429, 503})


class Operation(StrEnum):
    """What a device asks for; the value is the end of the path."""

    ENROL = "simpleenroll"
    RENEW = "simplereenroll"


class EnrolmentDenied(DnsboundError):
    """The server decided no, in its words. status: of HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"the enrolment server answered {status}: {words}" if words else f"it answered {status}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """Not yet. seconds: after how long to ask the same again. words: the server's."""

    seconds: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The record is served, and this is what belongs to it."""

    certificate: bytes | None
    """DER of the leaf; None where records were asked for."""
    records: str = field(default="", repr=False)
    """Lines of a zone file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentServer:
    """Where to enrol. context: a client's, which verifies the server and may show a credential of the device."""

    host: str
    port: int
    path: str
    """Up to the operation, without a slash at its end."""
    context: Context

    @classmethod
    def parse(cls, url: str, context: Context) -> Self:
        """`https://HOST[:PORT][/LABEL]`; Malformed. LABEL: as the server's operator told."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 443
        except ValueError as error:
            raise Malformed(f"{url[:_SHOWN]!r} is no URL: {error}") from None
        label = parts.path.strip("/")
        if parts.scheme != "https" or not host or parts.query or parts.fragment or parts.username or "/" in label:
            raise Malformed(f"{url[:_SHOWN]!r} is not https://HOST[:PORT][/LABEL]")
        return cls(host=host, port=port, path=f"{wire.PATH}/{label}" if label else wire.PATH, context=context)

    def ask(
        self,
        operation: Operation,
        signer: Signer,
        name: ClientName,
        *,
        token: str | None = None,
        wants_records: bool = False,
        seconds: Seconds = ANSWER_SECONDS,
    ) -> Given | AskAgain:
        """Ask for the name with the signer's key. EnrolmentDenied for a no; PeerError or Malformed where the answer is
        none; OSError where no connection, or no trusted one, came about."""
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=seconds)
        try:
            connection.connect()
            body = wire.to_base64(
                certificate_request(private_key_of(signer), name, challenge=_binding(connection.sock))
            )
            headers = {"content-type": wire.PKCS10, "accept": wire.RECORDS if wants_records else wire.PKCS7}
            if token is not None:
                headers["authorization"] = wire.BasicCredentials(user=name.text, password=token).to_text()
            connection.request("POST", f"{self.path}/{operation.value}", body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read(ENROLMENT_ANSWER_OCTETS.default + 1)
            if len(text) > ENROLMENT_ANSWER_OCTETS.default:
                raise LimitExceeded(ENROLMENT_ANSWER_OCTETS.name, f"{self.host} says too much")
        except http.client.HTTPException as error:
            raise PeerError(f"{self.host} does not speak HTTP as it should: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status in _LATER:
            return AskAgain(seconds=_pause(answer.getheader("retry-after")), words=_words(text))
        if answer.status != 200:
            raise EnrolmentDenied(answer.status, _words(text))
        kind = (answer.getheader("content-type") or "").partition(";")[0].strip().lower()
        return _given(kind, text, wants_records=wants_records, name=name, spki=signer.spki)


def _given(kind: str, text: bytes, *, wants_records: bool, name: ClientName, spki: bytes) -> Given:
    if kind != (wire.RECORDS if wants_records else wire.PKCS7):
        raise PeerError(f"the answer is {kind[:_SHOWN]!r}, which was not asked for")
    if wants_records:
        return Given(certificate=None, records=text.decode("utf-8", "replace"))
    for certificate in wire.certificates_of(wire.from_base64(text)):
        if spki_of(certificate) == spki:
            if san_dns_names(certificate) not in ((), (name.canonical,)):
                raise PeerError("the certificate that came is for other names")
            return Given(certificate=certificate)
    raise PeerError("no certificate for this key came")


def _binding(connection: object) -> str:
    """What links the request to this connection, as RFC 7030 section 3.5 writes it."""
    assert isinstance(connection, ssl.SSLSocket)  # what an HTTPSConnection connects
    kind = "tls-exporter" if connection.version() == "TLSv1.3" else "tls-unique"
    binding = connection.get_channel_binding(kind)
    if not binding:
        raise Misuse(f"this connection has no {kind}")
    return base64.b64encode(binding).decode("ascii")


def _pause(text: str | None) -> int:
    """Seconds of a Retry-After; a date, which RFC 9110 section 10.2.3 also allows, is a minute."""
    if text is None or not text.strip().isdigit():
        return 60
    return max(1, min(int(text.strip()[:9]), _LONGEST_PAUSE))


def _words(text: bytes) -> str:
    return text[:_SHOWN].decode("utf-8", "replace").strip()
