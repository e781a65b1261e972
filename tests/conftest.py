"""What every test may ask for."""

import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program) is None:
                pytest.skip(f"peer not installed: {program}")
