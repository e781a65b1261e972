"""The signature base: the octets that are signed in place of a message.

Taken are whole fields, the derived components of a request's method and target and of a response's status, and, in a
response, the same of the request it answers (`req`) and one member of its `Signature` (`key`). Other parameters change
what a component means, and are refused: a signer has no need of them here, and a verifier none of the code.
Sections: RFC 9421 sections 2.1, 2.2, 2.4 and 2.5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.http_limits import HTTP_COMPONENTS, HTTP_COVERED_OCTETS
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse, lines
from dnsbound.objects.http_signatures.structured import Member, Parameters, dictionary, text_of_item

SIGNATURE_PARAMETERS: Final = "@signature-params"
_SINGLE: Final = frozenset({"content-type", "content-length", "content-location", "host", "date", "authorization"})
"""Fields of one value (RFC 9110 section 5.3): with two lines, nobody knows which one the application will take."""


@dataclass(frozen=True, slots=True)
class Component:
    """What a signature covers: a field, or a derived component. of_request: of the request that a response answers.
    member: the one member of a dictionary that is meant, of `Signature` alone."""

    name: str
    of_request: bool = False
    member: str | None = None

    @classmethod
    def parse(cls, item: Member) -> Self:
        """Malformed for a name that is none, and for parameters that are not taken."""
        name, parameters = item
        if type(name) is not str or not name or name != name.lower():
            raise Malformed("a covered component is no string in lower case")
        of_request, member = parameters.get("req", False), parameters.get("key")
        if parameters.keys() - {"req", "key"} or type(of_request) is not bool:
            raise Malformed(f"the component {name[:40]!r} has a parameter that is not taken")
        if member is not None and (type(member) is not str or name != "signature"):
            raise Malformed(f"the component {name[:40]!r} has a key")
        return cls(name, of_request, member)

    @property
    def item(self) -> Member:
        parameters: Parameters = {}
        if self.of_request:
            parameters["req"] = True
        if self.member is not None:
            parameters["key"] = self.member
        return self.name, parameters


def components_of(items: Sequence[Member]) -> tuple[Component, ...]:
    """The components of a signature, each once. Malformed, LimitExceeded."""
    if len(items) > HTTP_COMPONENTS.default:
        raise LimitExceeded(HTTP_COMPONENTS.name, f"{len(items)} components")
    found = tuple(map(Component.parse, items))
    if len(set(found)) != len(found):
        raise Malformed("a component is covered twice")
    return found


def signature_base(
    message: HttpRequest | HttpResponse,
    components: Sequence[Component],
    items: Sequence[Member],
    parameters: Parameters,
) -> bytes:
    """The octets to sign. items: the components as they are written, parameters in their order, which is part of what
    is signed. Malformed where the message has not what is covered; LimitExceeded."""
    written = [
        f"{_text(item[0], tuple(item[1].items()))}: {_value(message, component)}"
        for item, component in zip(items, components, strict=True)
    ]
    written.append(f'"{SIGNATURE_PARAMETERS}": {text_of_item((list(items), parameters))}')
    base = "\n".join(written)
    if len(base) > HTTP_COVERED_OCTETS.default:
        raise LimitExceeded(HTTP_COVERED_OCTETS.name, f"{len(base)} octets")
    return base.encode("ascii")


@lru_cache(maxsize=1024)
def _text(name: str, parameters: tuple[tuple[str, Any], ...]) -> str:
    """A component as it is written; the same few stand in every message."""
    return text_of_item((name, dict(parameters)))


def _value(message: HttpRequest | HttpResponse, component: Component) -> str:
    if component.of_request:
        if isinstance(message, HttpRequest):
            raise Malformed(f"{component.name[:40]!r} is of a request, and this is one")
        message = message.request
    if component.name.startswith("@"):
        value = _derived(message, component.name)
    elif component.member is not None:
        value = _member(message, component)
    else:
        value = field_value(message, component.name)
    if not value.isascii() or not value.replace("\t", " ").isprintable():
        raise Malformed(f"the covered component {component.name[:40]!r} has characters outside printable ASCII")
    return value


def field_value(message: HttpRequest | HttpResponse, name: str) -> str:
    """The lines of a field as one (RFC 9421 section 2.1). Malformed when there is none, or several of a field that has
    one value."""
    values = lines(message.fields, name)
    if not values:
        raise Malformed(f"the field {name[:40]!r} is covered and not there")
    if len(values) > 1 and name in _SINGLE:
        raise Malformed(f"the field {name!r} is there {len(values)} times")
    return ", ".join(values)


def _member(message: HttpRequest | HttpResponse, component: Component) -> str:
    members = dictionary(field_value(message, component.name), component.name)
    if component.member not in members:
        raise Malformed(f"{component.name!r} has not the member that is covered")
    return text_of_item(members[component.member])


def _derived(message: HttpRequest | HttpResponse, name: str) -> str:
    if isinstance(message, HttpResponse):
        if name != "@status":
            raise Malformed(f"a response has no component {name[:40]!r}")
        return str(message.status)
    derive = _DERIVED.get(name)
    if derive is None:
        raise Malformed(f"a request has no component {name[:40]!r} that is taken here")
    return derive(message)


_DERIVED: Final[Mapping[str, Callable[[HttpRequest], str]]] = MappingProxyType(
    {
        "@method": lambda request: request.method,
        "@target-uri": lambda request: request.target_uri,
        "@scheme": lambda request: urlsplit(request.target_uri).scheme,
        "@authority": lambda request: urlsplit(request.target_uri).netloc,
        "@path": lambda request: urlsplit(request.target_uri).path,
        "@query": lambda request: "?" + urlsplit(request.target_uri).query,
        "@request-target": lambda request: "/" + request.target_uri.split("/", 3)[3],
    }
)
"""RFC 9421 section 2.2; `@query-param` is left out."""
