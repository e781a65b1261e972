"""What a JWS must not look like, each rightly signed: strict where libraries of JOSE are lax (JO-13 to JO-21, JO-24 to
JO-26)."""

import base64
import json
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.object_limits import OBJECT_HEADER_OCTETS, OBJECT_OCTETS, OBJECT_SIGNATURES
from dnsbound.objects import jose
from unit.claims import NAME, NOW, Records, answer
from unit.objects.forged import header, signature, text, token

CAR = Credential.generate(NAME, now=NOW)
OTHER = Credential.generate(NAME, now=NOW)
EDWARDS = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519)
RSA = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.RSA2048)
URI = f"dns:{NAME}?type=TLSA"
X5C = base64.b64encode(CAR.chain[0]).decode()


def parse(made: str, **options: Any) -> Any:
    return jose.parse(made, **({"typ": None} | options))


def verified(made: str, credential: Credential = CAR, **options: Any) -> bytes:
    known = Records(answer(NAME, credential.tlsa()))
    return ObjectVerifier.expecting([NAME], known, clock=lambda: NOW).verify_blocking(parse(made, **options)).payload


def malformed(protected: dict[str, Any] | bytes, credential: Credential = CAR, **options: Any) -> None:
    with pytest.raises(Malformed):
        parse(token(credential, protected), **options)


def test_the_good_header_is_good() -> None:
    assert verified(token(CAR, header(CAR))) == b"payload"


@pytest.mark.parametrize(
    "critical",
    [
        pytest.param(["exp"], id="unknown"),
        pytest.param([], id="empty"),
        pytest.param(["b64"], id="absent"),
        pytest.param(["alg"], id="registered"),
        pytest.param(["kid"], id="registered too"),
        pytest.param(["b64", "b64"], id="twice"),
        pytest.param("b64", id="text"),
        pytest.param([7], id="number"),
        pytest.param(None, id="null"),
        pytest.param({"b64": True}, id="object"),
    ],
)
def test_jo_13_critical_parameters_are_understood_or_refused(critical: object) -> None:
    protected = header(CAR) | {"crit": critical, "exp": 7}
    malformed(protected)
    assert verified(token(CAR, header(CAR, b64=True, crit=["b64"]))) == b"payload"


@pytest.mark.parametrize(
    "protected",
    [
        b'{"alg":"ES256","alg":"ES256","kid":"car54._device.cars.example"}',
        b'{"alg":"ES256","kid":"mallory.example","kid":"car54._device.cars.example"}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":{"a":1,"a":2}}',
        b'{"alg":"ES256","\\u006bid":"mallory.example","kid":"car54._device.cars.example"}',
        b'[{"alg":"ES256"}]',
        b'"ES256"',
        b"",
        b"{",
        b'{"alg":"ES256","kid":"car54._device.cars.example"} {}',
        b'\xef\xbb\xbf{"alg":"ES256","kid":"car54._device.cars.example"}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":NaN}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":-Infinity}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":1e400}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":"\\udead"}',
        b'{"alg":"ES256","kid":"car54._device.cars.example","x":"\xff"}',
        b'{"x":' + b"[" * 10_000 + b"}",
    ],
)
def test_jo_14_a_header_is_one_object_with_every_member_once(protected: bytes) -> None:
    malformed(protected)


@pytest.mark.parametrize(
    "algorithm",
    [None, "", "none", "None", "HS256", "RS384", "RS512", "PS512", "ES256K", "es256", "ESP256", 7, ["ES256"]],
)
def test_jo_15_the_algorithm_is_said_and_known(algorithm: object) -> None:
    malformed(header(CAR) | {"alg": algorithm})
    malformed(header(CAR, alg=None))


def test_jo_06_algorithms_are_those_of_the_call_and_of_the_key() -> None:
    made = token(CAR, header(CAR))
    assert verified(made, algorithms={"ES256"}) == b"payload"
    with pytest.raises(Malformed):
        parse(made, algorithms={"EdDSA", "ES384"})
    for credential in (EDWARDS, RSA, Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.MLDSA44)):
        with pytest.raises(BadSignature):
            parse(token(credential, header(credential, alg="ES256", jwk=None))).check(verifying_key(credential.spki))
        with pytest.raises(BadSignature):
            parse(made).check(verifying_key(credential.spki))
    for name in ("RS256", "PS256"):
        assert verified(token(RSA, header(RSA, alg=name)), RSA) == b"payload"
        other = {"RS256": "PS256", "PS256": "RS256"}[name]
        moved = f"{text(header(RSA, alg=other))}.{token(RSA, header(RSA, alg=name)).partition('.')[2]}"
        with pytest.raises(BadSignature):
            parse(moved).check(verifying_key(RSA.spki))
    for name in ("EdDSA", "Ed25519"):
        assert verified(token(EDWARDS, header(EDWARDS, alg=name)), EDWARDS) == b"payload"


def loose_bits(made: str) -> str:
    """The same octets, spelt with a bit that stands for nothing: of 64 octets the last character has four."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = made[:-1] + alphabet[alphabet.index(made[-1]) + 1]
    last = loose.rpartition(".")[2]
    assert base64.urlsafe_b64decode(last + "==") == base64.urlsafe_b64decode(made.rpartition(".")[2] + "==")
    return loose


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made + "=",
        lambda made: made + "\n",
        lambda made: " " + made,
        lambda made: made.replace(".", ".\n", 1),
        lambda made: made.replace(".", "..", 1),
        lambda made: made + ".",
        lambda made: made + ".e30",
        lambda made: made.rpartition(".")[0],
        lambda made: made.partition(".")[2],
        lambda made: made.replace(".", "A.", 1),
        lambda made: made[:-1] + ("+" if made[-1] != "+" else "/"),
        lambda made: made + "\u0661",
        loose_bits,
        lambda made: "",
        lambda made: "..",
        lambda made: ".".join((*made.split(".")[:2], "")) + "!",
    ],
)
def test_jo_16_a_token_has_one_spelling(change: Any) -> None:
    with pytest.raises(Malformed):
        parse(change(token(CAR, header(CAR))))


def test_jo_16_an_empty_signature_is_none() -> None:
    made = token(CAR, header(CAR))
    with pytest.raises(BadSignature):
        parse(made.rpartition(".")[0] + ".").check(verifying_key(CAR.spki))


@pytest.mark.parametrize(
    ("kid", "x5u"),
    [
        (NAME, "dns:mallory.example?type=TLSA"),
        ("mallory.example", URI),
        (None, None),
        ("", None),
        (None, ""),
        (NAME, "https://cars.example/car54.pem"),
        (None, "https://cars.example/car54.pem"),
        ("key-1", URI),
        (NAME + ".", None),
        ("*.cars.example", None),
        ("192.0.2.1", None),
        (7, None),
        (NAME, 7),
        (None, f"dns:{NAME}"),
        (None, f"dns:{NAME}?type=A"),
        (None, f"dns:{NAME}?type=TLSA;class=CH"),
        (None, f"dns:{NAME}?type=TLSA;type=TLSA"),
        (None, f"dns:{NAME}?type=TLSA;type=A"),
        (None, f"dns:{NAME}?type=TLSA;port=5"),
        (None, f"dns:{NAME}?type=TLSA#x"),
        (None, f"dns:{NAME}?"),
        (None, f"dns://192.0.2.1/{NAME}?type=TLSA"),
        (None, f"dns://ns.example:53/{NAME}?type=TLSA"),
        (None, "dns:?type=TLSA"),
        (None, "dns:///?type=TLSA"),
        (None, "dns://?type=TLSA"),
        (None, f"dns:/{NAME}?type=TLSA"),
        (None, f"dns:////{NAME}?type=TLSA"),
        (None, "dns:car54%2E_device.cars.example?type=TLSA"),
        (None, "dns:car54%00.cars.example?type=TLSA"),
        (None, "dns:" + "a." * 200 + "example?type=TLSA"),
        (None, "dns:192.0.2.1?type=TLSA"),
    ],
)
def test_jo_17_the_signer_is_named_once(kid: object, x5u: object) -> None:
    malformed(header(CAR, kid=kid, x5u=x5u))


@pytest.mark.parametrize(
    ("kid", "x5u"),
    [
        (NAME.upper(), None),
        (NAME, URI),
        (NAME, URI.upper()),
        (None, URI),
        (None, f"dns:///{NAME}?type=TLSA"),
        (None, f"dns://{NAME}?type=TLSA"),
        (None, f"DNS:{NAME}?TYPE=tlsa;CLASS=in"),
        (None, f"dns:{NAME}?class=1;type=52"),
    ],
)
def test_jo_17_every_spelling_of_the_name_is_the_name(kid: object, x5u: object) -> None:
    assert parse(token(CAR, header(CAR, kid=kid, x5u=x5u))).name.text == NAME


def test_jo_18_the_type_is_the_one_that_is_expected() -> None:
    for said, expected in (("JWT", None), (None, "JWT"), ("report", "JWT"), ("a/b", "b"), ("application/a/b", "b")):
        with pytest.raises(Malformed):
            parse(token(CAR, header(CAR, typ=said)), typ=expected)
    for said, expected in (("JWT", "jwt"), ("application/JWT", "jwt"), ("jwt", "application/jwt"), ("a/b", "A/b")):
        assert parse(token(CAR, header(CAR, typ=said)), typ=expected).payload == b"payload"
    for said in (7, "", ["JWT"]):
        malformed(header(CAR) | {"typ": said}, typ=jose.ANY_TYP)


def test_jo_20_an_unencoded_payload_is_signed_as_it_is() -> None:
    payload = b"$.02 and \xff"
    made = jose.sign(payload, CAR, detached=True)
    assert made.split(".")[1] == ""
    assert json.loads(base64.urlsafe_b64decode(made.split(".")[0] + "=="))["crit"] == ["b64"]
    signed = parse(made, detached=payload)
    signed.check(verifying_key(CAR.spki))
    assert signed.payload is None
    for wrong in (b"$.02", base64.urlsafe_b64encode(payload), b""):
        with pytest.raises(BadSignature):
            parse(made, detached=wrong).check(verifying_key(CAR.spki))
    with pytest.raises(Malformed):
        parse(made)
    with pytest.raises(Malformed):
        parse(jose.sign(payload, CAR), detached=payload)
    with pytest.raises(BadSignature):
        parse(made.replace("..", ".AAAA."), detached=None).check(verifying_key(CAR.spki))


def unencoded(payload: str, **members: Any) -> str:
    protected = header(CAR, b64=False, crit=["b64"]) | members
    message = f"{text(protected)}.{payload}"
    return f"{message}.{signature(CAR, protected, message.encode())}"


def test_jo_20_an_unencoded_payload_in_the_token_has_plain_characters() -> None:
    assert verified(unencoded("hello, world!")) == b"hello, world!"
    for payload in ("a.b", "line\nfeed", "\x7f", ""):
        with pytest.raises(Malformed):
            parse(unencoded(payload))


@pytest.mark.parametrize("members", [{"crit": None}, {"b64": "false"}, {"b64": 0}, {"b64": None}])
def test_jo_20_b64_is_a_truth_value_and_critical(members: dict[str, Any]) -> None:
    protected = header(CAR, b64=False, crit=["b64"]) | members
    if protected["crit"] is None:
        del protected["crit"]
    malformed(protected)


def test_jo_20_an_encoded_payload_may_be_detached_too() -> None:
    made = token(CAR, header(CAR), b"far away")
    first, _, last = made.split(".")
    parse(f"{first}..{last}", detached=b"far away").check(verifying_key(CAR.spki))
    with pytest.raises(BadSignature):
        parse(f"{first}..{last}", detached=b"nearby").check(verifying_key(CAR.spki))


def test_jo_20_a_jwt_is_never_unencoded() -> None:
    payload = json.dumps({"iss": NAME, "exp": NOW + 60}).replace(".", "")
    with pytest.raises(Malformed):
        jose.parse_jwt(unencoded(payload, typ="JWT"), now=NOW, audience=None)


@pytest.mark.parametrize(
    "members",
    [
        {"jwk": "text"},
        {"jwk": []},
        {"jwk": {}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"d": "AAAA"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"use": "enc"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"key_ops": ["deriveKey"]}},
        {"jwk": jose.jwk_of(CAR.spki) | {"key_ops": "verify"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"alg": "ES384"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"alg": ["ES256"]}},
        {"jwk": jose.jwk_of(CAR.spki) | {"crv": "P-384"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"crv": "secp256k1"}},
        {"jwk": jose.jwk_of(CAR.spki) | {"x": jose.jwk_of(OTHER.spki)["x"]}},
        {"jwk": jose.jwk_of(CAR.spki) | {"x": jose.jwk_of(CAR.spki)["x"] + "="}},
        {"jwk": jose.jwk_of(CAR.spki) | {"x": "AA" + jose.jwk_of(CAR.spki)["x"]}},
        {"jwk": jose.jwk_of(CAR.spki) | {"y": 7}},
        {"jwk": jose.jwk_of(RSA.spki) | {"n": "AA" + jose.jwk_of(RSA.spki)["n"]}},
        {"jwk": jose.jwk_of(RSA.spki) | {"e": ""}},
        {"jwk": jose.jwk_of(RSA.spki) | {"e": "AAEAAQ"}},
        {"x5c": []},
        {"x5c": X5C},
        {"x5c": [7]},
        {"x5c": [X5C.replace("+", "-").replace("/", "_").rstrip("=") + "-"]},
        {"x5c": [X5C + "\n"]},
        {"x5c": [X5C] * 11},
        {"x5c": [base64.b64encode(OTHER.chain[0]).decode()]},
        {"x5c": [X5C], "x5t#S256": "AAAA"},
        {"x5c": [X5C], "x5t#S256": base64.b64encode(b"\0" * 32).decode()},
    ],
)
def test_jo_24_the_key_in_band_is_one_public_key(members: dict[str, Any]) -> None:
    malformed(header(CAR) | members)


def test_jo_24_digests_of_certificates_are_hints() -> None:
    thumbprint = base64.urlsafe_b64encode(CAR.tlsa(selector=0).data).decode().rstrip("=")
    good = header(CAR, x5c=[X5C]) | {"x5t#S256": thumbprint, "x5t": "AAAA"}
    assert verified(token(CAR, good)) == b"payload"
    assert parse(token(CAR, good)).presented == Presented((CAR.chain[0],))
    assert parse(token(CAR, header(CAR, jwk=None) | {"x5t": "AAAA"})).presented.is_empty


def test_jo_25_what_is_read_has_an_end() -> None:
    with pytest.raises(LimitExceeded):
        parse("A" * (OBJECT_OCTETS.default + 1))
    with pytest.raises(LimitExceeded):
        parse(token(CAR, header(CAR, x="x" * OBJECT_HEADER_OCTETS.default)))
    with pytest.raises(LimitExceeded):
        jose.parse_json("{" + " " * OBJECT_OCTETS.default, typ=None)
    with pytest.raises(LimitExceeded):
        jose.parse_json(json.dumps({"payload": "", "signatures": [{}] * (OBJECT_SIGNATURES.default + 1)}), typ=None)


def flattened(credential: Credential = CAR, protected: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    first, payload, last = token(credential, protected or header(credential)).split(".")
    return {"payload": payload, "protected": first, "signature": last} | members


def test_jo_21_each_signature_is_of_one_signer() -> None:
    second = Credential.generate("truck1._device.trucks.example", now=NOW, algorithm=KeyAlgorithm.ED25519)
    made = jose.sign_general(b"deed", [CAR, second], typ="deed")
    car, truck = jose.parse_json(made, typ="deed")
    assert (car.name.text, truck.name.text) == (NAME, "truck1._device.trucks.example")
    at = ObjectVerifier.expecting([NAME], Records(answer(NAME, CAR.tlsa())), clock=lambda: NOW)
    assert at.verify_blocking(car).name.text == NAME
    with pytest.raises(DnsboundError):
        at.verify_blocking(truck)
    with pytest.raises(BadSignature):
        car.check(verifying_key(second.spki))
    detached = jose.sign_general(b"deed", [CAR, second], detached=True)
    for signed in jose.parse_json(detached, typ=None, detached=b"deed"):
        signed.check(verifying_key(CAR.spki if signed.name.text == NAME else second.spki))
    for count in (0, OBJECT_SIGNATURES.default + 1):
        with pytest.raises(Misuse):
            jose.sign_general(b"deed", [CAR] * count)


def test_jo_21_the_flattened_form_has_one() -> None:
    [signed] = jose.parse_json(jose.sign_flattened(b"deed", CAR), typ=None)
    signed.check(verifying_key(CAR.spki))
    [signed] = jose.parse_json(json.dumps(flattened(header={"note": "by road"}, extra=1)), typ=None)
    signed.check(verifying_key(CAR.spki))
    protected = header(CAR, b64=False, crit=["b64"])
    message = f"{text(protected)}.Grüße."
    made = {"payload": "Grüße.", "protected": text(protected), "signature": signature(CAR, protected, message.encode())}
    [signed] = jose.parse_json(json.dumps(made), typ=None)
    signed.check(verifying_key(CAR.spki))
    assert signed.payload == "Grüße.".encode()


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"payload": "AAAA"},
        {"payload": "AAAA", "signatures": []},
        {"payload": "AAAA", "signatures": {}},
        {"payload": "AAAA", "signatures": ["x"]},
        {"payload": "AAAA", "signatures": [{}]},
        flattened() | {"signatures": [flattened()]},
        flattened(signature=7),
        flattened(signature=None),
        flattened(protected=7),
        flattened(payload=7),
        flattened(payload="A"),
        flattened(payload="\u00e9"),
        flattened(header=[]),
        {key: value for key, value in flattened().items() if key != "payload"},
        {key: value for key, value in flattened().items() if key != "protected"},
        {"payload": flattened()["payload"], "signatures": [flattened(), {"protected": "e30", "signature": "AAAA"}]},
    ],
)
def test_jo_21_all_signatures_parse_or_none_counts(made: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        jose.parse_json(json.dumps(made), typ=None)


def test_jo_21_b64_is_the_same_in_all_signatures() -> None:
    plain, raw = flattened(), header(CAR, b64=False, crit=["b64"])
    other = {"protected": text(raw), "signature": signature(CAR, raw, f"{text(raw)}.{plain['payload']}".encode())}
    with pytest.raises(Malformed):
        jose.parse_json(json.dumps({"payload": plain["payload"], "signatures": [plain, other]}), typ=None)


@pytest.mark.parametrize(
    "unprotected",
    [
        {"alg": "ES256"},
        {"kid": NAME},
        {"kid": "mallory.example"},
        {"x5u": URI},
        {"jwk": jose.jwk_of(CAR.spki)},
        {"x5c": [X5C]},
        {"x5t": "AAAA"},
        {"x5t#S256": "AAAA"},
        {"jku": "https://mallory.example/keys"},
        {"typ": "JWT"},
        {"crit": ["b64"]},
        {"b64": False},
    ],
)
def test_jo_05_what_names_the_signer_is_protected(unprotected: dict[str, Any]) -> None:
    member = next(iter(unprotected))
    protected = {name: value for name, value in header(CAR).items() if name != member}
    for given in (protected, header(CAR)):
        with pytest.raises(Malformed):
            jose.parse_json(json.dumps(flattened(protected=given, header=unprotected)), typ=None)  # type: ignore[call-overload]


def test_jo_05_no_parameter_stands_in_both_headers() -> None:
    made = flattened(CAR, header(CAR, note="here"), header={"note": "there"})
    with pytest.raises(Malformed):
        jose.parse_json(json.dumps(made), typ=None)


def test_what_a_signer_may_not_set_is_misuse() -> None:
    for extra in ({"alg": "none"}, {"kid": "mallory.example"}, {"crit": []}, {"b64": False}, {"jwk": {}}):
        with pytest.raises(Misuse):
            jose.sign(b"", CAR, header=extra)
    assert parse(jose.sign(b"x", CAR, header={"note": 7})).content.members["note"] == 7
    nameless = Credential(None, CAR.private_key)
    with pytest.raises(Misuse):
        jose.sign(b"", nameless)
    with pytest.raises(Misuse):
        jose.sign_jwt({}, nameless, now=NOW, lifetime=1)
    with pytest.raises(Misuse):
        jose.sign(b"", CAR, algorithm="EdDSA")
