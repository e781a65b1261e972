"""Options of the commands about reports, and opening what they work on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from dnsbound.provision.reports.intake import Intake
    from dnsbound.provision.reports.outbox import Outbox

StoreOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="DNSBOUND_REPORTS",
        metavar="PLACE",
        help="The store of reports: a file, or postgresql://USER@HOST/DATABASE.",
        show_default=False,
    ),
]
CredentialOption: TypeAlias = Annotated[
    Path, typer.Option("--credential", help="PEM file with the own key and name.", show_default=False)
]


@contextmanager
def opened_intake(store: str, *, create: bool = False) -> Iterator["Intake"]:
    """A receiver's store, closed afterwards."""
    from dnsbound.provision.place import parse_place
    from dnsbound.provision.reports.intake import Intake

    with Intake.open(parse_place(store), create=create) as intake:
        yield intake


@contextmanager
def opened_outbox(store: str, *, create: bool = False) -> Iterator["Outbox"]:
    """A sender's store, closed afterwards."""
    from dnsbound.provision.place import parse_place
    from dnsbound.provision.reports.outbox import Outbox

    with Outbox.open(parse_place(store), create=create) as outbox:
        yield outbox


def moment_before(text: str, *, now: float) -> float:
    """A moment as people write it, or a span before now."""
    from dnsbound.times import moment_of_text, seconds_of_text

    try:
        return now - seconds_of_text(text)
    except Malformed:
        try:
            return moment_of_text(text)
        except Malformed:
            raise Misuse(f"{text[:40]!r} is neither a time like 2026-11-22T16:00:00Z nor a span like 90d") from None
