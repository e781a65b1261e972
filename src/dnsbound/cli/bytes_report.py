"""Measured handshakes as rows: for people, spreadsheets, programs and documents, from the same facts."""

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dnsbound.testing.octet_combinations import Combination
from dnsbound.testing.octet_measure import Octets

if TYPE_CHECKING:
    from rich.table import Table

_HEADERS: Final = {
    "version": "version",
    "key": "key",
    "group": "group",
    "client": "client",
    "server": "server",
    "name": "name",
    "chains": "DNSSEC chains",
    "client_octets": "client sends",
    "server_octets": "server sends",
    "octets": "both",
    "ratio": "ratio",
    "flights": "flights",
    "datagrams": "datagrams",
    "packets": "packets",
    "packet_octets": "in packets",
    "reason": "",
}
"""Facts that are shown as columns, and their titles."""
_NUMBERS: Final = frozenset(list(_HEADERS)[7:-1])


@dataclass(frozen=True, slots=True)
class Row:
    """One combination and what came of it; text in place of octets says why there are none."""

    combination: Combination
    measured: Octets | str
    baseline: Octets | str

    @property
    def failed(self) -> bool:
        """It should have been possible, and was not."""
        return isinstance(self.measured, str) and self.combination.unavailable_because is None

    @property
    def ratio(self) -> float | None:
        if isinstance(self.measured, str) or isinstance(self.baseline, str):
            return None
        return self.measured.both / self.baseline.both

    @property
    def chains(self) -> str:
        said = [("client's", self.combination.carried), ("server's", self.combination.server_chain)]
        return " and ".join(whose for whose, there in said if there)

    @property
    def facts(self) -> dict[str, object]:
        """In plain types. Octets are those of TLS; `packet_octets` have the headers of IPv6 and UDP or TCP too."""
        combination, measured = self.combination, self.measured
        facts: dict[str, object] = {
            "version": combination.version.value,
            "key": combination.key.value,
            "group": combination.group.value,
            "client": combination.client.value,
            "server": combination.server.value,
            "name": combination.named,
            "carried": combination.carried,
            "server_chain": combination.server_chain,
        }
        if isinstance(measured, str):
            return facts | {"reason": measured}
        ratio = self.ratio
        datagrams = sum(map(len, measured.flights)) if combination.version.is_datagram else None
        return facts | {
            "client_octets": measured.client,
            "server_octets": measured.server,
            "octets": measured.both,
            "ratio": None if ratio is None else round(ratio, 3),
            "flights": len(measured.flights),
            "flight_octets": [sum(flight) for flight in measured.flights],
            "datagrams": datagrams,
            "packets": measured.packets.count,
            "client_packets": measured.client_packets.count,
            "server_packets": measured.server_packets.count,
            "packet_octets": measured.packets.octets,
        }

    @property
    def cells(self) -> list[str]:
        """For a table of `_HEADERS`."""
        facts = self.facts | {"chains": self.chains, "version": self.combination.version.label}
        facts["name"] = "yes" if self.combination.named else ""
        return [_cell(field, facts.get(field)) for field in _HEADERS]


def _cell(field: str, value: object) -> str:
    if value is None:
        return ""
    if field == "ratio":
        return f"{value:.2f}"
    return f"{value:,}" if field in _NUMBERS else str(value)


def as_table(rows: list[Row]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for field, title in _HEADERS.items():
        table.add_column(title, justify="right" if field in _NUMBERS else "left", no_wrap=field != "reason")
    for row in rows:
        table.add_row(*row.cells, style="red" if row.failed else "dim" if isinstance(row.measured, str) else None)
    return table


def footnote(mtu: int) -> str:
    return (
        f"Octets of TLS and DTLS records. Packets: IPv6 with UDP or TCP headers at an MTU of {mtu}; "
        "TCP's own handshake and acknowledgements are not counted."
    )


def as_csv(rows: list[Row]) -> str:
    """One line of titles, then one for each row; without the last line's end."""
    fields = [field for field in (*_first_facts(rows), "reason") if field != "flight_octets"]
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(fields), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row.facts)
    return text.getvalue().rstrip("\n")


def _first_facts(rows: list[Row]) -> list[str]:
    """Fields of a row that was measured, where there is one."""
    return max((list(row.facts) for row in rows), key=len)


def as_markdown(rows: list[Row]) -> str:
    """A table for docs/performance.md."""
    cells = [list(_HEADERS.values()), *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADERS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
