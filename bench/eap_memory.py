"""Memory of a RADIUS server for each EAP-TLS conversation that stands still in the middle, and for each live session.

In the middle: the server has shown its certificate and waits for the client's, as it does for whoever never answers.
A live session is what is kept of a client that was let in, to end it when its name stops meaning its key; FreeRADIUS
keeps nothing. Answers that are kept for repetitions are in the first figure, and gone before the second.
"""

import tempfile
import time
from pathlib import Path

from bench.eap_load import Wanted
from bench.eap_servers import FREERADIUS, EapServer, EapServers, has_freeradius, reach
from bench.idle_memory import at_rest
from bench.table import Table
from dnsbound.limits import RADIUS_DUPLICATE_SECONDS
from dnsbound.testing import World

WARM_UP = 50
TLS = "1.3"


def measure(conversations: int) -> Table:
    """KiB of resident memory for each."""
    table = Table(
        f"Memory of a RADIUS server, {conversations:,} of each, TLS {TLS}", ["what", "KiB each", "whole, MiB"]
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        servers = EapServers(Path(directory), world)
        if has_freeradius():
            with servers.freeradius(1) as server:
                _row(table, f"{FREERADIUS}, half open", server, servers.client, conversations, half_open=True)
        room = f"conversations = {conversations + WARM_UP}\nconversation_seconds = 600\n"
        with servers.ours(1, room) as server:
            _row(table, "dnsbound, half open", server, servers.client, conversations, half_open=True)
        with servers.ours(1) as server:
            _row(table, "dnsbound, live session", server, servers.client, conversations, half_open=False)
    return table


def _row(table: Table, label: str, server: EapServer, client: Path, number: int, *, half_open: bool) -> None:
    def ask(authentications: int, first: int, *, half_open: bool) -> None:
        wanted = Wanted(
            port=server.port,
            secret=server.secret,
            clients=[str(client)],
            tls=TLS,
            authentications=authentications,
            first=first,
            half_open=half_open,
        )
        reach(wanted)

    ask(WARM_UP, number, half_open=False)
    before = at_rest(server.pid)
    ask(number, 0, half_open=half_open)
    if not half_open:
        time.sleep(RADIUS_DUPLICATE_SECONDS.default + 1)
        ask(1, number + WARM_UP, half_open=False)  # a request makes the server forget what is too old
    whole = at_rest(server.pid)
    table.row(label, f"{(whole - before) / number:.1f}", f"{whole / 1024:.0f}")
