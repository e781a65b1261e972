"""The face for FreeRADIUS's `rlm_rest`, behind its own EAP-TLS: is a certificate that it trusts still good?

The question tells a name and a serial number, and no key (`protocols.freeradius_rest`). So the certificate of that name
and number is taken from the directory that the materialiser wrote into FreeRADIUS's store, and judged anew. Who is not
there is not let in: FreeRADIUS trusts a certificate for as long as it runs, whatever became of the file.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.authz_routes import HttpOptions, HttpRequest, HttpResponse
from dnsbound.edge.enrolled_certificates import EnrolledCertificates
from dnsbound.edge.front import Allowed, Asked, Front, FrontDoor
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.protocols.freeradius_rest import FreeRadiusAsked

_JSON: Final = (b"Content-Type", b"application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeRadiusOptions(HttpOptions):
    """certificates: those that the materialiser put into FreeRADIUS's store, by name."""

    certificates: EnrolledCertificates | None = None


class FreeRadiusRoute:
    """`/freeradius`. 200 for a yes, 403 for everything else: rlm_rest makes `ok` and `reject` of them."""

    path: Final = "/freeradius"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        options = request.options
        try:
            asked = FreeRadiusAsked.from_wire(request.body)
        except DnsboundError as error:
            door.malformed(error)
            return _told(allowed=False)
        placed = options.certificates if isinstance(options, FreeRadiusOptions) else None
        return self._judge(asked, placed, door)

    async def _judge(
        self, asked: FreeRadiusAsked, placed: EnrolledCertificates | None, door: FrontDoor
    ) -> HttpResponse:
        found = () if placed is None else placed.of(asked.name)
        chain = tuple(certificate for certificate in found if _serial(certificate) == asked.serial)[:1]
        question = Asked(chain=chain, name=asked.name.text, source=asked.source, protocol="EAP-TLS of FreeRADIUS")
        answer = await door.ask(question)
        return _told(allowed=isinstance(answer, Allowed) and answer.name == asked.name)


def _serial(certificate: bytes) -> int | None:
    try:
        return certificate_from_der(certificate).serial_number
    except Malformed:
        return None


def _told(*, allowed: bool) -> HttpResponse:
    status = HTTPStatus.OK if allowed else HTTPStatus.FORBIDDEN
    return HttpResponse(status=status, fields=(_JSON,), body=b"{}")


class FreeRadiusFace(HttpFace):
    """A `Face`."""

    def __init__(self) -> None:
        super().__init__((FreeRadiusRoute(),))

    def options(self, table: TomlTable, front: Front) -> FreeRadiusOptions:
        super().options(table, front)
        return FreeRadiusOptions(certificates=EnrolledCertificates(table.path("certificates")))
