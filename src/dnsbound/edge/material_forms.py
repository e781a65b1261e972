"""The forms in which other servers read identities from files: for each form, from what was found to files by name.

Pure functions of `Material`: the same material gives the same files. Which material fits a form is said with the form.
A form of one file gives it under the name ""; it is there also when nobody is in it, for servers that insist on one.
"""

import ssl
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.credential.trust_store import subject_hash
from dnsbound.edge.enrolled_certificates import SUFFIX, file_stem
from dnsbound.edge.material import Material, MaterialKind
from dnsbound.errors import Malformed, Misuse
from dnsbound.protocols.ssh_keys import SshHost, account_of, accounts_of, authorized_line

Files: TypeAlias = dict[str, bytes]
WHOLE: Final = ""
"""The name of the one file of a form that has one."""
_PIN: Final = "hash://server/sha256/"
_OWNER_LABELS: Final = 3
"""`_22._tcp.` and a name."""


def _pem(certificate: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")


def _certificates(materials: Iterable[Material]) -> list[Material]:
    chosen = [material for material in materials if material.kind is MaterialKind.CERTIFICATE]
    return sorted(chosen, key=lambda material: material.key)


def hashed_directory(materials: Iterable[Material]) -> Files:
    """`capath` of OpenSSL's users (Mosquitto, FreeRADIUS): `<subject hash>.N`, N without gaps, because OpenSSL stops at
    the first that is missing."""
    files: Files = {}
    taken: dict[str, int] = defaultdict(int)
    for octets in dict.fromkeys(material.octets for material in _certificates(materials)):
        name = subject_hash(octets)
        files[f"{name}.{taken[name]}"] = _pem(octets)
        taken[name] += 1
    return files


def bundle(materials: Iterable[Material]) -> Files:
    """One PEM file of all certificates."""
    octets = dict.fromkeys(material.octets for material in _certificates(materials))
    return {WHOLE: b"".join(_pem(certificate) for certificate in octets)}


def by_name(materials: Iterable[Material]) -> Files:
    """A file of certificates for each name, which `EnrolledCertificates` reads."""
    files: Files = defaultdict(bytes)
    for material in _certificates(materials):
        files[f"{file_stem(material.name)}{SUFFIX}"] += _pem(material.octets)
    return dict(files)


def authorized_keys(materials: Iterable[Material]) -> Files:
    """`AuthorizedKeysFile DIRECTORY/%u`: a file for each account that some name's grants list."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for material in materials:
        key = material.ssh_key
        if key is None:
            continue
        for account in accounts_of(material.grants):
            try:
                found[account_of(account)].add(authorized_line(key, material.name, material.grants))
            except (Malformed, Misuse):
                continue  # Neither an account nor options that sshd would read as they were meant.
    return {account: "".join(sorted(lines)).encode("ascii") for account, lines in found.items()}


def known_hosts(materials: Iterable[Material]) -> Files:
    """`GlobalKnownHostsFile`: the keys of hosts, published at `_22._tcp.HOST` (or another port)."""
    lines = set()
    for material in materials:
        key, host = material.ssh_key, _host_of(material)
        if key is not None and host is not None:
            lines.add(host.known_line(key))
    return {WHOLE: "".join(sorted(lines)).encode("ascii")}


def _host_of(material: Material) -> SshHost | None:
    labels = material.name.canonical.split(".", 2)
    if len(labels) < _OWNER_LABELS or labels[1] != "_tcp" or not labels[0][1:].isdecimal() or labels[0][0] != "_":
        return None
    try:
        return SshHost.from_text(f"[{labels[2]}]:{labels[0][1:]}")
    except Malformed:
        return None


def server_pins(materials: Iterable[Material]) -> Files:
    """`ca_cert` of wpa_supplicant: a file for each name with the pins of its certificates, one in a line."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for material in materials:
        if material.kind is MaterialKind.PUBLIC_KEY:
            continue
        digest = material.octets if material.kind is MaterialKind.PIN else sha256(material.octets).digest()
        found[file_stem(material.name)].add(f"{_PIN}{digest.hex()}\n")
    return {f"{stem}.pin": "".join(sorted(lines)).encode("ascii") for stem, lines in found.items()}


FORMS: Final[Mapping[str, Callable[[Iterable[Material]], Files]]] = MappingProxyType(
    {
        "hashed-directory": hashed_directory,
        "bundle": bundle,
        "by-name": by_name,
        "authorized-keys": authorized_keys,
        "known-hosts": known_hosts,
        "server-pins": server_pins,
    }
)
"""By their word in authz.toml."""
ONE_FILE: Final = frozenset({"bundle", "known-hosts"})
TRUSTED: Final = frozenset({"hashed-directory", "bundle", "by-name"})
"""Forms whose certificates a server trusts, so that those alone are taken that are harmless there."""
