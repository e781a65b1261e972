"""What `dnsbound serve authz --check` looks at: everything it needs, before a front finds out that it is missing."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level, resolver_findings
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from dnsbound.edge.authz_configuration import AuthzConfiguration
    from dnsbound.edge.authz_sockets import TcpPlace
    from dnsbound.edge.served_front import FrontSettings
    from dnsbound.verify.access import AccessList

_TIMEOUT: Final[Seconds] = 5.0


def authz_findings(path: Path, resolver: list[str] | None, anchors: Path | None) -> Iterator[Finding]:
    """Findings about a configuration, in the order in which an operator would mend them. Users, groups and the modes of
    secrets are looked at while it is read."""
    from dnsbound.edge.authz_configuration import AuthzConfiguration

    try:
        configuration = AuthzConfiguration.load(path)
    except DnsboundError as error:
        remedy = "see docs/howto/verify-service.md"
        yield Finding(check="configuration", level=Level.FAIL, found=str(error), remedy=remedy)
        return
    yield Finding(check="configuration", level=Level.OK, found=f"{path}: {len(configuration.fronts)} fronts")
    yield from _access(configuration)
    yield from _decisions(configuration)
    for settings in configuration.fronts:
        yield _place(settings)
    yield from resolver_findings(resolver, anchors)


def _access(configuration: "AuthzConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.access_file import AccessFile

    try:
        listed = AccessFile(configuration.server.access).current()
    except DnsboundError as error:
        yield Finding(check="access list", level=Level.FAIL, found=str(error))
        return
    for settings in configuration.fronts:
        yield _door(listed, f"front {settings.front.label}", settings.front.door)
        yield from _grants(listed, settings.front.label, settings.front.door)
    for material in configuration.materials:
        yield _door(listed, f"materialise {material.label}", material.door)


def _door(listed: "AccessList", check: str, door: str) -> Finding:
    if door not in listed.doors:
        remedy = f"add [door.{door!r}] to it, or name one of {', '.join(listed.doors) or 'none'}"
        found = f"the access list has no door {door}"
        return Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)
    entries = listed.entries(door)
    if not entries:
        remedy = f"add names to allow of [door.{door!r}]"
        return Finding(check=check, level=Level.WARN, found=f"door {door} lets nobody in", remedy=remedy)
    return Finding(check=check, level=Level.OK, found=f"door {door}: {entries} names and patterns")


def _grants(listed: "AccessList", label: str, door: str) -> Iterator[Finding]:
    """Grants that no header field can hold let nobody in."""
    from dnsbound.protocols.identity_headers import grants_text

    for name, grants in listed.grants(door):
        try:
            grants_text(grants)
        except DnsboundError as error:
            remedy = "shorten the grants in the access list: this name is not let in"
            yield Finding(check=f"front {label}", level=Level.FAIL, found=f"{name}: {error}", remedy=remedy)
            return


def _decisions(configuration: "AuthzConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.decision_log import DecisionLog

    path = configuration.server.decisions
    if path is None:
        return
    existed = path.exists()
    try:
        DecisionLog(path).close()
    except DnsboundError as error:
        yield Finding(check="decision log", level=Level.FAIL, found=str(error))
        return
    if not existed:
        path.unlink(missing_ok=True)  # It was made to see whether it can be.
    yield Finding(check="decision log", level=Level.OK, found=f"{path} can be written")


def _place(settings: "FrontSettings") -> Finding:
    """Whether a front can be listened for. A running service is no fault: it is the one that would be reloaded."""
    from dnsbound.edge.authz_sockets import TcpPlace, UnixPlace, bind_front, remove_socket
    from dnsbound.edge.runtime_directory import listens

    check, place = f"front {settings.front.label} at {settings.place}", settings.place
    if isinstance(place, UnixPlace) and place.path.is_socket() and listens(place.path, seconds=_TIMEOUT):
        return Finding(check=check, level=Level.OK, found="a service listens there now")
    try:
        remove_socket(place, bind_front(place))
    except Misuse as error:
        if isinstance(place, TcpPlace) and _answers(place):
            remedy = "fine if that is this service, which runs already; otherwise choose another port"
            return Finding(check=check, level=Level.WARN, found=str(error), remedy=remedy)
        remedy = "make the directory, for the service's user to write in" if isinstance(place, UnixPlace) else ""
        return Finding(check=check, level=Level.FAIL, found=str(error), remedy=remedy)
    known = [word for word, known in (("its user", settings.peers), ("a secret", settings.front.secrets)) if known]
    return Finding(check=check, level=Level.OK, found=f"free; the front is known by {' and '.join(known)}")


def _answers(place: "TcpPlace") -> bool:
    try:
        socket.create_connection((place.endpoint.host, place.endpoint.port), timeout=_TIMEOUT).close()
    except OSError:
        return False
    return True
