"""Commits and tags as octets: what is signed, by which signature, in whose name; what two readers could read twice."""

import pytest

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.names import ClientName
from dnsbound.objects.git_object import GitObject
from dnsbound.objects.sshsig import FIRST_LINE, LAST_LINE

CAR = ClientName.parse("car54._device.cars.example")
HEAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.example> 1 +0000\n"
COMMITTER = b"committer Fleet <fleet@car54._device.cars.example> 1 +0000\n"
ARMOUR = f"{FIRST_LINE}\nU1NIU0lH\n{LAST_LINE}"
BODY = b"\nroute\n\nwith a line\n"
TAG = b"object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\ntagger F <f@%s> 1 +0000\n\nrelease\n"


def header(name: str = "gpgsig", text: str = ARMOUR) -> bytes:
    return f"{name} {text}\n".replace("\n", "\n ")[:-1].encode()


def test_a_signed_commit() -> None:
    found = GitObject.of_commit(HEAD + COMMITTER + header() + BODY)
    assert (found.payload, found.signature, found.claimed) == (HEAD + COMMITTER + BODY, ARMOUR, CAR)
    assert GitObject.of_commit(HEAD + COMMITTER + header("gpgsig-sha256") + BODY).signature == ARMOUR


def test_headers_behind_and_of_several_lines_stay() -> None:
    merged = b"mergetag object 1\n type commit\n \n -----BEGIN SSH SIGNATURE-----\n gpgsig x\n"
    found = GitObject.of_commit(HEAD + COMMITTER + header() + merged + BODY)
    assert (found.payload, found.signature) == (HEAD + COMMITTER + merged + BODY, ARMOUR)


@pytest.mark.parametrize("text", ["", "-----BEGIN PGP SIGNATURE-----\n x", "x"])
def test_signatures_of_other_forms_are_none_here(text: str) -> None:
    assert GitObject.of_commit(HEAD + COMMITTER + header(text=text) + BODY).signature is None


def test_without_a_signature() -> None:
    found = GitObject.of_commit(HEAD + COMMITTER + BODY)
    assert (found.payload, found.signature) == (HEAD + COMMITTER + BODY, None)


@pytest.mark.parametrize(
    "octets",
    [
        HEAD + header() + COMMITTER + header() + BODY,
        HEAD + COMMITTER + header() + header("gpgsig-sha256") + BODY,
        HEAD + COMMITTER + header("gpgsig-other") + BODY,
        HEAD + COMMITTER + b"gpgsigx\n" + BODY,
        HEAD,
        b"",
    ],
    ids=["twice", "for both digests", "unknown", "no value", "no end of headers", "nothing"],
)
def test_sh_04_a_commit_that_could_be_read_in_two_ways(octets: bytes) -> None:
    with pytest.raises(Malformed):
        GitObject.of_commit(octets)


@pytest.mark.parametrize(
    "committer",
    [
        b"",
        COMMITTER * 2,
        b"committer Fleet <fleet> 1 +0000\n",
        b"committer Fleet <fleet@> 1 +0000\n",
        b"committer Fleet <fleet@ca r.example> 1 +0000\n",
        b"committer Fleet <fleet@192.0.2.1]> 1 +0000\n",
        b"committer Fleet <a@car54._device.cars.example> <b@other.example> 1 +0000\n",
        b"committer \xff <\xff@\xff.example> 1 +0000\n",
    ],
    ids=range(8),
)
def test_committers_that_claim_no_name(committer: bytes) -> None:
    assert GitObject.of_commit(HEAD + committer + header() + BODY).claimed is None


def test_a_signed_tag() -> None:
    tag = TAG % b"car54._device.cars.example"
    found = GitObject.of_tag(tag + ARMOUR.encode() + b"\n")
    assert (found.payload, found.signature, found.claimed) == (tag, ARMOUR + "\n", CAR)
    assert GitObject.of_tag(tag).signature is None


def test_sh_04_a_tag_with_two_signatures() -> None:
    with pytest.raises(Malformed):
        GitObject.of_tag(TAG % b"x.example" + (ARMOUR.encode() + b"\n") * 2)


def test_sh_04_what_is_too_long() -> None:
    with pytest.raises(LimitExceeded):
        GitObject.of_commit(HEAD + COMMITTER + BODY + bytes(1 << 20))
