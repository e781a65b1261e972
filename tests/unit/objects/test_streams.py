"""Streams signed while they are recorded and verified while they come; what breaks them, and going on."""

import os
import threading

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.segment_checking import check_stream
from dnsbound.edge.segment_files import GrowingInput, RecordLines
from dnsbound.edge.segment_signing import SegmentFile, sign_rest, sign_stream
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import SEGMENT_RECORD_OCTETS
from dnsbound.objects import jose
from dnsbound.objects.large.segments import SEGMENT_TYPE, SegmentCutter
from unit.claims import CREDENTIAL, NAME, NOW, Records, answer

CONTENT = os.urandom(10_000)
SEGMENT = 1024
EDWARDS = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519, kind="raw")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cam.segments"


def opened(held, path):
    descriptor = os.open(path, os.O_RDONLY)
    held.append(descriptor)
    return GrowingInput(descriptor)


@pytest.fixture
def held():
    descriptors = []
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def recorded(place, held, content=CONTENT, credential=CREDENTIAL, records=None):
    """Sign content from a file; the lines of its records."""
    source = place.with_suffix(".source")
    source.write_bytes(content)
    records = records or SegmentFile.begin(place, credential)
    made = list(sign_stream(opened(held, source), records, SegmentCutter(octets=SEGMENT), clock=lambda: NOW))
    records.close()
    assert made[-1].last
    return place.read_bytes().splitlines(keepends=True)


def verifier(credential=CREDENTIAL, now=NOW):
    known = Records(answer(NAME, credential.tlsa(), validated_at=now))
    return ObjectVerifier.expecting([NAME], known, clock=lambda: now)


def checked(place, held, lines, content=CONTENT, **options):
    """Octets that were released, and why it ended."""
    place.write_bytes(b"".join(lines))
    data = place.with_suffix(".data")
    data.write_bytes(content)
    released = []
    options = {"release": released.append, "verifier": verifier()} | options
    error = None
    try:
        for _ in check_stream(opened(held, data), RecordLines(opened(held, place)), **options):
            pass
    except (Refused, Undecided) as refused:
        error = refused.reason
    return b"".join(released), error


@pytest.mark.parametrize("credential", [CREDENTIAL, EDWARDS], ids=["P-256", "Ed25519"])
@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 10_000])
def test_what_is_recorded_is_verified(place, held, credential, size):
    lines = recorded(place, held, CONTENT[:size], credential)
    assert len(lines) == size // SEGMENT + 1
    assert checked(place, held, lines, CONTENT[:size], verifier=verifier(credential)) == (CONTENT[:size], None)


BREAKS = {
    "one left out": (lambda lines: lines[:3] + lines[4:], 3, Reason.STREAM_BROKEN),
    "the first left out": (lambda lines: lines[1:], 0, Reason.STREAM_BROKEN),
    "two swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 1, Reason.STREAM_BROKEN),
    "one shown again": (lambda lines: [*lines[:2], lines[1], *lines[2:]], 2, Reason.STREAM_BROKEN),
    "cut off": (lambda lines: lines[:4], 4, Reason.INCOMPLETE),
    "cut off in a line": (lambda lines: [*lines[:4], lines[4][:50]], 4, Reason.INCOMPLETE),
    "nothing at all": (lambda lines: [], 0, Reason.INCOMPLETE),
}


@pytest.mark.parametrize("case", BREAKS)
def test_bg_15_a_broken_chain_is_seen_and_nothing_after_it_is_released(place, held, case):
    change, whole, reason = BREAKS[case]
    lines = change(recorded(place, held))
    assert checked(place, held, lines) == (CONTENT[: whole * SEGMENT], reason)


@pytest.mark.parametrize(
    ("content", "whole", "reason"),
    [
        (CONTENT[:-1], 9, Reason.INCOMPLETE),
        (CONTENT[: 2 * SEGMENT], 2, Reason.INCOMPLETE),
        (CONTENT + b"x", 10, Reason.CONTENT_MISMATCH),
        (CONTENT[:SEGMENT] + b"x" + CONTENT[SEGMENT + 1 :], 1, Reason.CONTENT_MISMATCH),
        (CONTENT[SEGMENT : 2 * SEGMENT] + CONTENT[:SEGMENT] + CONTENT[2 * SEGMENT :], 0, Reason.CONTENT_MISMATCH),
    ],
    ids=["short", "very short", "long", "changed", "swapped"],
)
def test_bg_15_other_octets_are_not_released(place, held, content, whole, reason):
    assert checked(place, held, recorded(place, held), content) == (CONTENT[: whole * SEGMENT], reason)


def test_bg_16_a_stream_of_yesterday_is_not_live(place, held):
    lines = recorded(place, held)
    assert checked(place, held, lines, max_age=60, verifier=verifier(now=NOW + 59))[1] is None
    assert checked(place, held, lines, max_age=60, verifier=verifier(now=NOW + 61)) == (b"", Reason.STALE)


def test_a_stream_that_was_expected_is_the_only_one_taken(place, held):
    lines = recorded(place, held)
    token = jose.parse(lines[0].strip(), typ=SEGMENT_TYPE)
    stream = token.payload.decode().split('"')[3]
    assert checked(place, held, lines, stream=stream)[1] is None
    assert checked(place, held, lines, stream="0" * 32) == (b"", Reason.STREAM_BROKEN)


def test_a_segment_signed_by_another_is_refused(place, held):
    """Another permitted name cannot take a stream over."""
    other = Credential.generate("car55._device.cars.example", now=NOW)
    lines = recorded(place, held)
    payload = jose.parse(lines[1].strip(), typ=SEGMENT_TYPE).payload
    lines[1] = jose.sign(payload, other, typ=SEGMENT_TYPE).encode() + b"\n"
    both = Records(answer(NAME, CREDENTIAL.tlsa()))
    anybody = ObjectVerifier.expecting(["*._device.cars.example"], both, clock=lambda: NOW)
    assert checked(place, held, lines, verifier=anybody) == (CONTENT[:SEGMENT], Reason.STREAM_BROKEN)


def test_bg_17_a_signer_whose_record_goes_is_refused_from_then_on(place, held):
    lines = recorded(place, held)
    place.write_bytes(b"".join(lines))
    data = place.with_suffix(".data")
    data.write_bytes(CONTENT)
    known = Records(answer(NAME, CREDENTIAL.tlsa()))
    door = ObjectVerifier.expecting([NAME], known, clock=lambda: NOW)
    segments = check_stream(opened(held, data), RecordLines(opened(held, place)), door)
    next(segments)
    known.answers = Records(answer(NAME)).answers
    with pytest.raises(Refused) as caught:
        next(segments)
    assert caught.value.reason is Reason.NO_TLSA


def test_lines_that_are_no_records_are_malformed(place, held):
    for line in (b"garbage\n", b"\n", jose.sign(b"{}", CREDENTIAL, typ="other").encode() + b"\n"):
        with pytest.raises(Malformed):
            checked(place, held, [line])
    with pytest.raises(LimitExceeded):
        checked(place, held, [b"e" * (2 * SEGMENT_RECORD_OCTETS.default)])


@pytest.mark.parametrize("torn", [b"", b"eyJhbGciOiJFUzI1NiIsImtpZCI6"])
def test_bg_18_an_interrupted_recording_goes_on_after_its_last_whole_record(place, held, torn):
    lines = recorded(place, held)
    place.write_bytes(b"".join(lines[:4]) + torn)
    records = SegmentFile.resume(place, CREDENTIAL)
    assert records.position.offset == 4 * SEGMENT
    again = recorded(place, held, CONTENT[4 * SEGMENT :], records=records)
    assert again[:4] == lines[:4]
    assert checked(place, held, again) == (CONTENT, None)


def test_a_recording_is_resumed_by_its_own_signer_alone_and_not_after_its_end(place, held):
    lines = recorded(place, held)
    with pytest.raises(Misuse, match="ended"):
        SegmentFile.resume(place, CREDENTIAL)
    with pytest.raises(FileExistsError):
        SegmentFile.begin(place, CREDENTIAL)
    other_name = Credential.generate("car55._device.cars.example", now=NOW)
    same_key = Credential(other_name.name, CREDENTIAL.private_key)
    place.write_bytes(b"".join(lines[:4]))
    for credential in (EDWARDS, other_name, same_key):
        with pytest.raises(Misuse):
            SegmentFile.resume(place, credential)
    for octets in (b"", b"garbage", b"garbage\n", lines[0][:-1]):
        place.write_bytes(octets)
        with pytest.raises(Misuse):
            SegmentFile.resume(place, CREDENTIAL)


def test_an_interruption_signs_what_has_come(place, held):
    reading, writing = os.pipe()
    held += [reading, writing]
    stop = []
    source = GrowingInput(reading, stopped=lambda: bool(stop))
    records, cutter, copied = SegmentFile.begin(place, CREDENTIAL), SegmentCutter(octets=SEGMENT), []
    os.write(writing, CONTENT[: SEGMENT + 10])

    def copy(octets):
        copied.append(octets)
        if sum(map(len, copied)) == SEGMENT + 10:
            stop.append(True)

    with pytest.raises(KeyboardInterrupt):
        list(sign_stream(source, records, cutter, clock=lambda: NOW, copy=copy))
    rest = sign_rest(records, cutter, now=NOW)
    records.close()
    assert (rest.offset, rest.size, rest.last) == (SEGMENT, 10, False)
    assert checked(place, held, place.read_bytes().splitlines(keepends=True), b"".join(copied)) == (
        CONTENT[: SEGMENT + 10],
        Reason.INCOMPLETE,
    )


def test_a_segment_that_waits_for_more_is_signed_when_its_time_is_over(place, held):
    reading, writing = os.pipe()
    held.append(reading)
    os.write(writing, b"one frame")
    records, cutter = SegmentFile.begin(place, CREDENTIAL), SegmentCutter(seconds=0.2)
    segments = sign_stream(GrowingInput(reading), records, cutter)
    first = next(segments)
    assert (first.size, first.last) == (9, False)
    os.close(writing)
    assert next(segments).last
    records.close()


def test_a_live_stream_is_verified_while_it_is_recorded(place, held):
    """Recorder and viewer at the same time, through pipes; nothing is there before it comes."""
    (data_out, data_in), (line_out, line_in) = os.pipe(), os.pipe()
    held += [data_out, line_out]
    records = SegmentFile(line_in, CREDENTIAL, SegmentFile.begin(place, CREDENTIAL).position)
    seen = threading.Event()

    def record():
        source_out, source_in = os.pipe()
        os.write(source_in, CONTENT[:SEGMENT])
        cutter = SegmentCutter(octets=SEGMENT)
        segments = sign_stream(
            GrowingInput(source_out), records, cutter, clock=lambda: NOW, copy=lambda octets: os.write(data_in, octets)
        )
        next(segments)
        assert seen.wait(20)
        os.write(source_in, CONTENT[SEGMENT : SEGMENT + 10])
        os.close(source_in)
        list(segments)
        for descriptor in (source_out, data_in, line_in):
            os.close(descriptor)

    recorder = threading.Thread(target=record)
    recorder.start()
    released = []
    lines = RecordLines(GrowingInput(line_out))
    for _ in check_stream(GrowingInput(data_out), lines, verifier(), release=released.append):
        seen.set()
    recorder.join(20)
    assert released == [CONTENT[:SEGMENT], CONTENT[SEGMENT : SEGMENT + 10]]


def test_a_file_that_grows_is_followed_until_nothing_comes(tmp_path, held):
    path = tmp_path / "growing"
    path.write_bytes(b"one")
    moments = iter([0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.3, 5.4])

    def grown():
        """Asked between two looks: the writer's turn."""
        if path.stat().st_size == 3 and reading.is_file and seen:
            path.write_bytes(b"one, two")
        return False

    descriptor = os.open(path, os.O_RDONLY)
    held.append(descriptor)
    seen = []
    reading = GrowingInput(descriptor, patience=5, stopped=grown, monotonic=lambda: next(moments))
    seen.append(reading.read(100))
    seen.append(reading.read(100))
    seen.append(reading.read(100))
    assert seen == [b"one", b", two", b""]


def test_nothing_that_comes_in_time_is_none(held):
    reading, writing = os.pipe()
    held += [reading, writing]
    assert GrowingInput(reading).read(10, within=0.0) is None
