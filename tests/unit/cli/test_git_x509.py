"""`dnsbound-git-x509` called as Git does not call it. With Git itself it is tried in tests/interop/git."""

import io
import sys

import pytest

from dnsbound.cli import git_x509
from dnsbound.cli.git_x509 import Called
from dnsbound.errors import Misuse


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["--status-fd=2", "-bsau", "car54.pem"], Called("-bsau", "car54.pem", 2)),
        (["--status-fd=1", "--verify", "/tmp/sig", "-"], Called("--verify", "/tmp/sig", 1)),
    ],
)
def test_what_git_says_is_understood(arguments, called):
    assert Called.parse(arguments) == called


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-bsau", "car54.pem"],
        ["--status-fd=3", "-bsau", "car54.pem"],
        ["--status-fd=2", "-bsau"],
        ["--status-fd=2", "--verify", "sig"],
        ["--status-fd=2", "--verify", "sig", "file"],
        ["--status-fd=2", "--list-keys"],
    ],
)
def test_anything_else_is_refused_with_one_line(arguments, capsys):
    with pytest.raises(Misuse):
        Called.parse(arguments)
    assert git_x509.run(arguments) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_a_signature_that_is_none_is_an_error_and_no_status(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"tree\n")))
    (tmp_path / "sig").write_bytes(b"-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n")
    assert git_x509.run(["--status-fd=1", "--verify", str(tmp_path / "sig"), "-"]) == 2
    assert "GOODSIG" not in capfd.readouterr().out
