"""What every test may ask for."""

import os
import shutil

import pytest
from hypothesis import settings

# The ordinary run is the same every time; `HYPOTHESIS_PROFILE=searching` looks for examples not tried before.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("searching", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests whose real peer is absent; fail them where peers are required."""
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                reason = f"peer not installed: {program}"
                if os.environ.get("DNSBOUND_REQUIRE_PEERS"):
                    pytest.fail(reason)
                pytest.skip(reason)
