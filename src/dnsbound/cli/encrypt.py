"""`dnsbound encrypt`: encrypt a file to names, by the keys that their records publish; signed first, if asked."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dnsbound.cli.message_files import LARGEST, checked_format, read_message, write_message
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption
from dnsbound.cli.output import advise, emit
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.credential.presented import Presented
    from dnsbound.edge.resolver import Resolver
    from dnsbound.objects.encryption import Recipient

FormatOption: TypeAlias = Annotated[str, typer.Option("--format", help="jwe or cose.")]
OutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--out", help="File to write.", dir_okay=False, show_default="standard output"),
]


def encrypt(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help=f"What to encrypt, at most {LARGEST >> 20} MiB; - for standard input.")
    ],
    *,
    to: Annotated[list[str], typer.Option("--to", metavar="NAME", help="To whom; may be repeated.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Certificate or public key of the one recipient, where the DNS has a digest of it.",
        ),
    ] = None,
    sign_with: Annotated[
        str | None,
        typer.Option("--sign-with", metavar="CREDENTIAL", help="Sign it first, so that they know from whom."),
    ] = None,
    form: FormatOption = "jwe",
    content_type: Annotated[
        str | None, typer.Option("--content-type", help="Media type of what is encrypted, such as video/mp4.")
    ] = None,
    out: OutOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a file to names. The whole file is held in memory."""
    from dnsbound.edge.credential_files import load_credential

    checked_format(form)
    if key is not None and len(to) != 1:
        raise Misuse("--key is for one recipient; say --to once")
    credential = None if sign_with is None else load_credential(sign_with)
    given = None if key is None else _given(key)
    plaintext = read_message(source, LARGEST)
    with opened_resolver(resolver, anchors) as asked:
        recipients = _recipients(to, asked, form, timeout, given)
    message = _encrypted(plaintext, recipients, credential, form, content_type)
    if out is not None:
        write_message(out, message, secret=False)
    if as_json:
        _emit(message, recipients, credential, form, out)
        return
    if out is None:
        write_message(None, message, secret=False)
    if credential is None:
        advise("It is not signed: its recipients cannot know who sent it (--sign-with).")


def _given(source: str) -> "Presented":
    from dnsbound.cli.key_material import read_key_material
    from dnsbound.cli.match import presented_by

    return presented_by(read_key_material(source))


def _recipients(
    names: Sequence[str], resolver: "Resolver", form: str, timeout: float, given: "Presented | None"
) -> "list[Recipient]":
    from dnsbound.credential.encryption_keys import EncryptionKind
    from dnsbound.edge.recipient_keys import ANY_KIND, RecipientKeys

    kinds = ANY_KIND if form == "jwe" else tuple(kind for kind in EncryptionKind if kind.agrees)
    keys = RecipientKeys(resolver, kinds=kinds, deadline=timeout)
    found: dict[str, Recipient] = {}
    for name in names:
        recipient = keys.of_blocking(name.removesuffix("."), given=given)
        found[recipient.name.canonical] = recipient
    return list(found.values())


def _encrypted(
    plaintext: bytes,
    recipients: "Sequence[Recipient]",
    credential: "Credential | None",
    form: str,
    content_type: str | None,
) -> bytes:
    from dnsbound.objects import cose
    from dnsbound.objects.jose import jwe, sealed

    if form == "cose":
        if credential is None:
            return cose.encrypt(plaintext, recipients, content_type=content_type)
        return cose.seal(plaintext, credential, recipients, content_type=content_type)
    if credential is None:
        return jwe.encrypt(plaintext, recipients, cty=content_type).encode("ascii")
    return sealed.seal(plaintext, credential, recipients, content_type=content_type).encode("ascii")


def _emit(
    message: bytes, recipients: "Sequence[Recipient]", credential: "Credential | None", form: str, out: Path | None
) -> None:
    from hashlib import sha256

    where: dict[str, object] = {"file": str(out)}
    if out is None:
        where = {"message": message.decode("ascii") if form == "jwe" else base64.b64encode(message).decode("ascii")}
    emit(
        {
            "format": form,
            "to": [
                {"name": recipient.name.canonical, "key_sha256": sha256(recipient.spki).hexdigest()}
                for recipient in recipients
            ],
            "signer": None if credential is None or credential.name is None else credential.name.canonical,
            "octets": len(message),
        }
        | where
    )
