"""OpenSSH public keys: `.pub` files and `authorized_keys` (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

What is taken is the key, for TLS; options restrict logins by SSH and are not carried over. Keys that only sign what
OpenSSH gives them (`sk-...`, of FIDO tokens), certificates and DSA are told apart and refused.
"""

import re
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from dnsbound.limits import ADOPTED_ROW_OCTETS
from dnsbound.provision.adoption.bounded_lines import bounded_lines, whole
from dnsbound.provision.adoption.candidate import BadRow, Candidate, Problem, Row, RowFault, Shown
from dnsbound.provision.adoption.source import Source

_KEY: Final = re.compile(
    r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]{1,60})\s+([A-Za-z0-9+/]+={0,2})(?:\s+(.*))?$", re.DOTALL
)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_TAKEN: Final = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)


def looks_like_openssh(line: str) -> bool:
    """Whether a line that is neither empty nor a comment holds an OpenSSH public key."""
    return _key_of(line) is not None


def read_openssh(source: Source) -> Iterator[Row]:
    """A row for each key."""
    limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
    for number, octets in bounded_lines(source.stream, limit):
        where = source.at(number)
        try:
            line = _text(whole(octets, limit))
            if line and not line.startswith("#"):
                yield _candidate(line, where, source.stem)
        except RowFault as fault:
            yield BadRow(where=where, problem=fault.problem, detail=fault.detail)


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise RowFault(Problem.ENCODING, "not UTF-8") from None


def _key_of(line: str) -> re.Match[str] | None:
    # Options may quote anything, what looks like a key included: their place is kept and their text is not.
    return _KEY.search(_QUOTED.sub(lambda quoted: "_" * len(quoted[0]), line))


def _candidate(line: str, where: str, stem: str | None) -> Candidate:
    found = _key_of(line)
    if found is None:
        problem = Problem.PRIVATE_KEY if "PRIVATE KEY" in line else Problem.UNREADABLE
        raise RowFault(problem, "no OpenSSH public key")
    kind, body = found[1], found[2]
    if kind not in _TAKEN:
        raise RowFault(Problem.CANNOT_SIGN, f"{kind}: such keys do not sign for TLS")
    try:
        key = load_ssh_public_key(f"{kind} {body}".encode("ascii"))
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: a compressed point
        raise RowFault(Problem.UNREADABLE, f"the {kind} key does not parse") from None
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise RowFault(Problem.UNREADABLE, f"{kind} holds another kind of key")
    comment = None if found[3] is None else line[found.start(3) : found.end(3)].strip()
    shown = Shown(comment=comment or None, file_name=stem)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Candidate(where=where, spki=spki, shown=shown)
