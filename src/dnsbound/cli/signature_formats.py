"""The formats `dnsbound sign` makes and `dnsbound verify` reads: one line each in FORMATS.

A format signs a payload that travels inside (`attach`), or content that goes by (`detach`), or both. Manifests, chunk
lists and other documents are payloads to it. What it reads it tells by the first octets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.objects.large.content import ContentSigning, Opened

HEAD_OCTETS: Final = 64
"""From which a format is told."""


class Attach(Protocol):
    """Signs a payload that travels inside; the signature's octets. typ: what kind of payload it is. key_in_band: the
    key goes along."""

    def __call__(self, payload: bytes, credential: "Credential", *, typ: str | None, key_in_band: bool) -> bytes: ...


class Detach(Protocol):
    """Begins a signature over content that stays outside. Misuse for a key that cannot."""

    def __call__(self, credential: "Credential", *, key_in_band: bool) -> "ContentSigning": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFormat:
    """One format."""

    name: str
    """Value of --format."""
    suffix: str
    """Of a file with such a signature."""
    recognises: Callable[[bytes], bool]
    """Whether octets that begin so are in this format."""
    open: "Callable[[bytes], Opened]"
    """Parses them."""
    attach: Attach | None = None
    detach: Detach | None = None


def _open_jws(octets: bytes) -> "Opened":
    from dnsbound.objects.large.jws_content import open_jws

    return open_jws(octets)


def _attach_jws(payload: bytes, credential: "Credential", *, typ: str | None, key_in_band: bool) -> bytes:
    from dnsbound.objects.large.jws_content import attach_jws

    return attach_jws(payload, credential, typ=typ, key_in_band=key_in_band)


def _detach_jws(credential: "Credential", *, key_in_band: bool) -> "ContentSigning":
    from dnsbound.objects.large.detached import DetachedSigning

    return DetachedSigning(credential, key_in_band=key_in_band)


def _open_sshsig(octets: bytes) -> "Opened":
    from dnsbound.objects.large.sshsig_content import open_sshsig

    return open_sshsig(octets)


def _detach_sshsig(credential: "Credential", *, key_in_band: bool) -> "ContentSigning":
    from dnsbound.objects.large.sshsig_content import SshsigSigning

    return SshsigSigning(credential, key_in_band=key_in_band)


def _open_cose(octets: bytes) -> "Opened":
    from dnsbound.objects.large.cose_content import open_cose

    return open_cose(octets)


def _attach_cose(payload: bytes, credential: "Credential", *, typ: str | None, key_in_band: bool) -> bytes:
    from dnsbound.objects.large.cose_content import attach_cose

    return attach_cose(payload, credential, typ=typ, key_in_band=key_in_band)


def _detach_cose(credential: "Credential", *, key_in_band: bool) -> "ContentSigning":
    from dnsbound.objects.large.cose_content import EnvelopeSigning

    return EnvelopeSigning(credential, key_in_band=key_in_band)


_ALL: Final = (
    SignatureFormat(
        name="jws",
        suffix=".jws",
        recognises=lambda head: head.startswith(b"eyJ"),
        open=_open_jws,
        attach=_attach_jws,
        detach=_detach_jws,
    ),
    SignatureFormat(
        name="sshsig",
        suffix=".sig",
        recognises=lambda head: head.startswith(b"-----BEGIN SSH SIGNATURE-----"),
        open=_open_sshsig,
        detach=_detach_sshsig,
    ),
    SignatureFormat(
        name="cose",
        suffix=".cose",
        recognises=lambda head: head[:1] in (b"\xd2", b"\x84") or head.startswith(b"\xd8\x3d"),
        open=_open_cose,
        attach=_attach_cose,
        detach=_detach_cose,
    ),
)
FORMATS: Final[Mapping[str, SignatureFormat]] = MappingProxyType({each.name: each for each in _ALL})


def format_named(name: str) -> SignatureFormat:
    """Misuse for one that is not there."""
    try:
        return FORMATS[name]
    except KeyError:
        raise Misuse(f"--format {name!r} is none of {', '.join(FORMATS)}") from None


def format_of(octets: bytes) -> SignatureFormat | None:
    """The format of octets that begin so; None where it is none of these."""
    head = octets[:HEAD_OCTETS]
    return next((each for each in FORMATS.values() if each.recognises(head)), None)


def opened_signature(octets: bytes, where: str) -> "Opened":
    """Parse a signature. where: names it in errors. Malformed."""
    found = format_of(octets)
    if found is None:
        raise Malformed(f"{where}: no signature in a form that is read here ({', '.join(FORMATS)})")
    try:
        return found.open(octets)
    except Malformed as error:
        raise Malformed(f"{where}: {error}") from None
