"""Credentials as plain PEM files: one file with key and certificates, or a key beside a certificate file.

The private key is in clear in its file, which therefore is for its owner alone (mode 0600). What the text means is
`Credential.from_pem`.
"""

import os

from dnsbound.credential.credential import Credential
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
    danger_readable_by_others: bool = False,
) -> Credential:
    """Read a credential. path: PEM with the private key and, unless `certificate` names a second file, the
    certificates, leaf first. name: needed where no certificate and no name line shows one. Misuse or Malformed, in one
    line that begins with the path."""
    pem = read_secret_file(path, danger_readable_by_others=danger_readable_by_others)
    if certificate is not None:
        pem += b"\n" + _certificates_only(certificate)
    try:
        return Credential.from_pem(pem, name=name, password=password)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error
    except Misuse as error:
        raise Misuse(f"{path}: {error}") from error


def save_credential(credential: Credential, path: PathText, *, force: bool = False) -> None:
    """Write a credential as one PEM file with mode 0600, whole or not at all. force: whether it may replace a file.

    Misuse, in one line that begins with the path, when it cannot be written; then nothing has changed.
    """
    write_secret_file(path, credential.to_pem(), replace=force)


def _certificates_only(path: PathText) -> bytes:
    pem = read_public_file(path)
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise Malformed(f"{path}: holds no certificate in PEM form")
    if b"PRIVATE KEY-----" in pem:
        raise Misuse(f"{path}: the certificate file holds a private key too; give that file alone")
    return pem
