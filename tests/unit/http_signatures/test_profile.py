"""What is signed of a message, and what a verifier insists on: hostile variants of a request that is well signed."""

from typing import Any

import pytest

from dnsbound import ClientName, LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature
from dnsbound.http_limits import (
    HTTP_CLOCK_SKEW,
    HTTP_COMPONENTS,
    HTTP_NONCE_CHARACTERS,
    HTTP_SIGNATURE_KEY_OCTETS,
    HTTP_SIGNATURE_OCTETS,
    HTTP_SIGNATURE_SECONDS,
    HTTP_SIGNATURES,
)
from dnsbound.objects.http_signatures import HttpRequest, HttpResponse, parse_request, parse_response, sign_response
from dnsbound.objects.http_signatures.message import lines, target_uri
from dnsbound.objects.http_signatures.profile import LABEL, accept_signature, with_fields
from unit.claims import NAME, NOW
from unit.http_signatures.signed_messages import (
    CONTENT,
    FIELDS,
    NONCE,
    OTHER,
    RAW,
    URL,
    X509,
    altered,
    request,
    signed,
    without,
)


def parsed(message: HttpRequest, **options: Any) -> Any:
    return parse_request(message, **({"now": NOW} | options))


def holds(message: HttpRequest, credential: Credential = RAW, **options: Any) -> bool:
    """Whether it parses, and the signature is the key's."""
    try:
        parsed(message, **options).check(public_key_from_spki(credential.spki))
    except BadSignature:
        return False
    return True


def resigned(old: str, new: str, message: HttpRequest) -> HttpRequest:
    """Signature-Input with something else said, and the signature left as it was."""
    said = lines(message.fields, "signature-input")[0]
    assert old in said
    return altered(message, "signature-input", said.replace(old, new))


def test_hs_01_method_target_and_content_digest_are_covered() -> None:
    message = signed()
    covered = [component.name for component in parsed(message).content.covered]
    assert covered == ["@method", "@target-uri", "content-digest", "content-type", "signature-key"]
    assert holds(message)
    for other in (
        HttpRequest.of("PUT", message.target_uri, message.fields),
        HttpRequest.of("POST", "https://api.example/reports?day=2", message.fields),
        HttpRequest.of("POST", "https://other.example/reports?day=1", message.fields),
        HttpRequest.of("POST", "http://api.example/reports?day=1", message.fields),
        altered(message, "content-digest", "sha-256=:" + "A" * 43 + "=:"),
    ):
        assert not holds(other)


@pytest.mark.parametrize("component", ['"@method" ', '"@target-uri" ', '"content-digest" ', '"content-type" '])
def test_hs_01_a_signature_without_one_of_them_is_none(component: str) -> None:
    with pytest.raises(Malformed):
        parsed(resigned(component, "", signed()))


def test_hs_02_agreed_fields_are_covered_where_they_are_there() -> None:
    message = signed(cover=["X-Tenant", "x-absent"])
    covered = {component.name for component in parsed(message, cover=["x-tenant"]).content.covered}
    assert "x-tenant" in covered
    assert "x-absent" not in covered
    assert not holds(altered(message, "x-tenant", "trucks"), cover=["x-tenant"])
    with pytest.raises(Malformed):
        parsed(signed(), cover=["x-tenant"])


@pytest.mark.parametrize("name", ["content-type", "content-encoding", "signature-key"])
def test_hs_02_a_field_that_says_how_to_read_the_message_cannot_be_added(name: str) -> None:
    message = without(signed(message=request(fields=()), key_in_band=False), name)
    value = lines(signed().fields, "signature-key")[0] if name == "signature-key" else "gzip"
    with pytest.raises(Malformed):
        parsed(with_fields(message, [(name, value)]))


def test_hs_03_a_signature_holds_for_a_while_alone() -> None:
    message, skew = signed(seconds=60), HTTP_CLOCK_SKEW.default
    assert holds(message, now=NOW + 60 + skew)
    assert holds(message, now=NOW - skew)
    for moment in (NOW + 61 + skew, NOW - skew - 1):
        with pytest.raises(Refused) as refused:
            parsed(message, now=moment)
        assert refused.value.reason is Reason.STALE
    with pytest.raises(Misuse):
        signed(seconds=HTTP_SIGNATURE_SECONDS.maximum + 1)
    with pytest.raises(Refused) as refused:
        parsed(signed(seconds=HTTP_SIGNATURE_SECONDS.default + 1))
    assert refused.value.reason is Reason.STALE


@pytest.mark.parametrize("parameter", ["created", "expires", "keyid", "nonce"])
def test_hs_03_what_a_signature_must_say(parameter: str) -> None:
    message = signed()
    said = lines(message.fields, "signature-input")[0]
    kept = [part for part in said.split(";") if not part.startswith(parameter)]
    with pytest.raises(Malformed):
        parsed(altered(message, "signature-input", ";".join(kept)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"expires={NOW + 300:.0f}", f"expires={NOW - 1:.0f}"),
        (f"created={NOW:.0f}", f"created={NOW:.0f}.5"),
        (f"created={NOW:.0f}", f'created="{NOW:.0f}"'),
        (f"created={NOW:.0f}", "created"),
        (f"created={NOW:.0f}", f"created=@{NOW:.0f}"),
        (f"expires={NOW + 300:.0f}", "expires=999999999999999"),
        (f'nonce="{NONCE}"', 'nonce="short"'),
        (f'nonce="{NONCE}"', f'nonce="{"n" * (HTTP_NONCE_CHARACTERS.default + 1)}"'),
        (f'nonce="{NONCE}"', f"nonce={NONCE}"),
        (f'keyid="{NAME}"', 'keyid="not a name"'),
        (f'keyid="{NAME}"', f"keyid={NAME}"),
        (f'keyid="{NAME}"', f'keyid="{NAME}";keyid="{NAME}"'),
        (f'keyid="{NAME}"', f'keyid="{NAME}";extra=1'),
        ('"@method"', '"@method" "@method"'),
        ('"@method"', '"@METHOD"'),
        ('"@method"', "@method"),
        ('"@method"', '"@method";req'),
        ('"@method"', '"@method";sf'),
        ('"@method"', '"@method" "@status"'),
        ('"@method"', '"@method" "@query-param";name="day"'),
        ('"@method"', '"@method" "@signature-params"'),
        ('"@method"', '"@method" "x-absent"'),
        ('"@method"', '"@method" "x-tenant";bs'),
        ('"@method"', '"@method" "x-tenant";key="a"'),
        ("dnsbound=(", "dnsbound=((("),
        ("dnsbound=(", "other=("),
    ],
)
def test_hs_05_anything_else_said_is_malformed(old: str, new: str) -> None:
    with pytest.raises(Malformed):
        parsed(resigned(old, new, signed()))


def test_hs_05_the_signer_is_named_by_keyid_under_our_tag() -> None:
    found = parsed(signed())
    assert found.name == ClientName.parse(NAME)
    assert found.content.label == LABEL
    assert found.content.nonce == NONCE
    for message in (request(), resigned('tag="dnsbound"', 'tag="other"', signed()), without(signed(), "signature")):
        with pytest.raises((Refused, Malformed)) as refused:
            parsed(message)
        if isinstance(refused.value, Refused):
            assert refused.value.reason is Reason.NO_CREDENTIAL


def test_hs_05_other_peoples_signatures_are_left_alone_and_two_of_ours_are_none() -> None:
    message = signed()
    said, made = (lines(message.fields, field)[0] for field in ("signature-input", "signature"))
    proxied = with_fields(
        message,
        [("Signature-Input", 'proxy=("@method");created=1;keyid="k"'), ("Signature", "proxy=:AAAA:")],
    )
    assert holds(proxied)
    again = with_fields(
        message,
        [
            ("Signature-Input", said.replace("dnsbound=(", "again=(")),
            ("Signature", made.replace("dnsbound=", "again=")),
        ],
    )
    with pytest.raises(Malformed):
        parsed(again)


def test_hs_05_labels_are_interchangeable_and_never_confused() -> None:
    message = signed()
    for field in ("signature-input", "signature", "signature-key"):
        value = lines(message.fields, field)[0].replace("dnsbound=", "sig1=", 1)
        message = altered(message, field, value)
    # Signature-Key is covered, so that its label cannot be changed; the others' labels are nobody's business.
    assert not holds(message)
    bare = signed(X509, key_in_band=False)
    for field in ("signature-input", "signature"):
        bare = altered(bare, field, lines(bare.fields, field)[0].replace("dnsbound=", "sig1=", 1))
    assert holds(bare, X509)
    assert parsed(bare).content.label == "sig1"


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048])
def test_hs_06_the_algorithm_is_the_keys(algorithm: KeyAlgorithm) -> None:
    credential = Credential.generate(NAME, now=NOW, algorithm=algorithm, kind="raw")
    message = signed(credential)
    assert holds(message, credential)
    assert not holds(message, OTHER)
    assert parsed(message).algorithm in {"ecdsa-p256-sha256", "ed25519", "rsa-pss-sha512"}
    for other in ("hmac-sha256", "rsa-v1_5-sha256", "none"):
        said = lines(message.fields, "signature-input")[0]
        named = said.replace(f'alg="{parsed(message).algorithm}"', f'alg="{other}"')
        assert not holds(altered(message, "signature-input", named), credential)


def test_hs_06_a_key_without_a_registered_algorithm_signs_nothing() -> None:
    with pytest.raises(Misuse):
        signed(Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.MLDSA44, kind="raw"))
    key = public_key_from_spki(Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.MLDSA44, kind="raw").spki)
    with pytest.raises(BadSignature):
        parsed(signed()).check(key)


def test_hs_06_a_signature_of_another_width_is_none() -> None:
    message = signed(X509)
    made = lines(message.fields, "signature")[0]
    for other in ("dnsbound=:AAAA:", made.replace("=:", "=:AAAA", 1), "dnsbound=::"):
        assert not holds(altered(message, "signature", other), X509)
    for other in ("dnsbound", "dnsbound=1", 'dnsbound="AAAA"', "dnsbound=:AAAA:;a", "dnsbound=:!:", "x=:AAAA:", ""):
        with pytest.raises(Malformed):
            parsed(altered(message, "signature", other))


def test_hs_07_the_content_is_checked_whatever_its_length() -> None:
    for content in (CONTENT, b"", b"x" * 100_000):
        said = parsed(signed(content=content)).content
        said.check_content(content)
        for other in (content + b".", b"" if content else b"."):
            with pytest.raises(Refused) as refused:
                said.check_content(other)
            assert refused.value.reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "md5=:AAAA:",
        "sha-256=:AAAA:",
        "sha-256=1",
        "sha-256",
        "sha-256=:AAAA:, md5=:AAAA:",
        "sha-256=:AAAA:, sha-256=:AAAA:",
        "unixsum=:AAAA:",
    ],
)
def test_hs_07_a_digest_that_is_none_is_refused(value: str) -> None:
    said = parsed(altered(signed(), "content-digest", value)).content if value else None
    if said is None:
        with pytest.raises(Malformed):
            parsed(without(signed(), "content-digest"))
        return
    with pytest.raises(Refused) as refused:
        said.check_content(CONTENT)
    assert refused.value.reason is Reason.BAD_SIGNATURE


def test_hs_07_every_digest_must_agree() -> None:
    one = lines(signed().fields, "content-digest")[0]
    both = parsed(altered(signed(), "content-digest", one, "sha-512=:AAAA:")).content
    with pytest.raises(Refused):
        both.check_content(CONTENT)


def test_hs_07_a_digest_that_was_there_is_kept_if_it_is_the_contents() -> None:
    digest = lines(signed().fields, "content-digest")[0]
    message = request(fields=[*FIELDS, ("Content-Digest", digest)])
    assert len(lines(signed(message=message).fields, "content-digest")) == 1
    with pytest.raises(BadSignature):
        signed(message=message, content=b"other")


def test_hs_09_the_key_in_band_is_a_bare_key_or_certificates() -> None:
    assert parsed(signed(RAW)).presented == Presented(raw_public_key=RAW.spki)
    assert parsed(signed(X509)).presented == Presented(X509.chain)
    assert parsed(signed(X509, key_in_band=False)).presented.is_empty
    shown = Presented(X509.chain)
    assert parsed(signed(X509, key_in_band=False), presented=shown).presented == shown
    assert parsed(signed(RAW), presented=shown).presented == Presented(raw_public_key=RAW.spki)


@pytest.mark.parametrize(
    "value",
    [
        "dnsbound",
        "dnsbound=1",
        'dnsbound="hwk"',
        'dnsbound=jwks_uri;id="https://keys.example"',
        "dnsbound=hwk",
        'dnsbound=hwk;kty="OKP";crv="Ed25519"',
        'dnsbound=hwk;kty="OKP";crv="Ed25519";x=1',
        'dnsbound=hwk;kty="oct";k="AAAA"',
        'dnsbound=hwk;kty="OKP";crv="Ed25519";x="AAAA"',
        "dnsbound=x5c",
        "dnsbound=x5c;der=::",
        "dnsbound=x5c;der=:AAAA:",
        "dnsbound=x5c;der=:MAA=:",
        "dnsbound=x5c;der=1",
        "dnsbound=x5c;der=:MAA=:;more",
    ],
)
def test_hs_09_a_key_that_is_none_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        parsed(altered(signed(), "signature-key", value))


@pytest.mark.parametrize("name", ["content-type"])
def test_hs_12_a_field_of_one_value_has_one_line(name: str) -> None:
    message = signed()
    value = lines(message.fields, name)[0]
    with pytest.raises(Malformed):
        parsed(with_fields(message, [(name, "text/html")]))
    with pytest.raises(Malformed):
        parsed(with_fields(message, [(name, value)]))


def test_hs_12_lines_of_a_list_are_one_value_in_their_order() -> None:
    message = request(fields=[("X-Tag", "a"), ("X-Tag", "b")])
    made = signed(message=message, cover=["x-tag"])
    assert holds(made, cover=["x-tag"])
    assert holds(altered(made, "x-tag", "a, b"), cover=["x-tag"])
    assert not holds(altered(made, "x-tag", "b", "a"), cover=["x-tag"])


def test_hs_12_a_message_is_signed_once() -> None:
    with pytest.raises(Misuse):
        signed(message=signed())


def answered(message: HttpRequest, content: bytes = b"ok", status: int = 200) -> HttpResponse:
    response = HttpResponse.of(status, [("Content-Type", "text/plain")], request=message)
    added = sign_response(response, content, X509, request_label=LABEL, now=NOW)
    return with_fields(response, added)


def test_hs_13_a_response_is_bound_to_its_request() -> None:
    message = signed()
    response = answered(message)
    found = parse_response(response, now=NOW)
    found.check(public_key_from_spki(X509.spki))
    found.content.check_content(b"ok")
    with pytest.raises(Misuse):
        _ = found.content.nonce
    other = HttpResponse(status=200, fields=response.fields, request=signed(nonce="another-nonce-of-24-char"))
    with pytest.raises(BadSignature):
        parse_response(other, now=NOW).check(public_key_from_spki(X509.spki))
    changed = HttpResponse(status=201, fields=response.fields, request=message)
    with pytest.raises(BadSignature):
        parse_response(changed, now=NOW).check(public_key_from_spki(X509.spki))
    with pytest.raises(Refused) as refused:
        parse_response(response, now=NOW + 3600)
    assert refused.value.reason is Reason.STALE


@pytest.mark.parametrize("component", ['"@status" ', '"content-digest" ', ' "signature";req;key="dnsbound"'])
def test_hs_13_a_response_without_one_of_these_is_none(component: str) -> None:
    response = answered(signed())
    said = lines(response.fields, "signature-input")[0]
    swapped = [
        (name, said.replace(component, " " if component.endswith(" ") and component != '"@status" ' else ""))
        if name == "signature-input"
        else (name, value)
        for name, value in response.fields
    ]
    with pytest.raises(Malformed):
        parse_response(HttpResponse.of(200, swapped, request=response.request), now=NOW)


def test_hs_13_a_signed_request_is_no_response_and_the_other_way_round() -> None:
    message = signed()
    with pytest.raises(Malformed):
        parse_response(HttpResponse(status=200, fields=message.fields, request=message), now=NOW)
    response = answered(message)
    with pytest.raises(Malformed):
        parsed(HttpRequest(method="POST", target_uri=URL, fields=response.fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signature-input", "a=" + "(" * HTTP_SIGNATURE_OCTETS.default),
        ("signature-input", ", ".join(f'a{index}=("@method")' for index in range(HTTP_SIGNATURES.default + 1))),
        ("signature", ", ".join(f"a{index}=:AAAA:" for index in range(HTTP_SIGNATURES.default + 1))),
        ("signature-key", "dnsbound=x5c;der=:" + "A" * HTTP_SIGNATURE_KEY_OCTETS.default + ":"),
        (
            "signature-input",
            "dnsbound=("
            + " ".join(f'"x-{index}"' for index in range(HTTP_COMPONENTS.default + 1))
            + f');created={NOW:.0f};expires={NOW:.0f};nonce="{NONCE}";keyid="{NAME}";tag="dnsbound"',
        ),
    ],
)
def test_hs_16_bombs_are_bounded(field: str, value: str) -> None:
    with pytest.raises(LimitExceeded):
        parsed(altered(signed(), field, value))


def test_hs_16_a_covered_field_may_not_be_endless() -> None:
    message = signed(message=request(fields=[("X-Big", "y" * 70_000)]))
    parsed(message)
    with pytest.raises(LimitExceeded):
        signed(message=request(fields=[("X-Big", "y" * 70_000)]), cover=["x-big"])


@pytest.mark.parametrize("value", ["caf\u00e9", "a\x00b", "a\x7fb"])
def test_covered_values_are_printable_ascii(value: str) -> None:
    with pytest.raises(Malformed):
        signed(message=request(fields=[("X-Tenant", value)]), cover=["x-tenant"])


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://API.Example", "https://api.example/"),
        ("HTTPS://api.example:443/a", "https://api.example/a"),
        ("http://api.example:80?", "http://api.example/?"),
        ("https://api.example:8443/A%2fb?x=%20#part", "https://api.example:8443/A%2fb?x=%20"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
    ],
)
def test_a_target_has_one_form(url: str, target: str) -> None:
    assert target_uri(url) == target
    assert target_uri(target) == target


@pytest.mark.parametrize(
    "url",
    [
        "/path",
        "ftp://api.example/",
        "https:///x",
        "https://u:p@api.example/",
        "https://api.example/ x",
        "https://api.example:x/",
        "https://caf\u00e9.example/",
    ],
)
def test_what_is_no_target(url: str) -> None:
    with pytest.raises(Malformed):
        target_uri(url)


def test_accept_signature_says_what_is_wanted() -> None:
    assert accept_signature() == ('dnsbound=("@method" "@target-uri" "content-digest");created;expires;tag="dnsbound"')
