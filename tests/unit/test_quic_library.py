"""What QUIC needs of aioquic: that it is there, and that it has the names it had."""

import subprocess
import sys

import pytest

from dnsbound.edge.quic_engine import QuicEngine, check_aioquic
from dnsbound.edge.quic_library import QuicConnection
from dnsbound.errors import Misuse
from dnsbound.tls.association import Phase
from machines.quic_handshakes import ends


def made() -> QuicEngine:
    near, _ = ends()
    return QuicEngine(near, idle_seconds=60, streams=1, stream_octets=1024, connection_octets=1024)


def test_without_aioquic_the_extra_is_named() -> None:
    program = "import sys; sys.modules['aioquic'] = None\nimport dnsbound.edge.quic_server"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Misuse: QUIC needs the extra: pip install 'dnsbound[quic]'" in ended.stderr


def test_the_rest_of_the_package_does_without_it() -> None:
    program = "import sys; sys.modules['aioquic'] = None\nimport dnsbound; dnsbound.Context.client(quic=True)"
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)


@pytest.mark.parametrize("name", ["_initialize", "_write_stream_limits", "_alpn_handler"])
def test_an_aioquic_that_lacks_a_method_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(QuicConnection, name, None)
    with pytest.raises(Misuse, match=name):
        made()


@pytest.mark.parametrize("name", ["_local_max_data", "_loss", "_QuicConnection__frame_handlers"])
def test_an_aioquic_that_lacks_a_field_is_refused(name: str) -> None:
    engine = made()
    check_aioquic(engine)
    delattr(engine, name)
    with pytest.raises(Misuse, match=name):
        check_aioquic(engine)


def test_what_is_over_is_asked_for_no_more_than_its_streams() -> None:
    engine = made()
    engine.let_go()
    assert engine.unacknowledged(0) == engine.received(0) == 0
    assert not engine.has_stream(0)
    assert not engine.is_closing
    engine.refuse()
    with pytest.raises(Misuse):
        _ = engine.end
    assert ends()[0].phase is Phase.HANDSHAKE
