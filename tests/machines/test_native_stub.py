"""The stub that everybody codes against says what the compiled module has."""

import subprocess
import sys

import pytest

from dnsbound import _native
from machines.test_native_hostile import FACTS

pytest.importorskip("mypy.stubtest", reason="mypy is not installed")


def test_the_stub_agrees_with_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "dnsbound._native"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_method_is_among_the_hostile_tests() -> None:
    driven = {"do_handshake", "read", "write", "shutdown", "feed", "feed_eof", "send_alert", "send_ticket"}
    others = {"export_keying_material", "set_server_tlsa", "judge_server", "handshake_complete", "server_side"}
    others |= {"request_client_certificate", "forbid_late_requests", "settle_late_answer"}
    others |= {"flight_held", "release_flight", "randoms"}
    others |= {"set_transport_parameters", "feed_crypto", "take_crypto", "take_secrets", "peer_transport_parameters"}
    others |= {"alert"}
    others |= {"feed_datagram", "take_datagrams", "timeout", "handle_timeout", "data_mtu"}
    assert {name for name in dir(_native.Connection) if not name.startswith("_")} == driven | others | set(FACTS)
