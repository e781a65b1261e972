"""`dnsbound-git-x509`: what Git runs in place of gpgsm (`gpg.x509.program`): signatures are judged by the DNS.

    --status-fd=2 -bsau CREDENTIAL                  signs standard input; the signature goes to standard output
    --status-fd=1 --verify SIGNATURE -              judges standard input, and says so in lines of status

The signer is who the certificate in the signature names, if the access list of `dnsbound.access` in Git's settings
lets that name sign at the door of `dnsbound.door` (`git` without it), and the records of the name are its key's. They
are the records of now, whatever the signature says of its time. Git's one letter for it: G good, B not signed by that
name, R its record was removed, E could not be decided, or nobody who may sign here.
Exit codes as everywhere. Documents: gpg.x509.program and gpg.format of git-config(1); doc/DETAILS of GnuPG for the
lines of status.
"""

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error
from dnsbound.cli.git_settings import SECONDS, configured_access, configured_door, configured_resolver
from dnsbound.errors import Misuse, Reason, Refused, Undecided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.objects.signed import SignedObject, VerifiedObject

PROGRAM: Final = "dnsbound-git-x509"
_STATUS: Final = "--status-fd="
_SIGN: Final = "-bsau"
_VERIFY: Final = "--verify"
_NOT_THE_NAMES: Final = frozenset({Reason.BAD_SIGNATURE, Reason.TLSA_MISMATCH})


@dataclass(frozen=True, slots=True)
class Called:
    """The arguments. operation: `-bsau` or `--verify`; operand: a credential, or the file of a signature."""

    operation: str
    operand: str
    status_fd: int

    @classmethod
    def parse(cls, arguments: list[str]) -> "Called":
        """As Git has them. Misuse for any others."""
        status, rest = "", arguments
        if rest and rest[0].startswith(_STATUS):
            status, rest = rest[0].removeprefix(_STATUS), rest[1:]
        if status not in ("1", "2"):
            raise Misuse(f"{PROGRAM} is run by Git: --status-fd is 1 or 2")
        if len(rest) == 2 and rest[0] == _SIGN:
            return cls(_SIGN, rest[1], int(status))
        if len(rest) == 3 and rest[0] == _VERIFY and rest[2] == "-":
            return cls(_VERIFY, rest[1], int(status))
        raise Misuse(f"{PROGRAM} is run by Git: {_SIGN} CREDENTIAL, or {_VERIFY} SIGNATURE -")

    def status(self, *lines: str) -> None:
        """Lines for Git, each after the end of another."""
        text = "".join(f"\n[GNUPG:] {line}" for line in lines) + "\n"
        os.write(self.status_fd, text.encode("ascii"))


def main() -> None:
    """Entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One call; its exit code. Every error is one line."""
    try:
        called = Called.parse(arguments)
        if called.operation == _SIGN:
            _sign(called)
        else:
            _verify(called)
    except Exception as error:  # noqa: BLE001 (the one place where every error becomes a line)
        sys.stderr.write(f"{PROGRAM}: {line_of_error(error)}\n")
        return exit_code_of_error(error)
    return ExitCode.YES


def _sign(called: Called) -> None:
    from dnsbound.cli.ssh_files import opened_credential
    from dnsbound.objects.cms import armor, signing

    now = time.time()
    credential = signing.certified(opened_credential(called.operand), now=now)
    made = signing.sign(sys.stdin.buffer.read(), credential, now=now, detached=True)
    sys.stdout.buffer.write(armor.to_pem(made, armor.GIT))
    sys.stdout.flush()
    fingerprint = sha256(credential.chain[0]).hexdigest().upper()
    called.status(f"SIG_CREATED D 1 8 00 {int(now)} {fingerprint}")


def _verify(called: Called) -> None:
    from dnsbound.cli.key_material import read_octets
    from dnsbound.objects.cms import octets_of, parse

    signed = parse(octets_of(read_octets(called.operand)), content=sys.stdin.buffer.read())
    fingerprint = _fingerprint(signed)
    try:
        with _verifier() as verifier:
            verified = verifier.verify_blocking(signed)
    except (Refused, Undecided) as error:
        called.status("NEWSIG", _word_of(error, signed, fingerprint))
        raise
    called.status("NEWSIG", *_good(verified, fingerprint))
    sys.stderr.write(f"Good signature for {verified.name.canonical} with {signed.algorithm} by the DNS\n")


def _good(verified: "VerifiedObject", fingerprint: str) -> tuple[str, ...]:
    signed_at = getattr(verified.content, "signing_time", None) or verified.verified_at
    day = time.strftime("%Y-%m-%d", time.gmtime(signed_at))
    return (
        f"GOODSIG {fingerprint} {verified.name.canonical}",
        f"VALIDSIG {fingerprint} {day} {int(signed_at)} 0 5 0 1 8 00 {fingerprint}",
        "TRUST_FULLY 0 shell",
    )


def _word_of(error: Refused | Undecided, signed: "SignedObject", fingerprint: str) -> str:
    """What Git has a letter for. A name that nobody was asked about is not called bad."""
    name = signed.name.canonical
    if error.reason in _NOT_THE_NAMES:
        return f"BADSIG {fingerprint} {name}"
    if error.reason is Reason.NO_TLSA:
        return f"REVKEYSIG {fingerprint} {name}"
    return f"ERRSIG {fingerprint} 1 8 00 {int(time.time())} 9"


def _fingerprint(signed: "SignedObject") -> str:
    """Of the certificate that came along."""
    chain = signed.presented.chain
    return sha256(chain[0] if chain else b"").hexdigest().upper()


@contextmanager
def _verifier() -> "Iterator[ObjectVerifier]":
    """The door of the access list, as Git's configuration and the environment say."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.object_verifier import ObjectVerifier

    listed = AccessFile(configured_access())
    with configured_resolver() as asked:
        yield ObjectVerifier(listed, asked, door=configured_door(), deadline=SECONDS)


if __name__ == "__main__":
    main()
