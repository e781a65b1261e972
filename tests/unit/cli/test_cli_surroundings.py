"""Where a command runs must not change what it says: locales, closed streams, readers that go away, full disks."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Malformed
from dnsbound.verify.access import AccessList

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize("arguments", [("doctor", "--timeout", "1"), ("--help",), ("explain", "a.b.example")])
def test_a_locale_without_the_characters_is_no_error(program, arguments):
    told = program(*arguments, env={**os.environ, **ASCII, "DNSBOUND_RESOLVER": "127.0.0.1:9"})
    assert "internal error" not in told.err
    assert told.out
    assert told.code in (0, 3)


def test_a_name_no_locale_can_spell_is_told_in_one_line(program):
    told = program("id", "new", b"h\xc3\xa4uschen.example".decode(), env={**os.environ, **ASCII})
    assert told.code == 2
    [line] = told.err.splitlines()
    assert line.startswith("dnsbound: client name has a character outside letters")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code_and_no_file(closed, tmp_path):
    """The inventory is opened after the streams: it must not get one of their numbers and be written to."""
    command = f"exec {sys.executable} -m dnsbound zone create cars.example --inventory {tmp_path}/i.db {closed}"
    assert subprocess.run(command, shell=True, timeout=60, check=False, capture_output=True).returncode == 0
    assert (tmp_path / "i.db").read_bytes().startswith(b"SQLite format 3\0")
    again = subprocess.run(command, shell=True, timeout=60, check=False, capture_output=True)
    assert again.returncode == 1


@pytest.mark.parametrize("arguments", [("--help",), ("doctor", "--timeout", "1"), ("explain", "a.b.example")])
def test_a_reader_that_went_away_is_no_no(arguments):
    """What Rich prints, too: its own way out would be the exit code of a no."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dnsbound", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ, "DNSBOUND_RESOLVER": "127.0.0.1:9"},
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_unanswered_question_leaves_its_line(dnsbound, tmp_path):
    inventory = ("--inventory", tmp_path / "i.db")
    assert dnsbound("id", "new", "car54._device.cars.example", "--out", tmp_path, *inventory).code == 0
    ran = dnsbound("revoke", "car54._device.cars.example", *inventory)
    assert ran.code == 2
    question, advice = ran.err.splitlines()
    assert question.startswith("Revoke car54._device.cars.example?")
    assert advice.startswith("dnsbound: ")
    assert '"active"' in dnsbound("id", "show", "car54._device.cars.example", "--json", *inventory).out


@pytest.mark.parametrize(
    "command", [("serve", "dns"), ("lab",), ("serve", "demo-api", "--allow", "a.b.example")], ids=" ".join
)
def test_a_port_somebody_has_is_named(dnsbound, command, tmp_path):
    inventory = tmp_path / "i.db"
    assert dnsbound("zone", "create", "cars.example", "--inventory", inventory).code == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        more = ("--inventory", inventory) if command == ("serve", "dns") else ()
        ran = dnsbound(*command, "--port", port, *more)
    assert ran.code == 3
    [line] = ran.err.splitlines()
    assert str(port) in line
    assert os.strerror(errno.EADDRINUSE) in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_with_the_file(dnsbound):
    ran = dnsbound("serve", "demo-api", "--allow", "a.b.example", "--port", "0", "--ca-out", "/dev/full")
    assert (ran.code, ran.err) == (3, f"dnsbound: /dev/full: {os.strerror(errno.ENOSPC)}\n")


def test_an_access_entry_that_is_wrong_is_named():
    with pytest.raises(Malformed, match="'nonsense'"):
        AccessList.allowing("api", ["a.b.example", "nonsense"])
    with pytest.raises(Malformed, match=r"'\*\.b'"):
        AccessList.allowing("api", ["*.b"])


def test_a_resolver_with_a_foreign_scheme_is_told_whole():
    with pytest.raises(Malformed, match="'http://x'"):
        Upstream.parse("http://x")


def test_doctor_takes_an_anchored_zone_for_what_it_is(dnsbound, tmp_path):
    """A zone that is itself the trust anchor needs no parent; an anchor of other keys is a failure."""
    from dnsbound.cli.checks import Level, inventory_zones
    from dnsbound.provision.inventory import Inventory

    path = tmp_path / "i.db"
    ds = dnsbound("zone", "create", "cars.example", "--inventory", path).out
    other = dnsbound("zone", "create", "other.example", "--inventory", path).out.replace("other.", "cars.")
    for text, level in ((ds, Level.OK), (other, Level.FAIL)):
        resolver = Resolver([Upstream.parse("127.0.0.1:9")], TrustAnchors.from_text(text))
        with Inventory.open(path) as store:
            zones = [zone for zone in store.zones.all() if zone.name.text == "cars.example"]
            found = list(inventory_zones(zones, resolver, timeout=1))
        resolver.close()
        assert [finding.level for finding in found] == [Level.OK, level]


def test_a_new_zone_says_what_is_still_to_be_done(dnsbound, tmp_path):
    inside = dnsbound("zone", "create", "cars.example", "--inventory", tmp_path / "i.db")
    assert "`dnsbound zone publish ns1.cars.example A ADDRESS`" in inside.err
    outside = dnsbound("zone", "create", "b.example", "--ns", "ns1.cars.example", "--inventory", tmp_path / "i.db")
    assert "zone publish" not in outside.err


@pytest.mark.parametrize(
    ("host", "named"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::1", "[::1]"), ("127.0.0.1", "127.0.0.1")],
)
def test_the_url_of_the_api_can_be_called(host, named, tmp_path):
    own = ()
    if named != "localhost":
        save_credential(Credential.generate("api.cars.example", now=time.time()), tmp_path / "s.pem")
        own = ("--credential", tmp_path / "s.pem")
    command = ("serve", "demo-api", "--allow", "a.b.example", "--port", "0", "--host", host, "--json", *own)
    process = subprocess.Popen(
        [sys.executable, "-m", "dnsbound", *map(str, command), "--resolver", "127.0.0.1:9"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        url = urlsplit(json.loads(process.stdout.readline())["url"])
        assert url.netloc.rpartition(":")[0] == named
        socket.create_connection((url.hostname, url.port), timeout=10).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate(timeout=10)
