"""One table from errors to exit codes, total over the exception tree."""

import importlib
import pkgutil

import pytest
import typer

import dnsbound
from dnsbound.cli.exit_codes import (
    EXIT_CODE_OF_ERROR,
    ExitCode,
    exit_code_of_error,
    exit_code_of_reason,
    line_of_error,
    printable,
)
from dnsbound.cli.remedies import REMEDY
from dnsbound.errors import (
    UNDECIDED_REASONS,
    DnsboundError,
    LimitExceeded,
    Malformed,
    Misuse,
    PeerError,
    Reason,
    Refused,
    Undecided,
)
from dnsbound.provision import errors as inventory_errors


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_branch_of_the_tree_is_in_the_table():
    for module in pkgutil.walk_packages(dnsbound.__path__, "dnsbound."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for branch in DnsboundError.__subclasses__():
        if branch.__module__.startswith("dnsbound."):
            assert branch.__name__ in EXIT_CODE_OF_ERROR, branch
    assert len(list(subclasses(DnsboundError))) > 10


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misuse("x"), 2),
        (Malformed("x"), 2),
        (PeerError("x"), 3),
        (Refused(Reason.NO_TLSA), 1),
        (Undecided(Reason.BOGUS), 3),
        (LimitExceeded("x"), 3),
        (inventory_errors.NotInInventory("x"), 1),
        (inventory_errors.AlreadyInInventory("x"), 1),
        (inventory_errors.PrivateKeyRefused("x"), 2),
        (inventory_errors.InventoryMissing("x"), 2),
        (inventory_errors.InventoryFailed("x"), 3),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (PermissionError(13, "Permission denied", "x"), 2),
        (OSError(28, "No space left on device"), 3),
        (ConnectionRefusedError(111, "Connection refused"), 3),
        (BrokenPipeError(32, "Broken pipe"), 141),
        (KeyboardInterrupt(), 130),
        (typer.BadParameter("x"), 2),
        (typer.Abort(), 2),
        (RuntimeError("x"), 3),
        (MemoryError(), 3),
        (RecursionError(), 3),
    ],
)
def test_codes(error, code):
    assert exit_code_of_error(error) == code
    line = line_of_error(error)
    assert line
    assert "\n" not in line


def test_reasons():
    assert {reason for reason in Reason if exit_code_of_reason(reason) is ExitCode.UNDECIDED} == UNDECIDED_REASONS
    assert all(exit_code_of_reason(reason) in (ExitCode.NO, ExitCode.UNDECIDED) for reason in Reason)


def test_every_reason_has_a_remedy():
    assert set(REMEDY) == set(Reason)
    assert all(printable(remedy) == remedy and remedy for remedy in REMEDY.values())


def test_nothing_but_success_is_a_yes():
    assert ExitCode.YES not in EXIT_CODE_OF_ERROR.values()


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\x00b", "a\r\nb", "a\u2028b", "a\x7fb"])
def test_hostile_text_stays_on_its_line(text):
    shown = line_of_error(Misuse(text))
    assert shown.isprintable()
    assert shown.startswith("a")
    assert shown.endswith("b")
