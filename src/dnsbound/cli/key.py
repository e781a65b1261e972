"""`dnsbound key`: keys beside a credential's own. So far one kind: the key that others encrypt to."""

from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.options import JsonOption, NameArgument, TtlOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.limits import RECORD_TTL
from dnsbound.names import ClientName

app = typer.Typer(help="Keys beside a credential's own: the one that others encrypt to.", no_args_is_help=True)


@app.command("encryption", epilog=example("dnsbound key encryption gov.example --out gov.encryption.pem"))
def encryption(
    name: NameArgument,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File for the private key.", dir_okay=False, show_default="NAME.encryption.pem"),
    ] = None,
    ttl: TtlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an X25519 key that others can encrypt to, and print the record that publishes it."""
    from dnsbound.credential.encryption_keys import DecryptionKey
    from dnsbound.edge.credential_files import save_decryption_key

    client = ClientName.parse(name.removesuffix("."))
    seconds = RECORD_TTL.checked(ttl)
    path = out if out is not None else Path(f"{client.canonical}.encryption.pem")
    key = DecryptionKey.generate(client)
    save_decryption_key(key, path)
    record = key.record.to_text()
    line = f"{client}. {seconds} IN TLSA {record}"
    if as_json:
        emit({"name": client.text, "file": str(path), "record": record, "ttl": seconds, "text": line})
        return
    say(line)
    advise(f"The private key is in {path}; nobody else has it.")
    advise(f"Publish the record beside those of the name: `dnsbound zone publish {client} TLSA {record}`,")
    advise("or put the line above into the zone. TLS clients and servers cannot match it, and ignore it.")
