"""`dnsbound verify`: who signed a file, a batch, a stream or a token, by looking the signer's name up.

There is no way to verify without saying who may have signed: --from names the signers, --access and --door an access
list. What the options mean is here; the work is in `dnsbound.cli.verifying` and `dnsbound.cli.verify_stream`.
"""

from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.access import AccessOption
from dnsbound.cli.expected_signer import expected_signers
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption
from dnsbound.errors import Misuse


def verify(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="What was signed, or a signature by itself; - for standard input."),
    ],
    *,
    signature: Annotated[
        str | None,
        typer.Option("--signature", metavar="FILE", help="The signature.", show_default="beside the file"),
    ] = None,
    signers: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NAME", help="Who may have signed; a name or pattern, may be repeated."),
    ] = None,
    access: AccessOption = None,
    door: Annotated[str | None, typer.Option("--door", metavar="DOOR", help="The door of the access list.")] = None,
    typ: Annotated[str | None, typer.Option("--typ", help="The type a token must have.", show_default="any")] = None,
    audience: Annotated[
        str | None, typer.Option("--audience", metavar="NAME", help="Whom a JWT or CWT must be meant for.")
    ] = None,
    payload: Annotated[bool, typer.Option("--payload", help="Print what was signed, once it is verified.")] = False,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Directory of a manifest's files.", file_okay=False, show_default="the manifest's"),
    ] = None,
    danger_unsigned_files: Annotated[
        bool, typer.Option("--danger-unsigned-files", help="Take a directory that has files nobody signed.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run of this ended.")] = False,
    follow: Annotated[
        float | None,
        typer.Option("--follow", metavar="SECONDS", help="Streams: wait so long for more to come.", min=0),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="FILE", help="Streams: write each segment there once it is verified; - too."),
    ] = None,
    max_age: Annotated[
        float | None,
        typer.Option("--max-age", metavar="SECONDS", help="Streams: refuse segments signed longer ago.", min=1),
    ] = None,
    stream: Annotated[str | None, typer.Option("--stream", metavar="ID", help="Streams: the one expected.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Archives: moment to judge by.", show_default="the receipt's"),
    ] = None,
    receivers: Annotated[
        list[str] | None,
        typer.Option("--receiver", metavar="NAME", help="Archives: whose word is taken for when it was received."),
    ] = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Say who signed, if it is somebody who may. Removing the signer's record ends what it signed as well."""
    from dnsbound.cli.archived import holds_archive, verify_archive
    from dnsbound.cli.opened import opened_resolver
    from dnsbound.cli.verifying import Asked, verify_all
    from dnsbound.edge.object_verifier import ObjectVerifier

    permitted, gate = expected_signers(signers, access, door)
    if len(files) == 1 and holds_archive(files[0]):
        verify_archive(
            files[0], permitted, door=gate, receivers=receivers or (), at=at, anchors=anchors, as_json=as_json
        )
        return
    if at is not None or receivers:
        raise Misuse("--at and --receiver are for an archive of `report export`: the DNS tells of now alone")
    if len(files) > 1 and (payload or output):
        raise Misuse("--payload and --output are for one file")
    asked = Asked(
        files=tuple(files),
        signature=signature,
        typ=typ,
        audience=audience,
        payload=payload,
        base=base,
        takes_unsigned=danger_unsigned_files,
        resume=resume,
        patience=follow,
        output=output,
        max_age=max_age,
        stream=stream,
        as_json=as_json,
    )
    with opened_resolver(resolver, anchors) as resolving:
        code = verify_all(asked, ObjectVerifier(permitted, resolving, door=gate, deadline=timeout))
    raise typer.Exit(code)
