"""`dnsbound bytes --plot`: measured handshakes as bars. Needs matplotlib, which is loaded for nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.cli.bytes_report import Row

_FORMATS: Final = (".svg", ".png")
_BAR_INCHES: Final = 0.24
_COLOURS: Final = ("#2b6cb0", "#dd8a34")


def check_plot(path: Path) -> None:
    """Misuse when no picture can be drawn there: before anything is measured."""
    if path.suffix.lower() not in _FORMATS:
        raise Misuse(f"{path}: a picture is a file .svg or .png")
    if not path.absolute().parent.is_dir():
        raise Misuse(f"{path}: there is no such directory")
    try:
        import matplotlib.figure  # noqa: F401 (whether it is there)
    except ImportError:
        raise Misuse("--plot needs matplotlib: pip install 'dnsbound[plot]'") from None


def draw(rows: "list[Row]", path: Path, *, mtu: int) -> None:
    """A bar for each handshake that was measured, the client's share first. Misuse when the file cannot be written."""
    from matplotlib.figure import Figure

    from dnsbound.testing.octet_measure import Octets

    measured = [(row, row.measured) for row in rows if isinstance(row.measured, Octets)]
    if not measured:
        raise Misuse("nothing was measured, so there is nothing to draw")
    figure = Figure(figsize=(11, 1.3 + _BAR_INCHES * len(measured)), layout="constrained")
    axes = figure.subplots()
    places = range(len(measured))
    own = [octets.client for _, octets in measured]
    axes.barh(places, own, color=_COLOURS[0], label="client sends")
    axes.barh(places, [octets.server for _, octets in measured], left=own, color=_COLOURS[1], label="server sends")
    axes.set_yticks(places, [_label(row) for row, _ in measured], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    for place, (_, octets) in enumerate(measured):
        axes.annotate(
            f" {octets.both:,} ({octets.packets.count} packets)", (octets.both, place), va="center", fontsize=7
        )
    axes.set_xlim(right=max(octets.both for _, octets in measured) * 1.18)
    axes.set_xlabel(f"octets of one mutual handshake; packets at an IPv6 MTU of {mtu}")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path)
    except OSError as error:
        raise Misuse(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _label(row: "Row") -> str:
    it = row.combination
    parts = [it.version.label, it.key.value, it.group.value, f"{it.client.value} / {it.server.value}"]
    parts += ["name"] * it.named + [f"{row.chains} DNSSEC chain"] * bool(row.chains)
    return ", ".join(parts)
