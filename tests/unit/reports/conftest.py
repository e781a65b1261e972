"""What tests of reports may ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unit.reports.estate import Estate

if TYPE_CHECKING:
    from interop.postgres import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def report_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of reports can be made: a path, and the URL of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "reports.db")
    server: Postgres = request.getfixturevalue("postgresql_server")
    return server.database()


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    yield made
    made.close()
