"""Envoy's external authorization by gRPC, `envoy.service.auth.v3.Authorization/Check`: its messages as ours.

For HTTP a yes carries the fields that tell who the client is, each in place of what the client may have sent, and the
names of all fields of the request that a back end could take for one of them, to be removed. For TCP it is a bare yes.
The certificate comes with `include_peer_certificate: true`, as one URL-escaped PEM: no chain, so no usage 2.
The messages are those of the package `xds-protos`; nothing is imported here before it is used, and floors above are
told when it is not installed. What this is not: gRPC itself (`edge.authz_envoy`).
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from dnsbound.protocols.identity_headers import is_identity_header
from dnsbound.protocols.presented_by_fronts import Certificates, certificates_of_field

SERVICE: Final = "envoy.service.auth.v3.Authorization"
METHOD: Final = "Check"
_OK: Final = 0
_PERMISSION_DENIED: Final = 7
"""google.rpc.Code."""
_ENVOYS_OWN: Final = "x-forwarded-client-cert"
"""Envoy has written or removed it itself before it asked (`forward_client_cert_details`)."""


class CheckQuestion:
    """A CheckRequest. message: as it was parsed by its own class."""

    def __init__(self, message: Any) -> None:  # noqa: ANN401 (of a package that may not be there)
        self._attributes = message.attributes

    @property
    def chain(self) -> Certificates:
        """DER; none without a certificate. Malformed, LimitExceeded."""
        return certificates_of_field(self._attributes.source.certificate.encode())

    @property
    def source(self) -> str:
        return str(self._attributes.source.address.socket_address.address)

    @property
    def is_http(self) -> bool:
        """Not a connection of Envoy's TCP proxy."""
        return bool(self._attributes.request.HasField("http"))

    @property
    def protocol(self) -> str:
        return str(self._attributes.request.http.protocol) if self.is_http else "TCP"

    def fields_to_remove(self) -> list[str]:
        """Names of fields that the client sent and a back end could believe. Where Envoy is set to tell few fields,
        those it does not tell stay: `allowed_headers` is not to be set."""
        http = self._attributes.request.http
        names = {*http.headers, *(pair.key for pair in http.header_map.headers)}
        return sorted(
            name for name in names if name != _ENVOYS_OWN and is_identity_header(name.encode("latin-1", "replace"))
        )


def allowed(question: CheckQuestion, fields: Iterable[tuple[bytes, bytes]]) -> Any:  # noqa: ANN401 (see above)
    """A CheckResponse that lets in. fields: those of `identity_headers`."""
    from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
    from envoy.service.auth.v3.external_auth_pb2 import CheckResponse, OkHttpResponse
    from google.rpc.status_pb2 import Status

    if not question.is_http:
        return CheckResponse(status=Status(code=_OK))
    written = [
        HeaderValueOption(
            header=HeaderValue(key=name.decode("ascii").lower(), value=value.decode("ascii")),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in fields
    ]
    ours = {option.header.key for option in written}
    remove = [name for name in question.fields_to_remove() if name not in ours]
    return CheckResponse(status=Status(code=_OK), ok_response=OkHttpResponse(headers=written, headers_to_remove=remove))


def denied(status: HTTPStatus) -> Any:  # noqa: ANN401 (see above)
    """A CheckResponse that does not, and says nothing more."""
    from envoy.service.auth.v3.external_auth_pb2 import CheckResponse, DeniedHttpResponse
    from envoy.type.v3.http_status_pb2 import HttpStatus
    from google.rpc.status_pb2 import Status

    response = DeniedHttpResponse(status=HttpStatus(code=status.value), body=f"{status.phrase}\n")
    return CheckResponse(status=Status(code=_PERMISSION_DENIED), denied_response=response)
