"""BIND's validator, in delv, as a third judge of the corpus: it agrees, but for the named habits of BIND 9.18.

delv's exit code is 0 on failure, so its text is read: a comment for each RRset and each denial it judged.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Security
from dnsbound.testing.peer_configuration import delv_anchors
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Situation, read_situations
from interop.daemon import program, run

pytestmark = pytest.mark.peer("delv")

DIRECTORY = Path(__file__).parents[2] / "vectors" / "corpus"
# delv takes one anchor name alone.
SITUATIONS = [situation for situation in read_situations(DIRECTORY) if not situation.anchor]

SECONDS = 60.0
AT_ONCE = 4

HABITS = {
    "gives up at the first signature that does not hold (its bound against CVE-2023-50387)": {
        "expired-beside-good": None,
        "broken-beside-good": None,
        "three-broken-then-good": None,
        "twin-tags": None,
        "twin-tags-second-signs": None,
    },
    "wants the response code, which is not signed, to agree with the proof": {
        "nxdomain-code-with-nodata-proof": None,
        "nxdomain-for-an-empty-non-terminal": None,
        "nodata-code-with-nxdomain-proof": None,
        "records-with-nxdomain-code": None,
        "compact-nxdomain-code": None,
    },
    "checks the SOA beside a denial": {"nxdomain-start-of-authority-broken": None},
    "calls a denial under opt-out validated": {
        "nsec3-opt-out-nxdomain": Security.SECURE,
        "ds-of-unsigned-child-opt-out": Security.SECURE,
        "alias-to-opt-out": Security.SECURE,
    },
    "computes up to 150 iterations of NSEC3": {"nsec3-iterations-101": Security.SECURE},
    "does not look at NSEC3 flags it does not know": {"nsec3-flags-unknown": Security.SECURE},
    "validates RSA with SHA-1": {"rsasha1": Security.SECURE, "rsasha1-nsec3": Security.SECURE},
    "follows more aliases": {"alias-chain-too-long": Security.SECURE},
    "makes the CNAME of a DNAME anew": {"redirection-with-another-alias": Security.SECURE},
}
"""What BIND does otherwise, and how it then judges (None: no answer it would use)."""

DIFFERENT = {name: judged for habit in HABITS.values() for name, judged in habit.items()}

COMMENT = re.compile(r"^; (?:negative response, )?(fully validated|unsigned answer)$", re.MULTILINE)
FAILURE = re.compile(r"^;; resolution failed: (?!ncache )(.*)$", re.MULTILINE)
"""A negative answer is reported as a failed resolution too, with the reason `ncache ...`; that is none."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What delv wrote about each situation, by name."""
    corpus = Corpus.read(DIRECTORY, now=time.time())
    anchors = tmp_path_factory.mktemp("delv") / "anchors.conf"
    anchors.write_text(delv_anchors(TrustAnchors.from_text(corpus.tree.anchors())))
    answers = ZoneAnswers(corpus.tree.zones, recursive=True)
    with (
        serve_zones(lambda packet, udp: answers.respond_wire(packet, udp=udp)) as port,
        ThreadPoolExecutor(AT_ONCE) as at,
    ):
        texts = at.map(lambda situation: _delv(situation, anchors, port), SITUATIONS)
        return dict(zip((situation.name for situation in SITUATIONS), texts, strict=True))


def _delv(situation: Situation, anchors: Path, port: int) -> str:
    done = run(
        [
            *(program("delv"), "-a", str(anchors), "+root=.", "@127.0.0.1", "-p", str(port)),
            *(situation.question.to_text(), dns.rdatatype.to_text(situation.rdtype)),
        ],
        seconds=SECONDS,
    )
    return done.stdout + done.stderr


def judged(text: str) -> Security | None:
    """The weakest state among its comments; None when it failed or said nothing of validation."""
    comments = COMMENT.findall(text)
    if FAILURE.search(text) or not comments:
        return None
    return Security.INSECURE if "unsigned answer" in comments else Security.SECURE


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_delv_judges_as_written(situation: Situation, said: dict[str, str]) -> None:
    expected = DIFFERENT.get(situation.name, situation.expected.to_a_client[0])
    assert judged(said[situation.name]) is expected, said[situation.name]


def test_habits_are_about_situations_there_are() -> None:
    by_name = {situation.name: situation for situation in SITUATIONS}
    for name, theirs in DIFFERENT.items():
        assert by_name[name].expected.to_a_client[0] is not theirs
