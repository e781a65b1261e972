"""What the commands for SSH read: credentials, public keys and certificates, as people hand them over."""

from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.key_material import parse_key_material, read_octets
from dnsbound.errors import Malformed

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.credential.ssh_certificate import SshCertificate
    from dnsbound.credential.ssh_key import SshKey

CredentialOption = Annotated[str, typer.Option("--credential", help="Whose key: a PEM file, or a pkcs11: URI.")]


def opened_credential(source: str) -> "Credential":
    """A token's PIN is asked for where there is a terminal. Malformed, Misuse."""
    from dnsbound.cli.hardware_key import ask_pin
    from dnsbound.edge.credential_files import load_credential

    return load_credential(source, ask_pin=ask_pin)


def read_ssh_key(source: str) -> "SshKey":
    """A line of a `.pub` file, or anything else that holds a key; - for standard input. OSError, Malformed; Misuse for
    an encrypted private key."""
    from dnsbound.credential.ssh_key import KINDS, SshKey

    octets = read_octets(source)
    where = _where(source)
    fields = octets.decode("utf-8", "replace").split(maxsplit=2)
    try:
        if len(fields) >= 2 and fields[0] in KINDS:
            return SshKey.from_text(fields[0], fields[1])
        return SshKey.from_spki(parse_key_material(octets, where).spki)
    except Malformed as error:
        told = str(error)
        raise Malformed(told if told.startswith(where) else f"{where}: {told}") from None


def read_certificate(source: str) -> "SshCertificate":
    """A line of a `-cert.pub` file; - for standard input. OSError, Malformed, BadSignature."""
    from dnsbound.credential.ssh_certificate import SshCertificate

    fields = read_octets(source).decode("utf-8", "replace").split(maxsplit=2)
    try:
        kind, text = (*fields, "", "")[:2]
        return SshCertificate.from_text(kind, text)
    except Malformed as error:
        raise Malformed(f"{_where(source)}: {error}") from None


def _where(source: str) -> str:
    return "standard input" if source == "-" else source
