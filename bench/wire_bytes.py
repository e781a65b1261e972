"""Octets of one mutual TLS 1.3 handshake against the target: raw keys and a name against X.509 chains.

A view of what `dnsbound bytes` measures, which has all versions, keys and forms; how is said there and in
`dnsbound.testing.octet_measure`.
"""

from dataclasses import replace

from bench.table import Table
from dnsbound.testing.octet_combinations import Combination, Form, Group
from dnsbound.testing.octet_measure import Measuring

KINDS = {
    "X.509 chain with one intermediate on both ends": Combination(named=False),
    "self-signed certificate and name; server's chain": Combination(client=Form.SELF_SIGNED),
    "raw key and name; server's chain": Combination(client=Form.RAW),
    "raw key and name; server's raw key": Combination(client=Form.RAW, server=Form.RAW),
}


def measure() -> Table:
    measuring = Measuring()
    table = Table(
        "Octets of a mutual TLS 1.3 handshake",
        ["group", "credentials", "client sends", "server sends", "both", "ratio"],
    )
    for group in Group:
        most = 0
        for label, kind in KINDS.items():
            octets = measuring.octets(replace(kind, group=group))
            most = most or octets.both
            ratio = f"{octets.both / most:.2f}"
            table.row(group, label, f"{octets.client:,}", f"{octets.server:,}", f"{octets.both:,}", ratio)
    chain, _, raw, _ = (measuring.octets(kind).client for kind in KINDS.values())
    table.note(f"What the client alone sends, raw key and name against chain, {Group.X25519}: {raw / chain:.2f}.")
    return table
