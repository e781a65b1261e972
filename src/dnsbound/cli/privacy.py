"""`dnsbound privacy`: what a stranger learns about a zone's clients without being let in anywhere."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.checks import Finding, Level
from dnsbound.cli.finding_output import tell_findings
from dnsbound.cli.opened import opened_inventory, opened_resolver
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ResolverOption, example
from dnsbound.cli.progress import progress_bar
from dnsbound.errors import DnsboundError
from dnsbound.provision.errors import InventoryMissing

if TYPE_CHECKING:
    from dnsbound.dns.canonical import Key
    from dnsbound.dns.hash_ring import HashRing
    from dnsbound.edge.stranger import Stranger
    from dnsbound.provision.guessability import LabelPatterns
    from dnsbound.provision.owner import OwnerName

app = typer.Typer(help="See what a zone gives away about its clients.", no_args_is_help=True)

_WALKABLE = "deny minimally (docs/howto/privacy.md says how, server by server), or give clients unguessable labels"
_MOST_SHOWN = 5


@app.callback()
def _group() -> None:
    """See what a zone gives away about its clients."""


@app.command(
    "report",
    epilog=example("dnsbound privacy report cars.example", "dnsbound privacy report cars.example --server 192.0.2.1"),
)
def report(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="A zone of yours, such as cars.example.")],
    *,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server", help="Address of an authoritative server; may be repeated.", show_default="found by NS"
        ),
    ] = None,
    names: Annotated[
        int, typer.Option("--names", min=1, max=1_000_000, help="How far to walk, or how many denials to collect.")
    ] = 200,
    guesses: Annotated[
        int, typer.Option("--guesses", min=0, max=10_000_000, help="Labels to try against collected hashes.")
    ] = 100_000,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=10_000, help="Questions a second, at most.")] = 50.0,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the servers of your own zone what any stranger may, and say what that tells about its clients.

    Nothing is changed. The inventory, where there is one, says how guessable its labels are.
    """
    import dns.name

    from dnsbound.edge.nameservers import ZoneServers, find_servers_blocking
    from dnsbound.edge.stranger import Stranger
    from dnsbound.provision.owner import OwnerName

    owner = OwnerName.parse(zone)
    if server:
        servers = ZoneServers.of(owner.absolute, server).servers
    else:
        with opened_resolver(resolver, anchors) as asked:
            servers = find_servers_blocking(owner.absolute, resolver=asked).servers
    patterns = _patterns(owner, inventory)

    def findings() -> Iterator[Finding]:
        yield from _about_labels(patterns)
        for one in servers:
            stranger = Stranger(one, dns.name.from_text(owner.absolute), per_second=rate)
            yield from _about_server(stranger, patterns, names, guesses)

    raise typer.Exit(tell_findings(findings(), as_json=as_json))


def _patterns(zone: "OwnerName", inventory: str | None) -> "LabelPatterns":
    """The forms of the active names at or below the zone; none without an inventory."""
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.guessability import LabelPatterns

    patterns = LabelPatterns()
    try:
        with opened_inventory(inventory) as store, progress_bar("reading names", None) as progress:
            for identity in store.identities.all(below=zone, state=IdentityState.ACTIVE):
                patterns.add(identity.name.canonical)
                progress(1)
    except InventoryMissing:
        pass
    return patterns


def _about_labels(patterns: "LabelPatterns") -> Iterator[Finding]:
    """How the clients of the inventory are named."""
    from dnsbound.provision.guessability import Guessing

    check = "labels"
    if not patterns.total:
        yield Finding(check=check, level=Level.OK, found="the inventory has no client there")
        return
    guessable = patterns.total - patterns.counted(Guessing.RANDOM) - patterns.others
    if not guessable:
        found = f"{patterns.total} clients, none with a label that shows how to guess another"
        yield Finding(check=check, level=Level.OK, found=found)
    remedy = (
        "dnsbound id new --unguessable, or --label-secret of dnsbound id adopt; a transfer gives old ones new names"
    )
    for pattern, count in patterns.most_common()[:_MOST_SHOWN]:
        if pattern.guessing is Guessing.RANDOM:
            continue
        cost = "lists of words" if pattern.guesses is None else f"{pattern.guesses:,} guesses"
        found = f"{count} of {patterns.total} clients are {pattern.text} below {pattern.parent}: {cost} find them all"
        yield Finding(check=check, level=Level.WARN, found=found, remedy=remedy)


def _about_server(stranger: "Stranger", patterns: "LabelPatterns", names: int, guesses: int) -> Iterator[Finding]:
    try:
        yield _transfer(stranger)
        yield from _denials(stranger, patterns, names, guesses)
    except (OSError, DnsboundError) as error:
        check = f"server {stranger.server.label}"
        yield Finding(check=check, level=Level.UNKNOWN, found=str(error), remedy="try again, or name it by --server")


def _transfer(stranger: "Stranger") -> Finding:
    from dnsbound.provision.publish.publisher import ServerUnclear

    check = f"transfer from {stranger.server.label}"
    try:
        is_open = stranger.may_transfer()
    except ServerUnclear:
        # A server that hangs up at such a question has answered it.
        is_open = False
    if is_open:
        remedy = "allow transfers to secondaries alone, by TSIG"
        return Finding(check=check, level=Level.FAIL, found="anybody gets the whole zone (AXFR)", remedy=remedy)
    return Finding(check=check, level=Level.OK, found="refused to strangers")


def _denials(stranger: "Stranger", patterns: "LabelPatterns", names: int, guesses: int) -> Iterator[Finding]:
    from dnsbound.dns.exposure import DenialStyle

    check = f"denial by {stranger.server.label}"
    style = stranger.denied().style
    if style is DenialStyle.UNSIGNED:
        found, remedy = "the zone is not signed: nobody can log in by its names", "sign it"
        yield Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)
    elif style in (DenialStyle.NSEC_MINIMAL, DenialStyle.NSEC3_MINIMAL):
        found = f"made for each question ({style.value}): names are found by guessing alone, one question a guess"
        yield Finding(check=check, level=Level.OK, found=found)
    elif style is DenialStyle.NSEC:
        yield _walked(check, stranger, names)
    else:
        with progress_bar("collecting hashes", names) as progress:
            ring = stranger.hashes(names, progress)
        if ring is not None:
            yield from _hashed(check, ring, patterns, guesses)


def _walked(check: str, stranger: "Stranger", names: int) -> Finding:
    from dnsbound.dns.canonical import text_of

    with progress_bar("walking", names) as progress:
        walked = []
        for key in stranger.walk(names):
            walked.append(key)
            progress(1)
    told = f"at least {len(walked)}" if len(walked) == names else str(len(walked))
    last = f", {text_of(walked[-1]).rstrip('.')} for one" if walked else ""
    found = f"NSEC: a walk listed {told} names in as many questions{last}"
    return Finding(check=check, level=Level.WARN, found=found, remedy=_WALKABLE)


def _hashed(check: str, ring: "HashRing", patterns: "LabelPatterns", guesses: int) -> Iterator[Finding]:
    from dnsbound.dns.canonical import text_of
    from dnsbound.dns.exposure import guessed

    settings, hashes = ring.settings, ring.hashes
    told = f"all {len(hashes)}" if ring.is_closed() else f"at least {len(hashes)}"
    found = f"NSEC3: {told} hashes of names collected, to be tried against guesses off line"
    yield Finding(check=check, level=Level.WARN, found=found, remedy=_WALKABLE)
    if settings.iterations or settings.salt:
        found = (
            f"{settings.iterations} iterations and a salt of {len(settings.salt)} octets slow verifiers, not guessers"
        )
        yield Finding(check=check, level=Level.WARN, found=found, remedy="0 iterations, no salt (RFC 9276 section 3.1)")
    with progress_bar("guessing", guesses) as progress:
        hit = list(guessed(hashes, _candidates(patterns, guesses, progress), settings))
    if hit:
        found = f"{len(hit)} of these were found by counting, {text_of(hit[0]).rstrip('.')} for one"
        yield Finding(check=check, level=Level.WARN, found=found, remedy=_WALKABLE)


def _candidates(patterns: "LabelPatterns", guesses: int, progress: Callable[[int], None]) -> Iterator["Key"]:
    """Names by counting through the forms of labels, those with the fewest guesses first."""
    import dns.name

    from dnsbound.dns.canonical import key_of

    left = guesses
    for pattern in patterns.guessable():
        for label in pattern.labels(left):
            left -= 1
            progress(1)
            yield key_of(dns.name.from_text(f"{label}.{pattern.parent}."))
