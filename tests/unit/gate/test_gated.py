"""The filter that changes nothing, and the table of protocols."""

from pathlib import Path

import pytest

from dnsbound.edge.gate_protocols import GATED, Gated
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed
from dnsbound.protocols.gated import NOTHING, BackendError, GateStranger, Step

STRANGER = GateStranger(door="any", tls_version="TLSv1.3", client=("192.0.2.1", 40000), server=("192.0.2.2", 8883))


def options(text: str) -> TomlTable:
    return TomlTable.of(TomlText(path=Path("gate.toml"), text=text))


@pytest.mark.parametrize("word", GATED)
def test_every_protocol_reads_options_and_leaves_unknown_ones(word: str) -> None:
    table = options("nonsense = 1")
    gated = GATED[word](table)
    assert isinstance(gated, Gated)
    with pytest.raises(Malformed, match="nonsense"):
        table.done()


def test_tcp_passes_octets_both_ways_and_lets_no_stranger_in() -> None:
    gated = GATED["tcp"](options(""))
    assert not gated.strangers
    assert gated.greeting is None
    assert gated.alpn == ()
    through = gated.protocol(STRANGER)
    assert through.begin() == NOTHING
    assert through.client_said(b"\x00a") == Step(to_backend=b"\x00a")
    assert through.backend_said(b"b\xff") == Step(to_client=b"b\xff")
    assert through.client_ended() == NOTHING
    down = BackendError("refused")
    assert through.unreachable(down) == Step(end=down)
    assert through.backend_ended() == NOTHING
