"""What is known of a server that `dnsbound config` configures, what it is told, and the files it gives.

A snippet is a pure function of its settings: nothing is read, asked or written here. Its text names the traps of the
server it is for, and says so itself where nobody has tried it.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final, Self, TypeAlias

from dnsbound.adapters.fronts import quoting
from dnsbound.errors import Malformed, Misuse

LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""Labels become parts of names in other programs' files."""
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"
)
_VISIBLE: Final = re.compile(r"[!-~]+")
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_VERSION: Final = re.compile(r"\d+(\.\d+){0,3}")
DIRECTORY: Final = PurePosixPath("/etc/dnsbound")
ROOTS: Final = PurePosixPath("/etc/ssl/certs/ca-certificates.crt")
MIN_SECRET: Final = 22
"""Characters: 128 bits in base64."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Numbers, compared as numbers."""

    numbers: tuple[int, ...]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`1.22.1`. Malformed."""
        if _VERSION.fullmatch(text) is None:
            raise Malformed(f"{text!r} is no version")
        return cls(tuple(map(int, text.split("."))))

    def to_text(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host or IP address, and a port."""

    host: str
    port: int

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`127.0.0.1:8080`, `[::1]:8080` or `name:8080`; the host may be left out: `:443` is every address of the
        machine. Malformed."""
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        known = not host or (_IPV6.fullmatch(bare) if bare != host else is_host(host))
        if ":" not in text or not known or not _PORT.fullmatch(port) or not 0 < int(port) < 1 << 16:
            raise Malformed(f"{text!r} is no HOST:PORT")
        return cls(host=bare, port=int(port))

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address, or left out."""
        return ":" in self.host or re.fullmatch(r"[0-9.]*", self.host) is not None

    @property
    def is_loopback(self) -> bool:
        """Whether the host is an IP address that this machine alone reaches."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def to_text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverUnix:
    """The verify service at a Unix socket: the socket says who asks."""

    path: PurePosixPath
    users: tuple[str, ...]
    """Whom the service lets connect: the accounts that the server runs under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTcp:
    """The verify service at a loopback port: a secret says who asks."""

    address: Address
    secret: str = field(repr=False)
    """What is in the file now: visible ASCII, 128 bits or more."""
    secret_file: PurePosixPath

    def __post_init__(self) -> None:
        _check_secret(self.secret)
        if not self.address.is_loopback:
            raise Misuse(f"the verify service is at a loopback address, such as 127.0.0.1, not {self.address.host!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverRadius:
    """`dnsbound serve radius`, anywhere: a shared secret says who asks."""

    address: Address
    secret: str = field(repr=False)
    """What is in the file now: visible ASCII, 128 bits or more."""
    secret_file: PurePosixPath

    def __post_init__(self) -> None:
        _check_secret(self.secret)


def _check_secret(secret: str) -> None:
    if len(secret) < MIN_SECRET or re.fullmatch(r"[A-Za-z0-9._~+/=-]+", secret) is None:
        raise Misuse(f"the secret is at least {MIN_SECRET} characters of A-Z a-z 0-9 . _ ~ + / = -")


Verifier: TypeAlias = OverUnix | OverTcp | OverRadius


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a snippet is made for. Every text of it is one printable line, so that comments hold it as it is."""

    label: str
    """Of the front in authz.toml."""
    door: str
    """Of access.toml."""
    server_name: str
    """The name by which clients reach the server."""
    certificate: PurePosixPath
    key: PurePosixPath
    listen: Address
    backend: Address
    verifier: Verifier
    version: Version | None = None
    """What was found on this machine."""
    directory: PurePosixPath = DIRECTORY
    """Where the server will find files of the snippet that its configuration names."""
    roots: PurePosixPath = ROOTS
    """Who vouches for servers, to programs that are clients."""

    def __post_init__(self) -> None:
        if LABEL.fullmatch(self.label) is None:
            raise Misuse(f"the label is a small letter, then small letters, digits and hyphens, not {self.label!r}")
        if not is_host(self.server_name):
            raise Misuse(f"{self.server_name!r} is no host name")
        if _VISIBLE.fullmatch(self.door) is None:
            raise Misuse(f"door {self.door!r} cannot be told in a header: it is not visible ASCII")
        for path in (self.certificate, self.key, self.directory, self.roots):
            if not path.is_absolute():
                raise Misuse(f"{str(path)!r} is not absolute: the server runs in another directory")
            quoting.printable(str(path), "the path")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One file of a snippet. place: where it usually goes. secret: it is for its owner alone."""

    name: str
    text: str = field(repr=False)
    place: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a server. Nothing here depends on the machine."""

    server: str
    """Its word on the command line."""
    title: str
    program: str | None
    """What to look for; None when it is no program of a machine's own."""
    version_arguments: tuple[str, ...] = ("-v",)
    version_pattern: re.Pattern[str] = re.compile(r"(\d+(?:\.\d+){1,3})")
    least: Version
    """The snippet is for this version and newer ones; it is printed for this one where none is found."""
    tried: Version | None
    """The version `--check` and the tests ran with; None: nobody has tried it."""
    checked: bool = True
    """Whether `--check` can try it; the tests did, where it cannot."""
    protocol: str | None = "http"
    """How the server asks the verify service, or `radius`: our RADIUS server; None for one that asks neither."""
    gated: bool = False
    """Whether the gate stands before it, by a file of the snippet."""
    claim_from: str = "san"
    front_options: tuple[str, ...] = ()
    """Further lines of its table in authz.toml or radius.toml; `{label}` and `{listen}` are the settings'."""
    users: tuple[str, ...]
    """Accounts that the server runs under where it is packaged."""
    unix: bool = True
    """Whether it can ask over a Unix socket."""
    tcp: bool = True
    """Whether it can ask over TCP, where a secret says who asks."""
    comment: str = "#"
    """What a comment begins with in its first file."""
    admits: str = '"car54._device.cars.example"'
    """What its door lists in the access.toml that is shown."""
    listen: str = ":443"
    backend: str = "127.0.0.1:8080"
    works: tuple[str, ...]
    """What is seen to work, in words for a table."""
    limits: tuple[str, ...]
    """What is not possible with this server."""

    @property
    def asks_radius(self) -> bool:
        return self.protocol == "radius"

    @property
    def asked_of(self) -> str:
        """Where our own part of it belongs."""
        return "radius.toml of the RADIUS server" if self.asks_radius else "authz.toml of the verify service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A server's facts, and its files for some settings."""

    facts: Facts
    files: Callable[[Settings], tuple[ConfigFile, ...]]

    def rendered(self, settings: Settings) -> tuple[ConfigFile, ...]:
        """The files as they are printed and written: the first one ends with what belongs into our own files."""
        first, *others = self.files(settings)
        front, ours = authz_front(self.facts, settings), ""
        if not front and not self.facts.gated:
            return first, *others
        if front:
            ours = f"{self.facts.asked_of}:\n\n{front}\n"
        ours += f"access.toml, with names of yours:\n\n{access_door(self.facts, settings)}"
        return replace(first, text=f"{first.text}\n{commented(ours, self.facts.comment)}"), *others


def is_host(text: str) -> bool:
    """Whether it is a host name, or an IPv4 address."""
    return _HOST.fullmatch(text) is not None


def heading(facts: Facts, settings: Settings) -> str:
    """The first lines of a file: what it is, for which version, whether that was tried, and what is not possible."""
    what = f"clients are let in by their DNS names, at the door {settings.door}"
    lines = [
        f"{facts.title}: {what}." if facts.protocol or facts.gated else f"{facts.title} that logs in by its DNS name."
    ]
    if settings.version is None:
        lines.append(f"For version {facts.least.to_text()} and newer; the program was not found on this machine.")
    elif settings.version < facts.least:
        lines.append(f"For version {facts.least.to_text()} and newer; THIS MACHINE HAS {settings.version.to_text()}.")
    else:
        lines.append(f"For version {settings.version.to_text()}, found on this machine.")
    if facts.tried is None:
        lines.append(
            "UNTESTED: written from the server's documentation; nobody has run it. Try it before you trust it."
        )
    else:
        here = f": `dnsbound config {facts.server} --check` tries it here" if facts.checked else ""
        lines.append(f"Tried with version {facts.tried.to_text()}{here}.")
    lines += [f"Not possible: {limit}." for limit in facts.limits]
    return "".join(f"{facts.comment} {line}\n" for line in lines)


def authz_front(facts: Facts, settings: Settings) -> str:
    """The table of authz.toml, or the tables of radius.toml, by which this server is known; nothing for one that does
    not ask."""
    if facts.protocol is None:
        return ""
    if isinstance(settings.verifier, OverRadius):
        return _radius_client(facts, settings, settings.verifier)
    lines = [f"[front.{settings.label}]", f"protocol = {quoting.json_text(facts.protocol, 'the protocol')}"]
    match settings.verifier:
        case OverUnix(path=path, users=users):
            listed = ", ".join(quoting.json_text(user, "the user") for user in users)
            lines += [f"listen = {quoting.json_text(f'unix:{path}', 'the socket')}", f"users = [{listed}]"]
        case OverTcp(address=address, secret_file=file):
            lines += [
                f"listen = {quoting.json_text(address.to_text(), 'the address')}",
                f"secret_file = {quoting.json_text(str(file), 'the secret file')}",
            ]
    lines += [f"door = {quoting.json_text(settings.door, 'the door')}", f'claim_from = ["{facts.claim_from}"]']
    lines += _front_options(facts, settings)
    return "".join(f"{line}\n" for line in lines)


def _radius_client(facts: Facts, settings: Settings, server: OverRadius) -> str:
    lines = [
        f"[client.{settings.label}]",
        f"address = [{quoting.json_text(settings.listen.host, 'the address')}]",
        f"secret_file = {quoting.json_text(str(server.secret_file), 'the secret file')}",
        *_front_options(facts, settings),
        f"\n[network.{settings.label}]",
        f"door = {quoting.json_text(settings.door, 'the door')}",
        f'client = ["{settings.label}"]',
    ]
    return "".join(f"{line}\n" for line in lines)


def _front_options(facts: Facts, settings: Settings) -> list[str]:
    return [
        line.replace("{label}", settings.label).replace("{listen}", settings.listen.to_text())
        for line in facts.front_options
    ]


def access_door(facts: Facts, settings: Settings) -> str:
    """The table of access.toml that says who comes in."""
    return f"[door.{quoting.json_text(settings.door, 'the door')}]\nallow = [{facts.admits}]\n"


def commented(text: str, comment: str) -> str:
    """Each line as a comment."""
    return "".join(f"{comment} {line}".rstrip() + "\n" for line in text.splitlines())
