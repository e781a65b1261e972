"""`dnsbound id adopt`: what was said on the command line, as the terms of an adoption."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.options import (
    InventoryOption,
    JsonOption,
    MatchingOption,
    ReasonOption,
    SelectorOption,
    TtlOption,
    UsageOption,
)
from dnsbound.cli.record import parse_parameters
from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL

if TYPE_CHECKING:
    from dnsbound.provision.adoption.accepting import Terms
    from dnsbound.provision.adoption.completeness import Completeness
    from dnsbound.provision.adoption.formats import Format
    from dnsbound.provision.adoption.naming import NameRules
    from dnsbound.provision.adoption.source import ReadingRules

_NAMES = "Naming"
_READING = "Reading"
_RECORDS = "Records"
_SAFETY = "Safety"


def adopt(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Certificates, requests, public keys, OpenSSH keys, CSV, JSON, manifests; directories; - for "
            "standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    below: Annotated[
        str | None,
        typer.Option("--below", help="Every name must lie below this one; labels go below it.", rich_help_panel=_NAMES),
    ] = None,
    name_from: Annotated[
        str | None,
        typer.Option(
            "--name-from",
            help="column, san, cn, serial, comment or filename.",
            show_default="column, san, comment or serial, the first there is",
            rich_help_panel=_NAMES,
        ),
    ] = None,
    label_template: Annotated[
        str | None,
        typer.Option(
            "--label-template",
            help="The whole name, such as {serial}._device.cars.example.",
            show_default="{label}._device.BELOW",
            rich_help_panel=_NAMES,
        ),
    ] = None,
    label_secret: Annotated[
        Path | None,
        typer.Option(
            "--label-secret",
            help="File of a secret: labels are its keyed hashes, which nobody else can guess.",
            rich_help_panel=_NAMES,
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="pem, der, openssh, csv, json or jsonl.",
            show_default="each file's own",
            rich_help_panel=_READING,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="WHAT=COLUMN: which column holds the name, serial, public_key, certificate, tpm_public, owner, tags "
            "or ttl. May be repeated.",
            rich_help_panel=_READING,
        ),
    ] = None,
    manifest_signer: Annotated[
        Path | None,
        typer.Option(
            "--manifest-signer",
            help="Certificate whose key must have signed every entry of a secure-element manifest.",
            rich_help_panel=_READING,
        ),
    ] = None,
    manifest_key: Annotated[
        str, typer.Option("--manifest-key", help="Which key of a secure element (kid).", rich_help_panel=_READING)
    ] = "0",
    usage: UsageOption = "3",
    selector: SelectorOption = "1",
    matching: MatchingOption = "1",
    ttl: TtlOption = None,
    owner: Annotated[
        str, typer.Option("--owner", help="Who answers for clients of rows that name nobody.", rich_help_panel=_RECORDS)
    ] = "",
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="For every client; may be repeated.", rich_help_panel=_RECORDS)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; change nothing.")] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Let keys of the source take the place of registered ones, at once."),
    ] = False,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="The source is complete: revoke what is registered below --below (with the --tag) and not in it.",
            rich_help_panel=_SAFETY,
        ),
    ] = False,
    max_removals: Annotated[
        str,
        typer.Option("--max-removals", help="How many may be revoked: a number, or N%.", rich_help_panel=_SAFETY),
    ] = "0",
    rollback: Annotated[
        Path | None,
        typer.Option(
            "--rollback",
            help="File that takes the adoption back.",
            show_default="adoption-TIME.rollback here",
            rich_help_panel=_SAFETY,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a rollback file that is there.", rich_help_panel=_SAFETY)
    ] = False,
    undo: Annotated[
        Path | None, typer.Option("--undo", help="Take back the adoption of a rollback file.", rich_help_panel=_SAFETY)
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects", help="Write rows that were not adopted there: .csv, .json or .jsonl.", rich_help_panel=_SAFETY
        ),
    ] = None,
    danger_shared_keys: Annotated[
        bool,
        typer.Option("--danger-shared-keys", help="Let one key stand for several names.", rich_help_panel=_SAFETY),
    ] = False,
    danger_weak_keys: Annotated[
        bool, typer.Option("--danger-weak-keys", help="Let weak keys in.", rich_help_panel=_SAFETY)
    ] = False,
    danger_revoked_keys: Annotated[
        bool,
        typer.Option(
            "--danger-revoked-keys",
            help="Let a key come back to a name that was revoked with it, or gave it up.",
            rich_help_panel=_SAFETY,
        ),
    ] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take clients into the inventory that exist already, from lists of keys and certificates. No device is touched.

    Look at the plan first (--dry-run). Rows that cannot be adopted are listed with their line and the reason, and the
    others go through; the exit code is 1 then. After a crash the same command finishes the rest.
    """
    from dnsbound.cli import adopting
    from dnsbound.provision.adoption.accepting import Terms
    from dnsbound.provision.adoption.completeness import RemovalLimit
    from dnsbound.provision.registration import admit_tags

    limit = RemovalLimit.parse(max_removals)
    if undo is not None:
        if sources:
            raise Misuse("--undo takes back what a file says, and no SOURCE")
        code = adopting.undo(undo, limit, dry_run=dry_run, reason=reason, inventory=inventory, as_json=as_json)
        raise typer.Exit(code)
    if not sources:
        raise Misuse("name a SOURCE: a file, a directory, or - for standard input")
    parameters = parse_parameters(usage, selector, matching)
    terms = Terms(
        names=_name_rules(below, name_from, label_template, label_secret),
        usage=parameters[0],
        selector=parameters[1],
        matching_type=parameters[2],
        owner=owner,
        tags=admit_tags(tags or ()),
        ttl=None if ttl is None else RECORD_TTL.checked(ttl),
        replace=replace,
        danger_shared_keys=danger_shared_keys,
        danger_weak_keys=danger_weak_keys,
        danger_revoked_keys=danger_revoked_keys,
    )
    run = adopting.Run(
        sources=tuple(sources),
        rules=_reading_rules(columns or [], manifest_signer, manifest_key),
        format_=None if format_ is None else _format(format_),
        terms=terms,
        complete=_completeness(terms) if complete else None,
        limit=limit,
        rollback=rollback,
        resume=resume,
        rejects=rejects,
        reason=reason,
        as_json=as_json,
    )
    raise typer.Exit(run.plan(inventory) if dry_run else run.carry_out(inventory))


def _name_rules(below: str | None, source: str | None, template: str | None, secret: Path | None) -> "NameRules":
    from dnsbound.edge.secret_files import read_secret_file
    from dnsbound.provision.adoption.naming import NameRules

    octets = None if secret is None else read_secret_file(secret)
    return NameRules.parse(below=below, source=source, template=template, secret=octets)


def _reading_rules(columns: list[str], signer: Path | None, key: str) -> "ReadingRules":
    from dnsbound.provision.adoption.columns import COLUMNS
    from dnsbound.provision.adoption.source import ReadingRules

    chosen: dict[str, str] = {}
    for text in columns:
        wanted, equals, column = text.partition("=")
        if not equals or wanted not in COLUMNS or not column:
            raise Misuse(f"--column {text!r} is not WHAT=COLUMN with one of {', '.join(COLUMNS)}")
        chosen[wanted] = column
    if signer is None:
        return ReadingRules(columns=chosen, manifest_key=key)
    from dnsbound.cli.key_material import MaterialKind, read_key_material
    from dnsbound.credential.certificate_parsing import certificate_from_der

    material = read_key_material(str(signer))
    if material.kind is not MaterialKind.CERTIFICATE:
        raise Misuse(f"{signer} holds a {material.kind.value}, not the certificate of a manifest's signer")
    return ReadingRules(columns=chosen, manifest_signer=certificate_from_der(material.chain[0]), manifest_key=key)


def _format(text: str) -> "Format":
    from dnsbound.provision.adoption.formats import Format

    if text not in set(Format):
        raise Misuse(f"{text!r} is no format: {', '.join(Format)}")
    return Format(text)


def _completeness(terms: "Terms") -> "Completeness":
    from dnsbound.provision.adoption.completeness import Completeness

    if terms.names.below is None:
        raise Misuse("--complete needs --below: what would the source be complete for?")
    if len(terms.tags) > 1:
        raise Misuse("--complete looks at all clients, or at those with one --tag, not at several tags")
    return Completeness(below=terms.names.below, tag=next(iter(terms.tags), None))
