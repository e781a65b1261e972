"""Commits and tags of Git as octets: what is signed, the signature in SSH's form, and whom the object names.

    found = GitObject.of_commit(octets)          # as `git cat-file commit` prints it
    found.payload, found.signature, found.claimed

A commit has its signature in a header, a tag at its end. What is signed is everything else, octet for octet. Strict
where Git is lax: one signature alone, so that no two readers see two different ones. The name that is claimed is the
domain of the committer's (tagger's) address: `fleet@car54._device.cars.example`; it is signed along. Most addresses
name no signer, and claim nothing.
What this is not: a look into trees, parents or messages; signatures by OpenPGP and X.509.
Documents: gitformat-signature(5), git-commit-tree(1).
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.names import ClientName
from dnsbound.object_limits import GIT_OBJECT_OCTETS
from dnsbound.objects.sshsig import FIRST_LINE

_SIGNATURES: Final = (b"gpgsig", b"gpgsig-sha256")
"""Of repositories with SHA-1 and with SHA-256."""
_ADDRESS: Final = re.compile(rb"[^<>\n]*<[^<>\n]*@([^<>@\n]+)>[^<>\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitObject:
    """signature: the text of the SSHSIG; None where there is none in this form."""

    payload: bytes
    signature: str | None
    claimed: ClientName | None

    @classmethod
    def of_commit(cls, octets: bytes) -> Self:
        """Malformed for several signatures; LimitExceeded."""
        head, body = _parts(octets)
        kept: list[bytes] = []
        signature: list[bytes] = []
        seen = 0
        in_signature = False
        for line in head:
            if in_signature and line.startswith(b" "):
                signature.append(line[1:])
                continue
            name, _, value = line.partition(b" ")
            in_signature = name in _SIGNATURES
            if in_signature:
                seen += 1
                signature.append(value)
            elif name.startswith(_SIGNATURES[0]):
                raise Malformed("Git commit: a header of signatures that is not known")
            else:
                kept.append(line)
        if seen > 1:
            raise Malformed("Git commit: it has several signatures")
        return cls(
            payload=b"".join(line + b"\n" for line in kept) + body,
            signature=_ssh_text(b"\n".join(signature)) if seen else None,
            claimed=_claimed(kept, b"committer"),
        )

    @classmethod
    def of_tag(cls, octets: bytes) -> Self:
        """Malformed for several signatures; LimitExceeded."""
        head, _ = _parts(octets)
        first = FIRST_LINE.encode("ascii")
        at = octets.find(b"\n" + first)
        if octets.count(b"\n" + first) > 1:
            raise Malformed("Git tag: it has several signatures")
        payload, signature = (octets, None) if at < 0 else (octets[: at + 1], octets[at + 1 :])
        return cls(
            payload=payload,
            signature=None if signature is None else _ssh_text(signature),
            claimed=_claimed(head, b"tagger"),
        )


def _parts(octets: bytes) -> tuple[list[bytes], bytes]:
    """The headers' lines, and the rest with the empty line that begins it."""
    if len(octets) > GIT_OBJECT_OCTETS.default:
        raise LimitExceeded(GIT_OBJECT_OCTETS.name, f"{len(octets)} octets")
    head, found, body = octets.partition(b"\n\n")
    if not found:
        raise Malformed("Git object: no empty line behind its headers")
    return head.split(b"\n"), b"\n" + body


def _ssh_text(octets: bytes) -> str | None:
    text = octets.decode("ascii", "replace")
    return text if text.startswith(FIRST_LINE) else None


def _claimed(head: list[bytes], header: bytes) -> ClientName | None:
    lines = [line for line in head if line.startswith(header + b" ")]
    found = _ADDRESS.fullmatch(lines[0]) if len(lines) == 1 else None
    if found is None:
        return None
    try:
        return ClientName.parse(found[1].decode("ascii"))
    except (Malformed, UnicodeDecodeError):
        return None
