"""The lines that a service writes to standard error: what stands in them, and what of an error."""

import calendar
import os
import subprocess
import sys
import time

SCRIPT = """
import logging
from dnsbound.cli.as_service import log_to_stderr

log_to_stderr()
log = logging.getLogger("dnsbound.radius")
log.info('{"verdict":"%s"}', "admitted")
log.info('{"identity":"100%s"}')
log.debug("nobody hears this")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
log.warning("one\\ntwo")
"""
WIDTH = len("2026-11-22 16:00:00,123")


def written(**environment: str) -> list[str]:
    """A process of its own, since all of this is for a whole process."""
    env = {key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"} | {"TZ": "UTC"} | environment
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == ""
    return run.stderr.splitlines()


def test_a_line_begins_with_the_time_and_an_error_is_told_with_where_it_came_from() -> None:
    before = int(time.time())
    lines = written()
    when, milliseconds = lines[0][:WIDTH].split(",")
    at = calendar.timegm(time.strptime(when, "%Y-%m-%d %H:%M:%S"))
    assert before <= at <= time.time()
    assert 0 <= int(milliseconds) < 1000
    assert len(milliseconds) == 3
    assert lines[0][WIDTH:] == ' dnsbound.radius INFO {"verdict":"admitted"}'
    assert lines[1][WIDTH:] == ' dnsbound.radius INFO {"identity":"100%s"}'
    assert lines[2][WIDTH:] == " dnsbound.radius ERROR it failed"
    assert (lines[3], lines[-3]) == ("Traceback (most recent call last):", "ZeroDivisionError: division by zero")
    assert (lines[-2][WIDTH:], lines[-1]) == (" dnsbound.radius WARNING one", "two")


def test_in_the_journal_each_line_has_its_priority() -> None:
    lines = written(JOURNAL_STREAM="8:1")
    assert lines[:2] == ['<6>dnsbound.radius: {"verdict":"admitted"}', '<6>dnsbound.radius: {"identity":"100%s"}']
    assert lines[2:4] == ["<3>dnsbound.radius: it failed", "<3>Traceback (most recent call last):"]
    assert lines[-2:] == ["<4>dnsbound.radius: one", "<4>two"]
