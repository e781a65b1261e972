"""`dnsbound sign`: a file, a batch or standard input, signed with a credential's key in the credential's name.

Without options a file gets a signed manifest of its digest beside it, which any key can make of content of any size.
What the options mean is here; the work is in `dnsbound.cli.signing` and, of live streams, `dnsbound.cli.sign_stream`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.signing import STANDARD_INPUT, Signing, Way
from dnsbound.errors import Malformed, Misuse
from dnsbound.object_limits import SEGMENT_OCTETS, SEGMENT_SECONDS

if TYPE_CHECKING:
    from dnsbound.times import Moment


def sign(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Files or directories; - for standard input.", show_default=False),
    ],
    *,
    credential: Annotated[
        str,
        typer.Option(
            "--credential",
            envvar="DNSBOUND_CREDENTIAL",
            help="File with key and name, or a pkcs11: URI.",
            metavar="FILE",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="The signer, where the credential shows none.")] = None,
    signature_format: Annotated[
        str, typer.Option("--format", help="Of the signature: jws, cose, sshsig, cms, smime.")
    ] = "jws",
    attached: Annotated[bool, typer.Option("--attached", help="Put the content inside; so is standard input.")] = False,
    detached: Annotated[
        bool,
        typer.Option("--detached", help="Sign the octets themselves; needs an ECDSA, RSA or ML-DSA key in a file."),
    ] = False,
    chunks: Annotated[bool, typer.Option("--chunks", help="Sign digests of chunks: verified as they come.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Sign segment by segment while it is recorded.")] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", help="File of the signature, for all files together; - for standard output."),
    ] = None,
    path: Annotated[str | None, typer.Option("--path", help="What a manifest calls standard input.")] = None,
    media_type: Annotated[
        str | None, typer.Option("--type", help="Media type of the content.", show_default="by the file's name")
    ] = None,
    typ: Annotated[str | None, typer.Option("--typ", help="Type of an attached signature, for its readers.")] = None,
    begin: Annotated[str | None, typer.Option("--begin", help="When what it records began.", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--end", help="When it ended.", metavar="TIME")] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Leave the key out: the DNS has it (3 1 0, 3 0 0).")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run of this ended.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a signature that is there.")] = False,
    follow: Annotated[
        float | None,
        typer.Option("--follow", metavar="SECONDS", help="--stream: wait so long for a file to grow.", min=0),
    ] = None,
    copy: Annotated[
        Path | None, typer.Option("--copy", help="--stream: write standard input to this file too.", dir_okay=False)
    ] = None,
    segment_octets: Annotated[
        int, typer.Option("--segment-octets", help="--stream: a segment has so many at most.")
    ] = 1 << 20,
    segment_seconds: Annotated[
        float, typer.Option("--segment-seconds", help="--stream: a segment waits no longer.", min=0.1)
    ] = SEGMENT_SECONDS.default,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Sign files, so that anybody can verify them by looking up the signer's name."""
    from dnsbound.cli.hardware_key import ask_pin
    from dnsbound.cli.signature_formats import format_named
    from dnsbound.cli.signing import sign_files, sign_input
    from dnsbound.credential.credential import Credential
    from dnsbound.edge.content_signing import Described
    from dnsbound.edge.credential_files import load_credential

    way = _way(files, path=path, attached=attached, detached=detached, chunks=chunks, stream=stream)
    _expect_options_of(way, follow=follow, copy=copy, typ=typ)
    chosen = format_named(signature_format)
    described = Described(media_type=_media_type(media_type), begin=_moment(begin), end=_moment(end))
    own = load_credential(credential, name=name, ask_pin=ask_pin)
    if own.name is None and chosen.named_by is not None and own.chain:
        own = Credential(chosen.named_by(own.chain[0]), own.private_key, own.chain, signer=own.signer)
    if own.name is None:
        raise Misuse(f"{credential} shows no name: --name says it")
    signing = Signing(
        credential=own,
        format=chosen,
        way=way,
        described=described,
        typ=typ,
        key_in_band=not no_key,
        resume=resume,
        force=force,
        as_json=as_json,
    )
    if way is Way.STREAM:
        from dnsbound.cli.sign_stream import Recording, sign_stream_of

        recording = Recording(
            patience=follow or 0.0,
            copy=copy,
            octets=SEGMENT_OCTETS.checked(segment_octets),
            seconds=segment_seconds,
        )
        sign_stream_of(_only(files, "--stream"), out, signing, recording)
    elif STANDARD_INPUT in files:
        _only(files, "-")
        sign_input(out, path, signing)
    else:
        sign_files([Path(file) for file in files], out, signing)


def _way(files: list[str], *, path: str | None, attached: bool, detached: bool, chunks: bool, stream: bool) -> Way:
    wanted = {Way.ATTACHED: attached, Way.DETACHED: detached, Way.CHUNKS: chunks, Way.STREAM: stream}
    chosen = [way for way, is_wanted in wanted.items() if is_wanted]
    if len(chosen) > 1:
        raise Misuse(f"--{chosen[0]} and --{chosen[1]} are two ways to sign: choose one")
    if path is not None and (chosen or STANDARD_INPUT not in files):
        raise Misuse("--path is what a manifest calls standard input (-)")
    if chosen:
        return chosen[0]
    return Way.ATTACHED if STANDARD_INPUT in files and path is None else Way.MANIFEST


def _expect_options_of(way: Way, *, follow: float | None, copy: Path | None, typ: str | None) -> None:
    if way is not Way.STREAM and (follow is not None or copy is not None):
        raise Misuse("--follow and --copy belong to --stream")
    if way is not Way.ATTACHED and typ is not None:
        raise Misuse("--typ belongs to --attached: other signatures have a type of their own")


def _only(files: list[str], what: str) -> str:
    if len(files) != 1:
        raise Misuse(f"{what} goes alone: sign the other files by themselves")
    return files[0]


def _media_type(text: str | None) -> str | None:
    from dnsbound.objects.large.members import checked_media_type

    try:
        return None if text is None else checked_media_type(text)
    except Malformed as error:
        raise Misuse(f"--type: {error}") from None


def _moment(text: str | None) -> "Moment | None":
    from dnsbound.times import moment_of_text

    try:
        return None if text is None else moment_of_text(text)
    except Malformed as error:
        raise Misuse(f"--begin, --end: {error}") from None
