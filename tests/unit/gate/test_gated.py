"""The filter that changes nothing, and the table of protocols."""

from pathlib import Path

import pytest

from dnsbound.edge.gate_protocols import GATED, Gated
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed
from dnsbound.protocols.gated import NOTHING, BackendError, GateStranger, Step

STRANGER = GateStranger(door="any", tls_version="TLSv1.3", client=("192.0.2.1", 40000), server=("192.0.2.2", 8883))


NEEDED = {
    "sip": 'domain = "isp.example"\n',
    "smtp": 'host = "mail.isp.example"\n',
    "xmpp": 'domain = "xmpp.isp.example"\nsecret_file = "secret"\n',
}
"""Options that a protocol cannot do without."""


def options(text: str, directory: Path = Path()) -> TomlTable:
    return TomlTable.of(TomlText(path=directory / "gate.toml", text=text))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("0123456789abcdefghijkl\n")
    path.chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("word", GATED)
def test_every_protocol_reads_options_and_leaves_unknown_ones(word: str, secret: Path) -> None:
    table = options(NEEDED.get(word, "") + "nonsense = 1", secret)
    gated = GATED[word](table)
    assert isinstance(gated, Gated)
    with pytest.raises(Malformed, match="nonsense"):
        table.done()


@pytest.mark.parametrize("word", NEEDED)
def test_options_that_are_needed_are_missed(word: str) -> None:
    with pytest.raises(Malformed, match="is missing"):
        GATED[word](options(""))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("smtp", 'host = "a b"'),
        ("smtp", 'host = "m\u00e4il.example"'),
        ("smtp", 'host = "mail.example"\nstrangers = "yes"'),
        ("xmpp", 'domain = "a/b"\nsecret_file = "secret"'),
        ("xmpp", 'domain = "xmpp.example"\nsecret_file = "nowhere"'),
        ("xmpp", 'domain = "xmpp.example"\nsecret_file = "short"'),
        ("xmpp", 'domain = "xmpp.example"\nsecret_file = "open"'),
        ("sip", 'domain = "isp.example"\nfrom = "maybe"'),
    ],
)
def test_options_that_cannot_be(word: str, text: str, secret: Path) -> None:
    for name, words, mode in (("short", "secret", 0o600), ("open", "0123456789abcdefghijkl", 0o644)):
        (secret / name).write_text(words)
        (secret / name).chmod(mode)
    with pytest.raises(Malformed, match="gate"):
        GATED[word](options(text, secret))


@pytest.mark.parametrize("word", ["smtp", "xmpp"])
def test_with_tls_from_the_start_there_is_no_greeting_in_clear(word: str, secret: Path) -> None:
    assert GATED[word](options(NEEDED[word], secret)).greeting is not None
    assert GATED[word](options(NEEDED[word] + "starttls = false", secret)).greeting is None


def test_smtp_lets_strangers_in_where_it_is_told_to() -> None:
    assert not GATED["smtp"](options(NEEDED["smtp"])).strangers
    assert GATED["smtp"](options(NEEDED["smtp"] + 'strangers = "pass"')).strangers


def test_tcp_passes_octets_both_ways_and_lets_no_stranger_in() -> None:
    gated = GATED["tcp"](options(""))
    assert not gated.strangers
    assert gated.greeting is None
    assert gated.alpn == ()
    through = gated.protocol(STRANGER)
    assert through.begin() == NOTHING
    assert through.client_said(b"\x00a") == Step(to_backend=b"\x00a")
    assert through.backend_said(b"b\xff") == Step(to_client=b"b\xff")
    assert through.client_ended() == NOTHING
    down = BackendError("refused")
    assert through.unreachable(down) == Step(end=down)
    assert through.backend_ended() == NOTHING
