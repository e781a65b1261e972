"""`dnsbound sign --stream` and `dnsbound verify` of streams, as processes with pipes, signals and resumption."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dnsbound.edge.credential_files import save_credential
from dnsbound.errors import Reason
from unit.cli.conftest import PROGRAM

NAME = "car54._device.cars.example"
CONTENT = os.urandom(300_000)
SEGMENT = "65536"
WAIT = 20


@pytest.fixture
def credential(in_world, tmp_path):
    car = in_world.organisation("cars.example").device("car54")
    path = tmp_path / "car54.pem"
    save_credential(car.credential, path)
    yield path
    car.revoke()


@pytest.fixture
def started():
    """Start the program; it ends with the test."""
    running = []

    def start(*arguments):
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(WAIT)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@pytest.fixture
def recording(started, credential):
    def record(*arguments):
        return started(
            "sign", *arguments, "--stream", "--credential", credential, "--segment-octets", SEGMENT, "--json"
        )

    return record


def outcome(ran):
    last = json.loads(ran.lines[-1])
    return ran.code, last["outcome"], last["reason"] and Reason(last["reason"])


def test_a_pipe_is_signed_and_copied_and_verified_from_file_and_pipe(recording, program, tmp_path):
    ran = recording("-", "--out", "cam.ts.segments", "--copy", "cam.ts")
    out, err = ran.communicate(CONTENT, timeout=WAIT)
    assert ran.returncode == 0, err
    assert [json.loads(line)["last"] for line in out.splitlines()] == [False] * 4 + [True]
    seen = program("verify", "cam.ts", "--from", NAME, "--json")
    assert outcome(seen) == (0, "yes", None)
    assert [json.loads(line)["segment"]["seq"] for line in seen.lines[:-1]] == list(range(5))
    piped = subprocess.run(
        [*PROGRAM, "verify", "-", "--signature", "cam.ts.segments", "--from", NAME, "--output", "-"],
        input=CONTENT,
        capture_output=True,
        timeout=WAIT,
        check=False,
    )
    assert (piped.returncode, piped.stdout) == (0, CONTENT)


def test_nothing_is_released_that_was_not_signed(recording, tmp_path):
    recording("-", "--out", "cam.segments").communicate(CONTENT, timeout=WAIT)
    spoiled = CONTENT[:200_000] + b"\0" + CONTENT[200_001:]
    ran = subprocess.run(
        [*PROGRAM, "verify", "-", "--signature", "cam.segments", "--from", NAME, "--output", "-"],
        input=spoiled,
        capture_output=True,
        timeout=WAIT,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout.startswith(CONTENT[: 3 * 65536])
    assert spoiled[196608:200_000] not in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_bg_18_an_interrupted_recording_loses_nothing_and_goes_on(recording, program, number):
    first = recording("-", "--out", "cam.ts.segments", "--copy", "cam.ts")
    first.stdin.write(CONTENT[:100_000])
    first.stdin.flush()
    assert json.loads(first.stdout.readline())["seq"] == 0
    while Path("cam.ts").stat().st_size < 100_000:
        assert first.poll() is None
    first.send_signal(number)
    assert first.wait(WAIT) == 130
    assert outcome(program("verify", "cam.ts", "--from", NAME, "--json")) == (3, "undecided", Reason.INCOMPLETE)
    again = recording("-", "--out", "cam.ts.segments", "--copy", "cam.ts", "--resume")
    _, err = again.communicate(CONTENT[100_000:], timeout=WAIT)
    assert again.returncode == 0, err
    seen = program("verify", "cam.ts", "--from", NAME, "--json")
    assert outcome(seen) == (0, "yes", None)
    assert json.loads(seen.lines[-1])["size"] == len(CONTENT)


def test_bg_18_a_killed_recording_goes_on_with_what_was_copied(recording, program):
    first = recording("-", "--out", "cam.ts.segments", "--copy", "cam.ts")
    first.stdin.write(CONTENT[:100_000])
    first.stdin.flush()
    first.stdout.readline()
    while Path("cam.ts").stat().st_size < 100_000:
        assert first.poll() is None
    first.kill()
    first.wait(WAIT)
    again = recording("-", "--out", "cam.ts.segments", "--copy", "cam.ts", "--resume")
    again.communicate(CONTENT[100_000:], timeout=WAIT)
    assert outcome(program("verify", "cam.ts", "--from", NAME, "--json")) == (0, "yes", None)


def test_a_named_pipe_is_a_live_source_and_verified_as_it_comes(recording, started, tmp_path):
    """Camera, signer and viewer at once: the viewer sees each segment before the next one is made."""
    os.mkfifo("camera")
    open_signer = recording("camera", "--out", "cam.segments")
    camera = os.open("camera", os.O_WRONLY)
    data = tmp_path / "here" / "cam.ts"
    data.write_bytes(b"")
    with data.open("ab", buffering=0) as recorded:
        recorded.write(CONTENT[:65536])
        os.write(camera, CONTENT[:65536])
        assert json.loads(open_signer.stdout.readline())["seq"] == 0
        viewer = started("verify", "cam.ts", "--signature", "cam.segments", "--from", NAME, "--follow", WAIT, "--json")
        assert json.loads(viewer.stdout.readline())["segment"]["seq"] == 0
        recorded.write(CONTENT[65536:131072])
        os.write(camera, CONTENT[65536:131072])
        assert json.loads(viewer.stdout.readline())["segment"]["seq"] == 1
        os.close(camera)
    assert open_signer.wait(WAIT) == 0
    assert json.loads(viewer.stdout.readline())["last"]
    assert json.loads(viewer.stdout.readline())["outcome"] == "yes"
    assert viewer.wait(WAIT) == 0


def test_records_of_an_unsigned_beginning_or_of_another_are_refused(recording, program):
    recording("-", "--out", "cam.segments").communicate(CONTENT, timeout=WAIT)
    lines = Path("cam.segments").read_bytes().splitlines(keepends=True)
    Path("cam.ts").write_bytes(CONTENT)
    Path("cam.ts.segments").write_bytes(b"".join(lines[1:]))
    assert outcome(program("verify", "cam.ts", "--from", NAME, "--json")) == (1, "no", Reason.STREAM_BROKEN)
    ran = program("verify", "cam.ts", "--from", "other.example", "--json")
    assert outcome(ran) == (1, "no", Reason.NOT_PERMITTED)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-",),
        ("-", "--out", "-"),
        ("-", "--out", "s", "--no-key"),
        ("file", "--copy", "other"),
        ("nothing",),
    ],
    ids=" ".join,
)
def test_streams_that_cannot_be_signed_are_wrong_use(dnsbound, credential, arguments, tmp_path):
    (tmp_path / "here" / "file").write_bytes(CONTENT)
    assert dnsbound("sign", *arguments, "--stream", "--credential", credential).code == 2


def test_a_recording_is_not_taken_over_by_another_key(dnsbound, credential, tmp_path, in_world):
    (tmp_path / "here" / "file").write_bytes(CONTENT)
    assert dnsbound("sign", "file", "--stream", "--credential", credential).code == 0
    ran = dnsbound("sign", "file", "--stream", "--credential", credential)
    assert (ran.code, "--resume" in ran.err) == (2, True)
    assert dnsbound("sign", "file", "--stream", "--credential", credential, "--resume").code == 2
    assert dnsbound("verify", "file", "--from", NAME).code == 0
