"""One token of SoftHSM for all tests here; keys have names of their own."""

import shutil
from pathlib import Path

import pytest

from interop.tokens import TestToken, softhsm_token


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("softhsm")


@pytest.fixture(scope="session")
def token(directory: Path) -> TestToken:
    if shutil.which("softhsm2-util") is None:
        pytest.skip("peer not installed: softhsm2-util")
    return softhsm_token(directory, "cars")
