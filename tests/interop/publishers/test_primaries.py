"""The servers that the tests of publishing stand on do what those tests believe."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from interop.daemon import eventually, free_port
from interop.primaries import FOREIGN, ZONE, Server, bind, knot, nsd, nsd_secondary, powerdns

PRIMARIES = [
    pytest.param(knot, id="knot", marks=[pytest.mark.peer("knotd"), pytest.mark.peer("keymgr")]),
    pytest.param(bind, id="bind", marks=[pytest.mark.peer("named"), pytest.mark.peer("dnssec-dsfromkey")]),
    pytest.param(powerdns, id="powerdns", marks=[pytest.mark.peer("pdns_server"), pytest.mark.peer("pdnsutil")]),
]


@pytest.mark.parametrize("primary", PRIMARIES)
def test_primary_is_signed_and_transferred(
    primary: Callable[..., AbstractContextManager[Server]], tmp_path: Path
) -> None:
    with primary(tmp_path) as server:
        assert server.tlsa(f"foreign.{ZONE}") == {FOREIGN}
        assert server.transfer()[f"shared.{ZONE}", "TLSA"] == (300, frozenset({FOREIGN}))
        assert f"{ZONE}. " in server.ds


@pytest.mark.peer("nsd")
def test_nsd_serves_a_file(tmp_path: Path) -> None:
    with nsd(tmp_path) as server:
        assert server.tlsa(f"foreign.{ZONE}") == {FOREIGN}


@pytest.mark.peer("nsd")
@pytest.mark.parametrize("primary", PRIMARIES)
def test_secondary_copies(primary: Callable[..., AbstractContextManager[Server]], tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    port = free_port()
    with (
        primary(tmp_path / "first", notify=[port]) as first,
        nsd_secondary(tmp_path / "second", first.port, port=port) as second,
    ):
        eventually(lambda: second.tlsa(f"foreign.{ZONE}") == {FOREIGN}, 20, otherwise=second.daemon.log_tail)
