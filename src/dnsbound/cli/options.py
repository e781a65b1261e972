"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

NameArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="Whole DNS name, such as car54._device.cars.example.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
InventoryOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--inventory",
        envvar="DNSBOUND_INVENTORY",
        metavar="PLACE",
        help="The inventory's file, or postgresql://USER@HOST/DATABASE.",
        show_default="in the XDG data directory",
    ),
]
ResolverOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--resolver",
        envvar="DNSBOUND_RESOLVER",
        help="Whom to ask: 192.0.2.1, 192.0.2.1:5300 or tls://192.0.2.1:853#name; may be repeated.",
        show_default="the system's",
    ),
]
AnchorsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--anchors",
        envvar="DNSBOUND_ANCHORS",
        help="File of trust anchors (DS or DNSKEY records).",
        show_default="the root's, built in",
    ),
]
TimeoutOption: TypeAlias = Annotated[
    float, typer.Option("--timeout", min=0.1, max=120, help="Seconds to wait for the DNS.")
]
UsageOption: TypeAlias = Annotated[
    str, typer.Option("--usage", help="Certificate usage: 0 to 3, or PKIX-TA, PKIX-EE, DANE-TA, DANE-EE.")
]
SelectorOption: TypeAlias = Annotated[str, typer.Option("--selector", help="0 or Cert, 1 or SPKI.")]
MatchingOption: TypeAlias = Annotated[
    str, typer.Option("--matching", help="Matching type: 0 or Full, 1 or SHA2-256, 2 or SHA2-512.")
]
TargetsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--targets",
        envvar="DNSBOUND_TARGETS",
        help="TOML file that says where zones are published.",
        dir_okay=False,
        show_default="the configuration file",
    ),
]
ReasonOption: TypeAlias = Annotated[
    str, typer.Option("--reason", help="Why; kept in the log of changes.", show_default=False)
]
TtlOption: TypeAlias = Annotated[
    int | None, typer.Option("--ttl", help="Seconds caches may keep the record.", show_default="the zone's")
]
CheckOption: TypeAlias = Annotated[
    bool, typer.Option("--check", help="Look at all that it needs, say what is wrong, and end.")
]
MetricsFileOption: TypeAlias = Annotated[
    Path | None, typer.Option("--metrics", help="Keep a file of Prometheus metrics up to date.", dir_okay=False)
]


def example(*commands: str) -> str:
    """The end of a help page."""
    return "Example: " + "  ·  ".join(commands)
