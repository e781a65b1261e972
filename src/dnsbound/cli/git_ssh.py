"""`dnsbound-git-ssh`: what Git runs in place of ssh-keygen (`gpg.ssh.program`): signatures are judged by the DNS.

    -Y sign -n git -f CREDENTIAL FILE                       writes FILE.sig
    -Y find-principals -f ACCESS -s SIGNATURE               prints the names whose records are the signature's key
    -Y verify -n git -f ACCESS -I NAME -s SIGNATURE         judges what is on standard input
    -Y check-novalidate -n git -s SIGNATURE                 says whose key it is, and that nobody was asked

The file that Git calls allowed signers is the access list, and `dnsbound.door` of Git's configuration says the door
(`git` without it). Git gives a moment, `-Overify-time`; it is not looked at: a name's records are those of now.
Exit codes as everywhere; Git knows good and not good. Written for Git 2.34 and later. Documents: ssh-keygen(1);
gpg.ssh.* of git-config(1).
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error
from dnsbound.cli.git_settings import SECONDS, configured_door, configured_resolver
from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dnsbound.edge.git_signers import GitSigners
    from dnsbound.objects.sshsig import SshSignature

PROGRAM: Final = "dnsbound-git-ssh"
_PIECE: Final = 1 << 20
_WITH_VALUE: Final = frozenset("YnfsIOr")


@dataclass(frozen=True, slots=True)
class Called:
    """The arguments. words: what is no option."""

    options: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, arguments: list[str]) -> "Called":
        """As ssh-keygen's own, for the options that Git uses. Misuse for others."""
        options: dict[str, str] = {}
        words: list[str] = []
        rest = iter(arguments)
        for argument in rest:
            letter, value = argument[1:2], argument[2:]
            if not argument.startswith("-") or argument == "-":
                words.append(argument)
            elif letter in _WITH_VALUE:
                options[letter] = value or next(rest, "")
            elif argument == "-U":
                options["U"] = ""
            else:
                raise Misuse(f"{argument}: {PROGRAM} is run by Git, with the options of ssh-keygen -Y")
        return cls(options, tuple(words))

    def needed(self, letter: str) -> str:
        if not self.options.get(letter):
            raise Misuse(f"-{letter} is missing")
        return self.options[letter]


def main() -> None:
    """Entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One call; its exit code. Every error is one line."""
    try:
        called = Called.parse(arguments)
        _operation(called)(called)
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 (the one place where every error becomes a line)
        # Git takes "usage:" for an ssh-keygen that is too old.
        sys.stderr.write(f"{PROGRAM}: {line_of_error(error)}\n")
        return exit_code_of_error(error)
    return ExitCode.YES


def _sign(called: Called) -> None:
    """Git's file holds what is to be signed; the signature goes beside it."""
    from dnsbound.cli.ssh_files import opened_credential
    from dnsbound.objects.sshsig import GIT, digest_of, make

    if "U" in called.options:
        raise Misuse("user.signingkey names the file of a credential, not a public key for an agent")
    if called.needed("n") != GIT or len(called.words) != 1:
        raise Misuse(f"{PROGRAM} signs one file for Git")
    credential = opened_credential(called.needed("f"))
    source = Path(called.words[0])
    with source.open("rb") as file:
        digest = digest_of(iter(lambda: file.read(_PIECE), b""))
    made = make(digest, credential.signer, namespace=GIT)
    source.with_name(f"{source.name}.sig").write_text(made.to_text(), encoding="ascii")


def _find_principals(called: Called) -> None:
    signature = _signature(called)
    with _signers(called) as signers:
        names = signers.names_of(signature.key)
    if not names:
        from dnsbound.errors import Reason, Refused

        raise Refused(Reason.NOT_PERMITTED, f"{signature.key.fingerprint} is the key of nobody who may sign here")
    sys.stdout.writelines(f"{name.canonical}\n" for name in names)


def _verify(called: Called) -> None:
    from dnsbound.names import ClientName

    signature, name = _signature(called), ClientName.parse(called.needed("I"))
    _check_namespace(called)
    digest = signature.digest_of(_standard_input())
    with _signers(called) as signers:
        verified = signers.verify_as(name, signature, digest)
    sys.stdout.write(
        f'Good "{signature.namespace}" signature for {verified.name.canonical}'
        f" with {_kind(signature)} key {signature.key.fingerprint}\n"
    )


def _check_novalidate(called: Called) -> None:
    """Git asks this for signatures that are nobody's, to show the key."""
    from dnsbound.credential.signature import BadSignature

    signature = _signature(called)
    if _check_namespace(called) != signature.namespace:
        raise BadSignature(f"the signature is for {signature.namespace!r}")
    signature.check(signature.digest_of(_standard_input()))
    kind, fingerprint = _kind(signature), signature.key.fingerprint
    sys.stdout.write(f'Good "{signature.namespace}" signature with {kind} key {fingerprint}\n')


_OPERATIONS: Final = {
    "sign": _sign,
    "find-principals": _find_principals,
    "verify": _verify,
    "check-novalidate": _check_novalidate,
}


def _operation(called: Called) -> "Callable[[Called], None]":
    try:
        return _OPERATIONS[called.options.get("Y", "")]
    except KeyError:
        raise Misuse(f"-Y is one of {', '.join(_OPERATIONS)}") from None


def _check_namespace(called: Called) -> str:
    from dnsbound.objects.sshsig import GIT

    if called.needed("n") != GIT:
        raise Misuse(f"{PROGRAM} judges what was signed for {GIT}")
    return GIT


def _signature(called: Called) -> "SshSignature":
    from dnsbound.cli.key_material import read_octets
    from dnsbound.objects.sshsig import SshSignature

    source = called.needed("s")
    try:
        return SshSignature.from_text(read_octets(source).decode("ascii", "replace"))
    except Malformed as error:
        raise Malformed(f"{source}: {error}") from None


@contextmanager
def _signers(called: Called) -> "Iterator[GitSigners]":
    """The door of the access list that Git calls its file of allowed signers."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.git_signers import GitSigners

    listed = AccessFile(called.needed("f"))
    with configured_resolver() as asked:
        yield GitSigners(listed, asked, door=configured_door(), deadline=SECONDS)


def _standard_input() -> "Iterator[bytes]":
    return iter(lambda: sys.stdin.buffer.read(_PIECE), b"")


def _kind(signature: "SshSignature") -> str:
    """As ssh-keygen calls it."""
    kind = signature.key.kind
    return "ECDSA" if kind.startswith("ecdsa") else kind.removeprefix("ssh-").upper()


if __name__ == "__main__":
    main()
