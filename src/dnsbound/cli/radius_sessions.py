"""`dnsbound radius`: who is in which network, since when and how much; ending sessions; forgetting old ones.

It reads the accounting database of a RADIUS server, named in its radius.toml or by --database. The server need not run.
"""

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.options import JsonOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.times import Moment, iso, moment_of_text, seconds_of_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.edge.dynamic_authorisation import Disconnection
    from dnsbound.edge.radius_configuration import RadiusConfiguration
    from dnsbound.provision.accounting.entries import AdmissionRow
    from dnsbound.provision.accounting.ledger import Ledger

app = typer.Typer(help="Sessions of a RADIUS server: who is in, who was, ending them.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="DNSBOUND_RADIUS", metavar="FILE", help="The server's radius.toml.", show_default=False
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="DNSBOUND_ACCOUNTING",
        metavar="PLACE",
        help="The accounting database: a file, or postgresql://USER@HOST/DATABASE.",
        show_default="the one in radius.toml",
    ),
]
NetworkOption = Annotated[
    str | None, typer.Option("--network", help="Only in this network, by its label.", show_default=False)
]


@app.command(
    "sessions",
    epilog=example(
        "dnsbound radius sessions --config radius.toml --live",
        "dnsbound radius sessions --name car54._device.cars.example --since 7d --json",
    ),
)
def sessions(
    *,
    live: Annotated[bool, typer.Option("--live", help="Only those that are in now.")] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only of this client.")] = None,
    network: NetworkOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only those in at or after it: 2027-01-31T12:00:00Z, or 7d ago."),
    ] = None,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List who was let into networks, in order; with --json one object per line."""
    from dnsbound.provision.accounting.reading import Wanted, find

    wanted = Wanted(
        name=None if name is None else _client(name).canonical,
        network=network,
        since=None if since is None else _moment(since, now=time.time()),
        live=live,
    )
    with _opened(config, database) as ledger:
        for row in find(ledger, wanted):
            if as_json:
                emit(_as_json(row))
            else:
                _tell(row)


@app.command("disconnect", epilog=example("dnsbound radius disconnect car54._device.cars.example --config radius.toml"))
def disconnect(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The client's whole DNS name.")],
    *,
    network: NetworkOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have access servers end all sessions of a name, now, and say what each answers.

    The client may come in again at once: take its name off the access list first, or its record out of the DNS.
    """
    from dnsbound.edge.ended_by_hand import end_sessions, note_end
    from dnsbound.provision.accounting.reading import Wanted, find

    if config is None:
        raise Misuse("radius.toml is needed (--config): it has the access servers' secrets")
    configuration = _configuration(config)
    client = _client(name).canonical
    with _opened(config, None) as ledger:
        rows = list(find(ledger, Wanted(name=client, network=network, live=True)))
        if not rows:
            advise(f"{client} is in no network.")
            raise typer.Exit(ExitCode.NO)
        outcomes = end_sessions(configuration, rows)
        for row, outcome in zip(rows, outcomes, strict=True):
            note_end(ledger, row, outcome, now=time.time())
            _tell_outcome(row, outcome, as_json=as_json)
    raise typer.Exit(_exit_code(outcomes))


@app.command("prune", epilog=example("dnsbound radius prune --keep 90d --config radius.toml"))
def prune(
    *,
    keep: Annotated[str, typer.Option("--keep", metavar="SPAN", help="What ended longer ago goes: 90d, 12h.")],
    config: ConfigOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget sessions that ended long ago, a few at a time; who is in stays."""
    before = time.time() - seconds_of_text(keep)
    with _opened(config, database) as ledger:
        gone = ledger.prune(before=before)
    if as_json:
        emit({"before": iso(before), "rows": gone})
    else:
        say(f"{gone:,} rows from before {iso(before)} are forgotten.")


@contextmanager
def _opened(config: Path | None, database: str | None) -> "Iterator[Ledger]":
    from dnsbound.provision.accounting.ledger import Ledger
    from dnsbound.provision.place import parse_place

    if database is None:
        if config is None:
            raise Misuse("name the server's radius.toml (--config) or its accounting database (--database)")
        database = _configuration(config).server.accounting_database
        if database is None:
            raise Misuse(f"{config}: [server] has no accounting_database, so nothing is kept")
    with Ledger.open(parse_place(database)) as ledger:
        yield ledger


def _configuration(config: Path) -> "RadiusConfiguration":
    from dnsbound.edge.radius_configuration import RadiusConfiguration

    return RadiusConfiguration.load(config)


def _client(text: str) -> ClientName:
    return ClientName.parse(text.removesuffix("."))


def _moment(text: str, *, now: Moment) -> Moment:
    try:
        return now - seconds_of_text(text)
    except Malformed:
        return moment_of_text(text)


def _exit_code(outcomes: "list[Disconnection]") -> ExitCode:
    if any(outcome.meaning is None for outcome in outcomes):
        return ExitCode.UNDECIDED
    return ExitCode.YES if all(outcome.is_over for outcome in outcomes) else ExitCode.NO


def _tell_outcome(row: "AdmissionRow", outcome: "Disconnection", *, as_json: bool) -> None:
    word = "silent" if outcome.meaning is None else outcome.meaning.value
    if as_json:
        emit({**_as_json(row), "outcome": word, "answer": outcome.said})
    else:
        say(f"{row.network}  {row.nas}  {row.calling_station}  {word}: {outcome.said}")


def _as_json(row: "AdmissionRow") -> dict[str, object]:
    report = row.report
    told: dict[str, object] = {
        "number": row.number,
        "name": row.name,
        "network": row.network,
        "client": row.client,
        "nas": row.nas,
        "calling_station": row.calling_station,
        "state": row.state.value,
        "admitted_at": iso(row.admitted_at),
        "expires_at": iso(row.expires_at),
        "ended_at": None if row.ended_at is None else iso(row.ended_at),
        "why": row.why,
    }
    if report is not None:
        told |= {
            "session": report.session,
            "started_at": iso(report.started_at),
            "heard_at": iso(report.heard_at),
            "stopped_at": None if report.stopped_at is None else iso(report.stopped_at),
            "seconds": report.seconds,
            "input_octets": report.input_octets,
            "output_octets": report.output_octets,
        }
    return told


def _tell(row: "AdmissionRow") -> None:
    until = f"until {iso(row.expires_at)} at most" if row.ended_at is None else f"to {iso(row.ended_at)}"
    why = f" ({row.why})" if row.why else ""
    say(f"{row.number}  {row.name}  {row.network}  {row.state.value}{why}  {iso(row.admitted_at)} {until}")
    report = row.report
    carried = "" if report is None else f"  {_size(report.input_octets)} in, {_size(report.output_octets)} out"
    say(f"    at {row.nas} ({row.client})  {row.calling_station}{carried}".rstrip())


def _size(octets: int) -> str:
    return f"{octets / 1_000_000:,.1f} MB"
