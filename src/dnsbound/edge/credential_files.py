"""Credentials as plain PEM files: one file with key and certificates, a key beside a certificate file, or a file that
says on which token the key is.

A private key is in clear in its file, which therefore is for its owner alone (mode 0600); so is a file that refers to a
token, since it names the library that is loaded. What the texts mean: `Credential.from_pem`, `CredentialReference`.
"""

import os

from dnsbound.credential.credential import Credential, certificates_from_pem, stated_name
from dnsbound.credential.encryption_keys import DecryptionKey, is_encryption_key
from dnsbound.credential.pkcs11_uri import SCHEME, Pkcs11Uri
from dnsbound.credential.reference import CredentialReference
from dnsbound.edge.pkcs11_keys import Pkcs11Key
from dnsbound.edge.pkcs11_token import AskPin
from dnsbound.edge.secret_files import read_public_file, read_secret_file, write_secret_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

PathText = str | os.PathLike[str]


def load_credential(
    path: PathText,
    certificate: PathText | None = None,
    *,
    name: ClientName | str | None = None,
    password: bytes | None = None,
    ask_pin: AskPin | None = None,
    danger_readable_by_others: bool = False,
) -> Credential:
    """Read a credential. path: PEM with the private key and, unless `certificate` names a second file, the
    certificates, leaf first; or with a line that says on which token the key is; or such a `pkcs11:` URI itself. name:
    needed where no certificate and no name line shows one. ask_pin: asks a person for a token's PIN. Misuse or
    Malformed, in one line that begins with the path."""
    if isinstance(path, str) and path.startswith(SCHEME):
        return _on_token(Pkcs11Uri.parse(path), certificate, name, ask_pin)
    pem = read_secret_file(path, danger_readable_by_others=danger_readable_by_others)
    if certificate is not None:
        pem += b"\n" + _certificates_only(certificate)
    try:
        reference = CredentialReference.from_pem(pem, name=name)
        if reference is not None:
            return reference.completed(Pkcs11Key.open(reference.uri, ask_pin=ask_pin))
        return Credential.from_pem(pem, name=name, password=password)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error
    except Misuse as error:
        raise Misuse(f"{path}: {error}") from error


def save_credential(credential: Credential, path: PathText, *, force: bool = False) -> None:
    """Write a credential as one PEM file with mode 0600, whole or not at all; of a key on a token, where that
    is. force: whether it may replace a file.

    Misuse, in one line that begins with the path, when it cannot be written; then nothing has changed.
    """
    signer = credential.signer
    if isinstance(signer, Pkcs11Key):
        text = CredentialReference.of(credential, signer.uri).to_pem()
    else:
        text = credential.to_pem()
    write_secret_file(path, text, replace=force)


def load_decryption_key(path: PathText, *, name: ClientName | str | None = None) -> DecryptionKey:
    """Read the key that opens what was encrypted to a name: a file of `save_decryption_key`, or a credential whose own
    key can. name: needed where the file does not show one. Misuse or Malformed, in one line that begins with the
    path."""
    if isinstance(path, str) and path.startswith(SCHEME):
        raise Misuse(f"{path}: a key on a token signs, and opens nothing here")
    pem = read_secret_file(path)
    try:
        if is_encryption_key(pem):
            return DecryptionKey.from_pem(pem, name=name)
        credential = load_credential(path, name=name)
    except Malformed as error:
        raise Malformed(f"{path}: {error}" if not str(error).startswith(str(path)) else str(error)) from error
    try:
        return DecryptionKey.of(credential)
    except Misuse as error:
        raise type(error)(f"{path}: {error}") from error


def save_decryption_key(key: DecryptionKey, path: PathText) -> None:
    """Write the key as one PEM file with mode 0600. Misuse, in one line that begins with the path, when it cannot be
    written or is there already; then nothing has changed."""
    write_secret_file(path, key.to_pem())


def _on_token(
    uri: Pkcs11Uri, certificate: PathText | None, name: ClientName | str | None, ask_pin: AskPin | None
) -> Credential:
    key = Pkcs11Key.open(uri, ask_pin=ask_pin)
    pem = b"" if certificate is None else _certificates_only(certificate)
    chain = certificates_from_pem(pem)
    if isinstance(name, str):
        name = ClientName.parse(name)
    return Credential(name or stated_name(pem, chain), None, chain, signer=key)


def _certificates_only(path: PathText) -> bytes:
    pem = read_public_file(path)
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise Malformed(f"{path}: holds no certificate in PEM form")
    if b"PRIVATE KEY-----" in pem:
        raise Misuse(f"{path}: the certificate file holds a private key too; give that file alone")
    return pem
