"""docs/standards.md: every requirement once and in order; modules and tests it cites exist; nothing done untested."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/standards.md"
NUMBERS = {
    "CA": 33,
    "LEG": 5,
    "AR": 10,
    "TL": 9,
    "OP": 19,
    "RP": 5,
    "DC": 8,
    "FL": 8,
    "TS": 5,
    "EA": 9,
    "RR": 3,
    "CD": 2,
    "EAP": 13,
    "ET": 14,
    "ET13": 16,
    "NAI": 4,
    "RSEC": 16,
    "RDTLS": 11,
    "RAD": 15,
    "RE": 9,
    "RS": 3,
    "MPPE": 5,
    "R1X": 7,
    "CUI": 2,
    "RACC": 15,
    "DA": 18,
    "AZ": 16,
    "FR": 9,
    "GW": 46,
    "PP": 12,
    "VF": 19,
    "MT": 10,
    "RH": 7,
    "SM": 12,
    "HG": 10,
    "WS": 4,
    "MQ": 18,
    "SIP": 9,
    "LW": 13,
    "RTC": 8,
    "XM": 9,
    "CS": 10,
    "BD": 9,
    "SH": 21,
    "HS": 16,
    "XE": 13,
    "DI": 9,
    "JE": 12,
    "CB": 16,
    "RQ": 13,
    "JO": 28,
    "BG": 18,
    "CM": 22,
}
IDENTIFIERS = [f"{prefix}-{number:02}" for prefix, count in NUMBERS.items() for number in range(1, count + 1)]
UNNAMED = {"CA", "AR", "TL", "OP", "RR", "CD"}
"""Prefixes from before a requirement's tests were named after it."""
NAMED = re.compile(rf"({'|'.join(prefix for prefix in NUMBERS if prefix not in UNNAMED)})-|CA-33")
STATE = re.compile(r"done|(partial|not done): \S.*")
CODE = re.compile(r"`([^`]+)`")
REQUIREMENT_CELLS, DOCUMENT_CELLS = 6, 5


class Requirement(NamedTuple):
    """One row of the first table."""

    identifier: str
    words: str
    section: str
    modules: list[str]
    tests: list[str]
    state: str


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table(heading: str) -> list[list[str]]:
    """Rows of the tables below a heading of the second level, without their heads."""
    section = DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [cells(line) for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [row for row in rows if row[0] not in {"id", "document"}]


REQUIREMENTS = [
    Requirement(row[0], row[1], row[2], CODE.findall(row[3]), CODE.findall(row[4]), row[5])
    for row in table("Requirements")
    if len(row) == REQUIREMENT_CELLS
]
OTHERS = table("Other documents")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Every test of a file as pytest names it, without the file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def module_is_there(name: str) -> bool:
    return (ROOT / name).is_file() if name.startswith("native/") else (ROOT / "src/dnsbound" / name).is_file()


def is_a_test(cited: str) -> bool:
    path, _, name = cited.partition("::")
    return path.startswith("tests/") and (ROOT / path).is_file() and name in names_in(ROOT / path)


def test_every_requirement_is_there_once_and_in_order() -> None:
    assert [row.identifier for row in REQUIREMENTS] == IDENTIFIERS
    assert len(table("Requirements")) == len(IDENTIFIERS), "a row has the wrong number of cells"


@pytest.mark.parametrize("row", REQUIREMENTS, ids=lambda row: row.identifier)
def test_a_row_says_what_and_where_and_how_far(row: Requirement) -> None:
    assert row.words
    assert row.section
    assert STATE.fullmatch(row.state), row.state
    assert [name for name in row.modules if not module_is_there(name)] == []
    assert [name for name in row.tests if not is_a_test(name)] == []


@pytest.mark.parametrize("row", [row for row in REQUIREMENTS if row.state == "done"], ids=lambda row: row.identifier)
def test_what_is_done_has_a_module_and_a_test(row: Requirement) -> None:
    assert row.modules
    assert row.tests


@pytest.mark.parametrize(
    "row",
    [row for row in REQUIREMENTS if row.state == "done" and NAMED.match(row.identifier)],
    ids=lambda row: row.identifier,
)
def test_a_row_of_tls_has_a_test_of_its_name(row: Requirement) -> None:
    prefix, number = row.identifier.lower().split("-")
    name = re.compile(rf"::test_{prefix}_(\d\d_)*{number}_")
    assert [cited for cited in row.tests if name.search(cited)]


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row[0])
def test_other_documents_have_a_module_and_a_test(row: list[str]) -> None:
    assert len(row) == DOCUMENT_CELLS
    modules, tests = CODE.findall(row[3]), CODE.findall(row[4])
    assert modules
    assert tests
    assert [name for name in modules if not module_is_there(name)] == []
    assert [name for name in tests if not is_a_test(name)] == []


def test_every_draft_and_document_of_the_code_is_in_the_tables() -> None:
    """An RFC that a module says it implements ("Sections: ...") has a row."""
    text = DOCUMENT.read_text()
    tabled = set(re.findall(r"\b\d{4}\b", text))
    claimed: dict[str, str] = {}
    for path in sorted((ROOT / "src/dnsbound").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        for sections in re.findall(r"Sections?: (.*)", docstring, re.DOTALL):
            claimed |= dict.fromkeys(re.findall(r"RFC (\d{4})", sections), path.name)
    assert {number: module for number, module in claimed.items() if number not in tabled} == {}
