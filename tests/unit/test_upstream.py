"""The texts resolvers are named by."""

import base64

import pytest

from dnsbound.edge.upstream import Upstream, system_upstreams
from dnsbound.errors import DnsboundError, Malformed, Misuse

PIN = base64.b64encode(b"\x07" * 32).decode()


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("127.0.0.1", Upstream(address="127.0.0.1")),
        ("127.0.0.1:5300", Upstream(address="127.0.0.1", port=5300)),
        ("2001:db8::53", Upstream(address="2001:db8::53")),
        ("[2001:db8::53]:5300", Upstream(address="2001:db8::53", port=5300)),
        ("[2001:db8::53]", Upstream(address="2001:db8::53")),
        ("tls://192.0.2.1#dns.example", Upstream(address="192.0.2.1", port=853, tls=True, name="dns.example")),
        ("tls://192.0.2.1#dns.example.", Upstream(address="192.0.2.1", port=853, tls=True, name="dns.example")),
        ("tls://[2001:db8::1]:8853#a.b", Upstream(address="2001:db8::1", port=8853, tls=True, name="a.b")),
        (
            f"tls://192.0.2.1#sha256/{PIN}",
            Upstream(address="192.0.2.1", port=853, tls=True, pins=frozenset({b"\x07" * 32})),
        ),
        (
            f"tls://192.0.2.1#dns.example,sha256/{PIN},tlsa",
            Upstream(
                address="192.0.2.1", port=853, tls=True, name="dns.example", pins=frozenset({b"\x07" * 32}), tlsa=True
            ),
        ),
    ],
)
def test_forms(text: str, upstream: Upstream) -> None:
    assert Upstream.parse(text) == upstream
    assert Upstream.parse(str(upstream)) == upstream


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns.example",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "127.0.0.1:\u0661",
        "[::1",
        "[::1]x",
        "[::1]:",
        "https://127.0.0.1",
        "tls://dns.example#dns.example",
        "tls://127.0.0.1#a b",
        "tls://127.0.0.1#one.example,two.example",
        "tls://127.0.0.1#sha256/abc",
        "tls://127.0.0.1#sha256/YWJj",
        "tls://127.0.0.1#" + "a" * 300,
    ],
)
def test_forms_that_are_none(text: str) -> None:
    with pytest.raises(DnsboundError):
        Upstream.parse(text)


@pytest.mark.parametrize("text", ["tls://127.0.0.1", "127.0.0.1#dns.example", "tls://127.0.0.1#tlsa"])
def test_tls_and_a_proof_belong_together(text: str) -> None:
    with pytest.raises(Misuse):
        Upstream.parse(text)


def test_opportunistic_must_be_asked_for() -> None:
    upstream = Upstream.parse("tls://127.0.0.1", danger_opportunistic=True)
    assert not upstream.is_authenticated
    assert Upstream.parse("tls://127.0.0.1#dns.example").is_authenticated
    assert not Upstream.parse("127.0.0.1").is_authenticated
    with pytest.raises(Misuse):
        Upstream.parse("127.0.0.1", danger_opportunistic=True)


def test_labels_for_people() -> None:
    assert Upstream.parse("192.0.2.1").label == "the resolver at 192.0.2.1"
    assert Upstream.parse("192.0.2.1:5300").label == "the resolver at 192.0.2.1 port 5300"
    assert Upstream.parse("tls://192.0.2.1#x.example").label == "the resolver at 192.0.2.1"


def test_system_configuration() -> None:
    text = """# comment
search example
nameserver 192.0.2.1
nameserver   2001:db8::1 # trailing
nameserver
nameserver not-an-address
options edns0
; nameserver 192.0.2.9
"""
    assert [upstream.address for upstream in system_upstreams(text)] == ["192.0.2.1", "2001:db8::1"]
    assert system_upstreams("") == ()


def test_direct_construction_is_checked_too() -> None:
    with pytest.raises(Malformed):
        Upstream(address="nowhere")
