"""`dnsbound serve dns`: the embedded authority over the inventory, until Ctrl-C or SIGTERM.

What any process publishes or revokes in the inventory counts at the next query. Loopback and an unprivileged port are
the defaults; a public server is asked for by `--host` and `--port 53`.
"""

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    import ssl

    from dnsbound.edge.dns_server import DnsServer


def serve_dns(
    *,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Address to listen on; may be repeated.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="UDP and TCP; 0 takes a free one.")] = 5300,
    tls_credential: Annotated[
        Path | None,
        typer.Option("--tls-credential", help="PEM file with key and chain: serve DNS over TLS too.", dir_okay=False),
    ] = None,
    tls_port: Annotated[int, typer.Option("--tls-port", min=0, max=65535, help="Port of DNS over TLS.")] = 853,
    validity: Annotated[
        int | None,
        typer.Option("--validity", help="Seconds a signature lives: how long a removed record can be replayed."),
    ] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the inventory's zones authoritatively, signed online, over UDP and TCP."""
    import asyncio

    import dns.name

    from dnsbound.dns.authority import Authority
    from dnsbound.dns.signer import Signer
    from dnsbound.edge.dns_server import DnsServer
    from dnsbound.edge.zone_key_files import load_zone_keys
    from dnsbound.provision.zone_data import InventoryZones

    _log_to_stderr()
    signer = Signer(validity=validity)
    tls = None if tls_credential is None else _tls_context(tls_credential)
    with opened_inventory(inventory) as store, contextlib.closing(InventoryZones(store, load_zone_keys)) as zones:
        names = [zone.name for zone in store.zones.all()]
        for name in names:
            zones.find(dns.name.from_text(name.absolute))  # a zone whose keys cannot be had is told now, in one line
        if not names:
            advise("There is no zone yet: `dnsbound zone create` makes one, and it is served at once.")
        answerer = Authority(zones, signer=signer).respond
        servers = [
            DnsServer(answerer, host=address, port=port, tls=tls, tls_port=tls_port)
            for address in host or ["127.0.0.1"]
        ]
        asyncio.run(_serve(servers, [str(name) for name in names], with_tls=tls is not None, as_json=as_json))


async def _serve(servers: "list[DnsServer]", zones: list[str], *, with_tls: bool, as_json: bool) -> None:
    import asyncio

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with contextlib.AsyncExitStack() as running:
        for server in servers:
            await running.enter_async_context(server)
        addresses = [str(server.endpoint) for server in servers]
        over_tls = [str(server.tls_endpoint) for server in servers] if with_tls else []
        if as_json:
            emit({"addresses": addresses, "tls_addresses": over_tls, "zones": zones})
        else:
            where = ", ".join([*addresses, *(f"{address} over TLS" for address in over_tls)])
            say(f"Serving {len(zones)} zone{'' if len(zones) == 1 else 's'} at {where}. Ctrl-C ends it.")
        await ended.wait()


def _tls_context(path: Path) -> "ssl.SSLContext":
    import ssl

    from dnsbound.edge.secret_files import read_secret_file

    read_secret_file(path)  # refuses a key that others may read, and says so in one line
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
    except ssl.SSLError:
        raise Misuse(f"{path}: not a private key and the chain that belongs to it") from None
    return context


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.WARNING)
