"""`dnsbound decrypt`: open what was encrypted to a name, and say who sent it where it was signed first.

Nothing of a signed message is written before its signer is verified by the names or the door that were given.
"""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.encrypt import OutOption
from dnsbound.cli.expected_signer import (
    FromOption,
    SignerAccessOption,
    SignerDoorOption,
    is_anybody_expected,
    signer_verifier,
)
from dnsbound.cli.message_files import LARGEST_MESSAGE, read_message, write_message
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption
from dnsbound.cli.output import advise, emit
from dnsbound.errors import Malformed, Misuse, Reason, Refused

if TYPE_CHECKING:
    from dnsbound.credential.encryption_keys import DecryptionKey
    from dnsbound.objects.encryption import Opened
    from dnsbound.objects.signed import SignedObject, VerifiedObject


def decrypt(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file of `encrypt`; - for standard input.")],
    *,
    credential: Annotated[
        str, typer.Option("--credential", metavar="FILE", help="Credential, or file of `key encryption`.")
    ],
    names: FromOption = None,
    access: SignerAccessOption = None,
    door: SignerDoorOption = None,
    out: OutOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an encrypted file. --from or --door says who must have signed it; without them nobody may have."""
    from dnsbound.edge.credential_files import load_decryption_key

    key = load_decryption_key(credential)
    octets = read_message(source, LARGEST_MESSAGE)
    try:
        opened, signed = _opened(octets, key)
    except Malformed as error:
        raise Misuse(f"{source}: no message that could be opened: {error}") from error
    expected = is_anybody_expected(names, door)
    if signed is not None and not expected:
        raise Misuse(f"the message is signed, as {signed.name}: say who may have sent it (--from NAME, or --door DOOR)")
    if signed is None and expected:
        raise Refused(Reason.BAD_SIGNATURE, "the message is not signed: anybody may have sent it")
    verified = None
    if signed is not None:
        with opened_resolver(resolver, anchors) as asked:
            verified = signer_verifier(names, access, door, asked).verify_blocking(signed)
    plaintext = opened.plaintext if verified is None else verified.payload
    if out is not None:
        write_message(out, plaintext, secret=True)
    if as_json:
        _emit(opened, verified, plaintext, out)
        return
    if out is None:
        write_message(None, plaintext, secret=True)
    advise("It is not signed: anybody may have sent it." if verified is None else f"Signed by {verified.name}.")


def _opened(octets: bytes, key: "DecryptionKey") -> "tuple[Opened, SignedObject | None]":
    """What came out, and its signed part, if there is one. COSE begins with an array or a tag, which no text does."""
    from dnsbound.objects import cose
    from dnsbound.objects.cose import sealed as cose_sealed
    from dnsbound.objects.jose import jwe, sealed

    if octets[:1] >= b"\x80":
        opened = cose.decrypt(octets, key, limit=LARGEST_MESSAGE)
        inside = cose_sealed.signed_part(opened, limit=LARGEST_MESSAGE) if cose_sealed.is_sealed(opened) else None
        return opened, inside
    opened = jwe.decrypt(octets.strip(), key, limit=LARGEST_MESSAGE)
    return opened, sealed.signed_part(opened, limit=LARGEST_MESSAGE) if sealed.is_sealed(opened) else None


def _emit(opened: "Opened", verified: "VerifiedObject | None", plaintext: bytes, out: Path | None) -> None:
    stated = None if verified is not None or opened.stated_sender is None else opened.stated_sender.canonical
    where: dict[str, object] = {"file": str(out)}
    if out is None:
        where = {"plaintext": base64.b64encode(plaintext).decode("ascii")}
    emit(
        {
            "to": opened.recipient.canonical,
            "signer": None if verified is None else verified.name.canonical,
            "stated_sender": stated,
            "record": None if verified is None else verified.peer.record.to_text(),
            "content_type": _content_type(opened, verified),
            "algorithm": opened.algorithm,
            "encryption": opened.encryption,
            "octets": len(plaintext),
        }
        | where
    )


def _content_type(opened: "Opened", verified: "VerifiedObject | None") -> str | int | None:
    from dnsbound.objects.cose.cose_sign1 import Sign1
    from dnsbound.objects.jose.header import JoseHeader

    if verified is None:
        return opened.content_type
    content = verified.content
    if isinstance(content, Sign1):
        return content.content_type
    assert isinstance(content, JoseHeader)
    stated = content.members.get("cty")
    return stated if isinstance(stated, str) else None
