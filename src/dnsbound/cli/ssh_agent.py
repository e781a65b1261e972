"""`dnsbound ssh agent` and `ssh key`: ssh uses a credential's key, wherever that is, or a copy of it in a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.options import example
from dnsbound.cli.output import say
from dnsbound.cli.ssh_files import CredentialOption, opened_credential, read_certificate
from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from dnsbound.credential.ssh_key import SshKey
    from dnsbound.protocols.ssh_agent import AgentIdentity

EPILOG = example("dnsbound ssh agent --credential car54.pem --socket $XDG_RUNTIME_DIR/car54.sock")


def agent(
    *,
    credential: CredentialOption,
    socket: Annotated[Path, typer.Option("--socket", help="Where ssh finds it: SSH_AUTH_SOCK, or IdentityAgent.")],
    certificate: Annotated[
        list[str] | None, typer.Option("--certificate", help="An SSH certificate of the key; may be repeated.")
    ] = None,
) -> None:
    """Serve a credential's key to ssh until it is ended. It signs logins and SSHSIG, and nothing else."""
    import asyncio
    import signal

    from dnsbound.edge.ssh_agent import SshAgent

    identity = _identity(credential, certificate or [])

    async def serve() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        async with SshAgent(identity, socket) as served:
            say(f"SSH_AUTH_SOCK={served.path.absolute()}; {identity.key.fingerprint}")
            sys.stdout.flush()
            await ended.wait()

    asyncio.run(serve())


def _identity(credential: str, certificates: list[str]) -> "AgentIdentity":
    from dnsbound.credential.ssh_key import SshKey
    from dnsbound.protocols.ssh_agent import AgentIdentity

    held = opened_credential(credential)
    key = SshKey.from_spki(held.spki)
    return AgentIdentity(
        signer=held.signer,
        key=key,
        comment="dnsbound" if held.name is None else held.name.canonical,
        certificates=tuple(_certificate(source, key) for source in certificates),
    )


def _certificate(source: str, key: "SshKey") -> bytes:
    found = read_certificate(source)
    if found.key != key:
        raise Malformed(f"{source}: the certificate is of another key")
    return found.blob


def write_key(
    *,
    credential: CredentialOption,
    out: Annotated[Path, typer.Option("--out", help="File to write, for its owner alone; FILE.pub beside it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files of these names.")] = False,
) -> None:
    """Write a credential's key as OpenSSH's own file. ssh loads no Ed25519 key of other forms; `ssh agent` needs no
    copy of the key."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from dnsbound.credential.ssh_key import SshKey
    from dnsbound.edge.secret_files import write_public_file, write_secret_file

    held = opened_credential(credential)
    if held.private_key is None:
        raise Misuse("the key is on a token and stays there: `dnsbound ssh agent` lets ssh use it")
    public = SshKey.from_spki(held.spki)
    octets = held.private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_secret_file(out, octets, replace=force)
    comment = "" if held.name is None else f" {held.name.canonical}"
    write_public_file(out.with_name(f"{out.name}.pub"), f"{public.to_text()}{comment}\n".encode("ascii"))
    say(f"{public.fingerprint} {out}")
