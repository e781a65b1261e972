"""Keys at the command line: fresh ones of this process, and those on tokens, by `pkcs11:` URI.

A PIN comes from the URI's file, the environment or a prompt, never from an argument.
"""

import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from dnsbound.errors import DnsboundError, Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.credential.keys import KeyAlgorithm
    from dnsbound.credential.pkcs11_uri import Pkcs11Uri
    from dnsbound.credential.signer import Signer
    from dnsbound.edge.pkcs11_keys import Pkcs11Key


def ask_pin(label: str) -> str:
    if not sys.stdin.isatty():
        raise Misuse(f"token {label!r} wants a PIN: give ?pin-source=/file in the URI, or DNSBOUND_PKCS11_PIN")
    pin: str = typer.prompt(f"PIN of token {label!r}", hide_input=True, err=True)
    return pin


def opened_key(uri: str) -> "Pkcs11Key":
    from dnsbound.edge.pkcs11_keys import Pkcs11Key

    return Pkcs11Key.open(uri, ask_pin=ask_pin)


@contextmanager
def new_key(uri: str | None, algorithm: str | None, *, label: str) -> "Iterator[Signer]":
    """A fresh key, or the one on a token, which is made there when there is none, under `label` unless the URI names
    one. What was made on the token is taken off again when the work with it fails."""
    from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
    from dnsbound.credential.pkcs11_uri import Pkcs11Uri
    from dnsbound.credential.signer import LocalSigner

    wanted = None if algorithm is None else KeyAlgorithm.parse(algorithm)
    if uri is None:
        yield LocalSigner(generate_private_key(wanted or KeyAlgorithm.P256))
        return
    where = Pkcs11Uri.parse(uri)
    if where.object is None and where.id is None:
        where = replace(where, object=label)
    key, is_fresh = _found_or_made(where, wanted)
    try:
        yield key
    except BaseException:
        if is_fresh:
            with suppress(DnsboundError):
                key.destroy()
        raise


def _found_or_made(uri: "Pkcs11Uri", algorithm: "KeyAlgorithm | None") -> "tuple[Pkcs11Key, bool]":
    from dnsbound.credential.keys import KeyAlgorithm, KeyFacts
    from dnsbound.edge.pkcs11_keys import NoSuchKey, Pkcs11Key

    try:
        found = Pkcs11Key.open(uri, ask_pin=ask_pin)
    except NoSuchKey:
        return Pkcs11Key.make(uri, algorithm or KeyAlgorithm.P256, ask_pin=ask_pin), True
    words = KeyFacts.from_spki(found.spki).algorithm
    if algorithm is not None and not algorithm.is_called(words):
        raise Misuse(f"{found.uri}: the key that is there is {words}, not {algorithm}")
    return found, False
