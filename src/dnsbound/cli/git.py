"""`dnsbound git`: commits and tags that are signed with the key of a DNS name."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error
from dnsbound.cli.git_settings import DEFAULT_DOOR, DOOR
from dnsbound.cli.git_ssh import PROGRAM
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dnsbound.edge.git_repository import Judged

app = typer.Typer(help="Git: commits and tags signed with the key of a DNS name.", no_args_is_help=True)

AccessOption = Annotated[Path, typer.Option("--access", help="The access list.", dir_okay=False)]
DoorOption = Annotated[str, typer.Option("--door", help="The door of the access list.")]


@app.command("setup", epilog=example("dnsbound git setup --access access.toml --credential car54.pem | sh"))
def setup(
    *,
    access: Annotated[Path | None, typer.Option("--access", help="The access list, to judge by.")] = None,
    credential: Annotated[str | None, typer.Option("--credential", help="Whose key to sign with: a PEM file.")] = None,
    door: DoorOption = DEFAULT_DOOR,
    everywhere: Annotated[bool, typer.Option("--global", help="For all repositories of this user.")] = False,
) -> None:
    """Print the commands that make Git sign, and judge signatures, by the DNS. Nothing is changed."""
    import shlex

    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    if program is None:
        raise Misuse(f"{PROGRAM} is not on the path: it is installed beside this program")
    if access is None and credential is None:
        raise Misuse("--access judges signatures and --credential makes them: one of them is needed")
    settings = [("gpg.format", "ssh"), ("gpg.ssh.program", program)]
    if access is not None:
        settings += [("gpg.ssh.allowedSignersFile", str(access.absolute())), (DOOR, door)]
    if credential is not None:
        named = credential if credential.startswith("pkcs11:") else str(Path(credential).absolute())
        settings += [("user.signingkey", named), ("commit.gpgsign", "true"), ("tag.gpgsign", "true")]
    scope = " --global" if everywhere else ""
    for key, value in settings:
        say(f"git config{scope} {key} {shlex.quote(value)}")


@app.command("verify", epilog=example("dnsbound git verify HEAD --access access.toml"))
def verify(
    revisions: Annotated[list[str], typer.Argument(metavar="REVISION...", help="Commits or tags.")],
    *,
    access: AccessOption,
    door: DoorOption = DEFAULT_DOOR,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Say who signed commits and tags of the repository one is in: a name of the access list, by its records of now."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.git_repository import GitRepository, judge
    from dnsbound.edge.git_signers import GitSigners

    repository = GitRepository(Path.cwd())
    objects = [repository.object_of(revision) for revision in revisions]
    listed = AccessFile(access)
    with opened_resolver(resolver, anchors) as asked:
        signers = GitSigners(listed, asked, door=door, deadline=timeout)
        outcomes = [judge(signers, kind, digest, octets) for kind, digest, octets in objects]
    raise typer.Exit(_told(outcomes, as_json=as_json))


@app.command("receive", epilog=example("dnsbound git receive --access /srv/git/access.toml"))
def receive(
    *,
    access: AccessOption,
    door: DoorOption = DEFAULT_DOOR,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
) -> None:
    """Be a pre-receive hook: a push comes in where every new commit and tag is signed by whom the access list permits.
    What takes refs away is Git's to permit (receive.deny* of git-config(1))."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.git_repository import GitRepository, judge_push
    from dnsbound.edge.git_signers import GitSigners

    lines = sys.stdin.read()
    listed = AccessFile(access)
    with opened_resolver(resolver, anchors) as asked:
        signers = GitSigners(listed, asked, door=door, deadline=timeout)
        outcomes = judge_push(GitRepository(Path.cwd()), signers, lines)
    raise typer.Exit(_told(outcomes, as_json=False, quiet=True))


@app.command("allowed-signers", epilog=example("dnsbound git allowed-signers --access access.toml > allowed_signers"))
def allowed_signers(
    *,
    access: AccessOption,
    door: DoorOption = DEFAULT_DOOR,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
) -> None:
    """Print ssh-keygen's file of allowed signers, for those who judge without this program: the keys of the exact names
    of a door that publish theirs in full (`3 1 0`, `3 0 0`), as they are now."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.allowed_signers import allowed_lines

    listed = AccessFile(access)
    with opened_resolver(resolver, anchors) as asked:
        lines, errors = allowed_lines(listed.current(), asked, door=door, deadline=timeout)
    for line in lines:
        say(line)
    for name, error in errors:
        advise(f"{name}: {error}")
    if errors:
        raise typer.Exit(max(exit_code_of_error(error) for _, error in errors))


def _told(outcomes: "Iterable[Judged]", *, as_json: bool, quiet: bool = False) -> ExitCode:
    """A line for each; the worst of them is the exit code. quiet: no line for what is well signed."""
    worst = ExitCode.YES
    for outcome in outcomes:
        error = outcome.error
        code = ExitCode.YES if error is None else exit_code_of_error(error)
        # A no is a no, whatever else could not be found out.
        worst = code if worst is ExitCode.YES or code is ExitCode.NO else worst
        if as_json:
            emit(_facts(outcome, code))
        elif error is not None:
            advise(f"{outcome.kind} {outcome.digest[:12]}: {line_of_error(error)}")
        elif not quiet and outcome.verified is not None:
            say(f"{outcome.kind} {outcome.digest[:12]}: {outcome.verified.name.canonical}")
    return worst


def _facts(outcome: "Judged", code: ExitCode) -> dict[str, object]:
    error, verified = outcome.error, outcome.verified
    reason = getattr(error, "reason", None)
    return {
        "object": outcome.digest,
        "kind": outcome.kind,
        "outcome": {ExitCode.YES: "yes", ExitCode.UNDECIDED: "undecided"}.get(code, "no"),
        "name": None if verified is None else verified.name.canonical,
        "record": None if verified is None else verified.peer.record.to_text(),
        "reason": None if reason is None else reason.value,
        "detail": "" if error is None else str(error),
    }
