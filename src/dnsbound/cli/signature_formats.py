"""The formats `dnsbound sign` makes and `dnsbound verify` reads: one line each in FORMATS.

A format signs a payload that travels inside (`attach`), or content that goes by (`detach`), or both. Manifests, chunk
lists and other documents are payloads to it. What it reads it tells by the first octets.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.names import ClientName
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
    named_by: "Callable[[bytes], ClientName] | None" = None
    """Whom a certificate names in this format, mailboxes among them; None where the credential's own name counts."""


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


def _is_cms(head: bytes) -> bool:
    from dnsbound.objects.large.cms_content import is_cms

    return head[:1] in (b"0", b"-") and is_cms(head)


def _is_mail(head: bytes) -> bool:
    from dnsbound.objects.large.cms_content import is_mail

    return is_mail(head)


def _open_cms(octets: bytes) -> "Opened":
    from dnsbound.objects.large.cms_content import open_cms

    return open_cms(octets)


def _open_mail(octets: bytes) -> "Opened":
    from dnsbound.objects.large.cms_content import open_mail

    return open_mail(octets)


def _attach_cms(payload: bytes, credential: "Credential", *, typ: str | None, key_in_band: bool) -> bytes:
    from dnsbound.objects.large.cms_content import attach_cms

    _expect_key_in_band("cms", key_in_band=key_in_band)
    return attach_cms(payload, credential, typ=typ, now=time.time())


def _attach_mail(payload: bytes, credential: "Credential", *, typ: str | None, key_in_band: bool) -> bytes:
    from dnsbound.objects.large.cms_content import attach_mail

    _expect_key_in_band("smime", key_in_band=key_in_band)
    return attach_mail(payload, credential, typ=typ, now=time.time())


def _detach_cms(credential: "Credential", *, key_in_band: bool) -> "ContentSigning":
    from dnsbound.objects.large.cms_content import DetachedCms

    _expect_key_in_band("cms", key_in_band=key_in_band)
    return DetachedCms(credential, now=time.time())


def _named_by(certificate: bytes) -> "ClientName":
    from dnsbound.objects.cms.signer_certificate import signer_in

    return signer_in(certificate)


def _expect_key_in_band(name: str, *, key_in_band: bool) -> None:
    if not key_in_band:
        raise Misuse(f"--format {name} names the signer by the certificate that goes along: not with --no-key")


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
    SignatureFormat(
        name="cms",
        suffix=".p7s",
        recognises=_is_cms,
        open=_open_cms,
        attach=_attach_cms,
        detach=_detach_cms,
        named_by=_named_by,
    ),
    # The last: much begins like a header field.
    SignatureFormat(
        name="smime", suffix=".eml", recognises=_is_mail, open=_open_mail, attach=_attach_mail, named_by=_named_by
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
