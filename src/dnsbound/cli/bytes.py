"""`dnsbound bytes`: how many octets a mutual handshake costs, by version, credentials, keys and key exchange."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.options import JsonOption
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from dnsbound.cli.bytes_report import Row
    from dnsbound.testing.octet_combinations import Combination

    Word = TypeVar("Word", bound=StrEnum)

_IPV6_MINIMUM = 1280


def measure(
    *,
    version: Annotated[
        list[str] | None, typer.Option("--version", help="tls13, tls12, dtls12 or dtls13; may be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="p256, ed25519, rsa2048, ml-dsa-44 or ml-dsa-65; may be repeated.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="X25519 or X25519MLKEM768.")] = None,
    client: Annotated[
        list[str] | None, typer.Option("--client", help="What the client shows: chain, self-signed or raw.")
    ] = None,
    server: Annotated[list[str] | None, typer.Option("--server", help="What the server shows.")] = None,
    name: Annotated[
        bool | None, typer.Option("--name/--no-name", help="Clients that say a name, or none.", show_default="both")
    ] = None,
    chains: Annotated[
        bool | None,
        typer.Option("--chains/--no-chains", help="Handshakes with DNSSEC chains, or without.", show_default="both"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Choose from all combinations, not from the telling ones alone.")
    ] = False,
    mtu: Annotated[
        int, typer.Option("--mtu", help="Octets of an IPv6 packet on the link: cuts segments, datagrams, fragments.")
    ] = _IPV6_MINIMUM,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a table for documents.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a picture: FILE.svg or FILE.png.", dir_okay=False)
    ] = None,
) -> int:
    """Measure the octets of mutual handshakes, in memory, between two ends of this package.

    From the first ClientHello to the last Finished, DTLS with its cookies. What this version cannot do is shown with
    the reason. The ratio is to X.509 chains on both ends, without a name, in the same version with the same keys.
    """
    from dnsbound.testing.octet_combinations import Form, Group, Key, Version, standard
    from dnsbound.testing.octet_combinations import every as whole_product

    if as_json + as_csv + as_markdown > 1:
        raise typer.BadParameter("choose one of --json, --csv and --markdown")
    if plot is not None:
        from dnsbound.cli.bytes_plot import check_plot

        check_plot(plot)
    wanted = {
        "version": _words(version, Version, "--version"),
        "key": _words(key, Key, "--key"),
        "group": _words(group, Group, "--group"),
        "client": _words(client, Form, "--client"),
        "server": _words(server, Form, "--server"),
        "named": None if name is None else {name},
    }
    chosen = [
        combination
        for combination in (whole_product() if every else standard())
        if all(values is None or getattr(combination, field) in values for field, values in wanted.items())
        and (chains is None or chains == (combination.carried or combination.server_chain))
    ]
    if not chosen:
        raise typer.BadParameter("there is no such combination among the telling ones: try --all")
    rows = _measured(chosen, mtu)
    _show(rows, mtu, as_json=as_json, as_csv=as_csv, as_markdown=as_markdown)
    if plot is not None:
        from dnsbound.cli.bytes_plot import draw

        draw(rows, plot, mtu=mtu)
    return ExitCode.NO if any(row.failed for row in rows) else ExitCode.YES


def _words(given: list[str] | None, kind: "type[Word]", option: str) -> "set[Word] | None":
    if not given:
        return None
    known = {_plain(word.value): word for word in kind}
    unknown = [word for word in given if _plain(word) not in known]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(kind)}", param_hint=option)
    return {known[_plain(word)] for word in given}


def _plain(word: str) -> str:
    """Words in the many ways people write them: ML-DSA-65, mldsa65."""
    return word.lower().replace("-", "")


def _measured(chosen: "list[Combination]", mtu: int) -> "list[Row]":
    from dnsbound.cli.bytes_report import Row
    from dnsbound.testing.octet_measure import CannotMeasureError, Measuring, Octets

    measuring = Measuring(mtu=mtu)
    known: dict[Combination, Octets | str] = {}

    def octets(combination: "Combination") -> "Octets | str":
        if combination not in known:
            try:
                known[combination] = measuring.octets(combination)
            except (Misuse, CannotMeasureError) as error:
                known[combination] = str(error)
        return known[combination]

    return [
        Row(combination, octets(combination), octets(combination.baseline)) for combination in _with_progress(chosen)
    ]


def _with_progress(chosen: "list[Combination]") -> "Iterable[Combination]":
    from rich.console import Console
    from rich.progress import track

    return track(
        chosen,
        description="handshakes",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _show(rows: "list[Row]", mtu: int, *, as_json: bool, as_csv: bool, as_markdown: bool) -> None:
    from dnsbound.cli import bytes_report
    from dnsbound.cli.output import console, emit, say

    if as_json:
        emit({"mtu": mtu, "handshakes": [row.facts for row in rows]})
    elif as_csv:
        say(bytes_report.as_csv(rows))
    elif as_markdown:
        say(bytes_report.as_markdown(rows))
    else:
        console().print(bytes_report.as_table(rows))
        say(bytes_report.footnote(mtu))
