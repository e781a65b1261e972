"""`dnsbound ssh certificate`: SSH certificates by a CA whose key is in the DNS."""

import time
from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.options import JsonOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.ssh_files import CredentialOption, opened_credential, read_certificate, read_ssh_key
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import iso, seconds_of_text

app = typer.Typer(help="SSH certificates by a CA whose key is in the DNS.", no_args_is_help=True)


@app.command(
    "sign",
    epilog=example("dnsbound ssh certificate sign alice.pub --credential ca.pem --principal alice._user.cars.example"),
)
def sign(
    source: Annotated[str, typer.Argument(metavar="FILE", help="The user's public key; - for standard input.")],
    *,
    credential: CredentialOption,
    principal: Annotated[list[str], typer.Option("--principal", help="A name to log in as; may be repeated.")],
    valid: Annotated[str, typer.Option("--valid", help="How long it lasts, such as 8h.")] = "8h",
    key_id: Annotated[
        str, typer.Option("--key-id", help="What sshd's log calls it.", show_default="the first name")
    ] = "",
    serial: Annotated[int, typer.Option("--serial", min=0, help="A number of the CA's own.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write, such as alice-cert.pub.", show_default="standard output"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user's certificate. A door lets it in where the CA's name may sign for one of its principals."""
    from dnsbound.credential import ssh_certificate
    from dnsbound.door_limits import SSH_CERTIFICATE_SECONDS
    from dnsbound.edge.secret_files import write_public_file

    names = [ClientName.parse(text).canonical for text in principal]
    lasts = seconds_of_text(valid)
    if lasts > SSH_CERTIFICATE_SECONDS.default:
        raise Misuse(
            f"no door takes a certificate of more than {SSH_CERTIFICATE_SECONDS.default} s: it cannot be undone"
        )
    authority = opened_credential(credential)
    now = time.time()
    made = ssh_certificate.make(
        read_ssh_key(source),
        authority.signer,
        principals=names,
        valid_after=now,
        valid_before=now + lasts,
        key_id=key_id,
        serial=serial,
    )
    line = f"{made} {names[0]}"
    if out is not None:
        write_public_file(out, f"{line}\n".encode("ascii"))
    if as_json:
        emit(
            {
                "certificate": line,
                "principals": names,
                "valid_until": iso(now + lasts),
                "serial": serial,
                "authority": None if authority.name is None else authority.name.canonical,
            }
        )
    elif out is None:
        say(line)
    advise(f"it lets in as {', '.join(names)} until {iso(now + lasts)}, wherever the CA is believed")


@app.command("show", epilog=example("dnsbound ssh certificate show alice-cert.pub"))
def show(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A user's certificate; - for standard input.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what a user's certificate holds. Whether its CA is anybody's is for a door to find out."""
    from dnsbound.credential.association import tlsa_for_spki
    from dnsbound.iana import MatchingType, Usage

    found = read_certificate(source)
    record = tlsa_for_spki(found.authority.spki, Usage.DANE_EE, MatchingType.SHA2_256)
    facts: dict[str, object] = {
        "key": found.key.to_text(),
        "authority": found.authority.to_text(),
        "authority_record": record.to_text(),
        "key_id": found.key_id,
        "serial": found.serial,
        "principals": list(found.principals),
        "valid_from": iso(found.valid_after),
        "valid_until": None if found.valid_before is None else iso(found.valid_before),
    }
    if as_json:
        emit(facts)
        return
    for word, value in facts.items():
        say(f"{word}: {', '.join(value) if isinstance(value, list) else value}")
