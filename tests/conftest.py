"""What every test may ask for."""

import os
import shutil

import pytest

from dnsbound.testing.pytest_plugin import world

__all__ = ["world"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests whose real peer is absent; fail them where peers are required."""
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                reason = f"peer not installed: {program}"
                if os.environ.get("DNSBOUND_REQUIRE_PEERS"):
                    pytest.fail(reason)
                pytest.skip(reason)
