"""Detached JWS over content that goes by: the same token as of the whole content, checked the same way."""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, Malformed, Misuse, Reason, Refused
from dnsbound.iana import MatchingType
from dnsbound.objects import jose
from dnsbound.objects.jose import base64url
from dnsbound.objects.large.detached import DetachedContent, DetachedSigning
from unit.claims import NAME, NOW, Records, answer

STREAMING = [kind for kind in KeyAlgorithm if kind not in (KeyAlgorithm.ED25519, KeyAlgorithm.RSA3072)]
CREDENTIALS = {kind: Credential.generate(NAME, now=NOW, algorithm=kind, kind="raw") for kind in STREAMING}
PIECES = [b"one.", b"", b"two\xff\n", b"x" * 100_000]
CONTENT = b"".join(PIECES)


def signed_by(credential, pieces=PIECES, **options):
    signing = DetachedSigning(credential, **options)
    for piece in pieces:
        signing.update(memoryview(piece))
    return signing.finish()


def content_of(token, pieces=PIECES):
    content = DetachedContent.parse(token)
    for piece in pieces:
        content.update(piece)
    return content.finish()


def key_of(credential):
    return public_key_from_spki(credential.spki)


@pytest.mark.parametrize("kind", STREAMING)
def test_bg_07_what_is_signed_in_pieces_is_signed_as_a_whole(kind):
    credential = CREDENTIALS[kind]
    whole = jose.parse(signed_by(credential), typ=None, detached=CONTENT)
    whole.check(key_of(credential))
    signed = content_of(jose.sign(CONTENT, credential, detached=True).encode())
    signed.check(key_of(credential))
    assert (signed.name.text, signed.payload) == (NAME, None)


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_rsa_signs_in_both_ways(algorithm):
    credential = CREDENTIALS[KeyAlgorithm.RSA2048]
    token = signed_by(credential, algorithm=algorithm)
    content_of(token).check(key_of(credential))
    jose.parse(token, typ=None, detached=CONTENT).check(key_of(credential))


@pytest.mark.parametrize("kind", STREAMING)
def test_other_content_another_key_and_another_signature_are_bad(kind):
    credential = CREDENTIALS[kind]
    token = signed_by(credential)
    other = Credential.generate(NAME, now=NOW, algorithm=kind, kind="raw")
    protected, _, signature = token.partition(b"..")
    spoiled = protected + b".." + base64url.encode(bytes(len(base64url.decode(signature, "signature"))))
    for signed, key in (
        (content_of(token, [CONTENT, b"."]), credential),
        (content_of(token, [CONTENT[:-1]]), credential),
        (content_of(token), other),
        (content_of(spoiled), credential),
    ):
        with pytest.raises(BadSignature):
            signed.check(key_of(key))


@pytest.mark.parametrize("kind", STREAMING)
def test_a_key_of_another_kind_is_bad(kind):
    signed = content_of(signed_by(CREDENTIALS[kind]))
    for other in STREAMING:
        if other is not kind:
            with pytest.raises(BadSignature):
                signed.check(key_of(CREDENTIALS[other]))


@pytest.mark.parametrize("kind", [KeyAlgorithm.P256, KeyAlgorithm.RSA2048])
def test_a_signature_of_another_length_is_bad(kind):
    protected, _, text = signed_by(CREDENTIALS[kind]).partition(b"..")
    signature = base64url.decode(text, "signature")
    for spoiled in (signature[:-1], signature + b"\0", b"\0" + signature, b""):
        signed = content_of(protected + b".." + base64url.encode(spoiled))
        with pytest.raises(BadSignature):
            signed.check(key_of(CREDENTIALS[kind]))


@pytest.mark.parametrize("kind", [KeyAlgorithm.P256, KeyAlgorithm.MLDSA44])
def test_the_signer_is_verified_by_name(kind):
    credential = CREDENTIALS[kind]
    records = Records(answer(NAME, credential.tlsa()))
    verifier = ObjectVerifier.expecting([NAME], records, clock=lambda: NOW)
    assert verifier.verify_blocking(content_of(signed_by(credential))).name.text == NAME
    with pytest.raises(Refused) as caught:
        verifier.verify_blocking(content_of(signed_by(credential), [b"forged"]))
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_key_that_comes_from_the_dns_alone_will_do_where_the_hash_needs_none():
    credential = CREDENTIALS[KeyAlgorithm.P256]
    records = Records(answer(NAME, credential.tlsa(matching_type=MatchingType.FULL)))
    verifier = ObjectVerifier.expecting([NAME], records, clock=lambda: NOW)
    verifier.verify_blocking(content_of(signed_by(credential, key_in_band=False)))
    with pytest.raises(Malformed):
        content_of(signed_by(CREDENTIALS[KeyAlgorithm.MLDSA44], key_in_band=False))


def test_bg_08_keys_that_need_the_whole_content_say_what_to_do_instead():
    credential = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519)
    with pytest.raises(Misuse, match="manifest"):
        DetachedSigning(credential)
    with pytest.raises(Malformed):
        DetachedContent.parse(jose.sign(CONTENT, credential, detached=True).encode())


class ElsewhereSigner:
    """A key that is not in this process."""

    needs_human = False

    def __init__(self, signer):
        self.spki, self.schemes, self.sign = signer.spki, signer.schemes, signer.sign


def test_bg_08_a_key_that_is_elsewhere_signs_no_digests():
    signer = ElsewhereSigner(CREDENTIALS[KeyAlgorithm.P256].signer)
    with pytest.raises(Misuse, match="manifest"):
        DetachedSigning(Credential(CREDENTIALS[KeyAlgorithm.P256].name, None, signer=signer))


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"..",
        b"a..b",
        b"a.b.c",
        b"....",
        jose.sign(b"x", CREDENTIALS[KeyAlgorithm.P256]).encode(),
        jose.sign(b"x", CREDENTIALS[KeyAlgorithm.P256], typ="other", detached=True).encode(),
        jose.sign(b"x", CREDENTIALS[KeyAlgorithm.P256]).encode().partition(b".")[0] + b"..AAAA",
    ],
    ids=range(8),
)
def test_what_is_no_detached_jws_is_malformed(token):
    with pytest.raises(DnsboundError):
        DetachedContent.parse(token)
