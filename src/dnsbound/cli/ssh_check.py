"""`dnsbound ssh check`: whether sshd would run the program of an AuthorizedKeysCommand, and the service answers.

sshd runs it only where the program and every directory above it are root's and for nobody else to write
(sshd_config(5), AuthorizedKeysCommand; safe_path of OpenSSH). It says so in its log alone, and lets nobody in.
"""

import os
import stat
from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.options import JsonOption, example
from dnsbound.cli.output import emit, say
from dnsbound.errors import DnsboundError

EPILOG = example("dnsbound ssh check /usr/bin/curl --socket /run/dnsbound/ssh.sock")


def check(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="The program of AuthorizedKeysCommand.")],
    *,
    socket: Annotated[
        Path | None, typer.Option("--socket", help="Ask the verify service here, too, as the user who runs this.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would keep sshd from asking whose a key is. Exit codes: 0 nothing, 1 something."""
    faults = list(path_faults(program))
    if socket is not None:
        faults += _service_faults(socket)
    if as_json:
        emit({"program": str(program), "faults": faults})
    else:
        for fault in faults:
            say(fault)
        if not faults:
            say(f"sshd runs {program.resolve()}")
    raise typer.Exit(ExitCode.NO if faults else ExitCode.YES)


def path_faults(program: Path, *, owner: int = 0) -> list[str]:
    """What sshd would say of the path. owner: whose everything must be."""
    if not program.is_absolute():
        return [f"{program} is no absolute path"]
    try:
        resolved = program.resolve(strict=True)
        faults = [] if os.access(resolved, os.X_OK) and resolved.is_file() else [f"{resolved} is no program"]
        for place in (resolved, *resolved.parents):
            status = place.stat()
            if status.st_uid != owner:
                faults.append(f"{place} belongs to another user than root")
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                faults.append(f"{place} may be written by others (mode {stat.S_IMODE(status.st_mode):04o})")
    except OSError as error:
        return [f"{program}: {(error.strerror or str(error)).lower()}"]
    return faults


def _service_faults(socket: Path) -> list[str]:
    from dnsbound.edge.authz_client import ask

    try:
        reply = ask(socket, "/ssh/authorized-keys", {}, seconds=5.0)
    except DnsboundError as error:
        return [str(error)]
    return [] if reply.status == 200 else [f"{socket}: the service answers {int(reply.status)}: is it a front for ssh?"]
