"""eapol_test: wpa_supplicant's EAP peer, authenticator and RADIUS client in one process, and what it saw."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.serialization import Encoding

from interop.daemon import program, run
from interop.radius_examples import SERVER_NAME, Pem, example

SECONDS: Final = 20
"""How long one conversation may take."""

TLS12: Final = "tls_disable_tlsv1_3=1"
TLS13: Final = "tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=0"
"""1.3 and nothing else: a hole left at 1.2 makes OpenSSL offer 1.1."""
RESUMING: Final = " tls_disable_session_ticket=0"
"""Added to a phase1 of TLS 1.2, where wpa_supplicant keeps tickets out of its hellos otherwise."""
EITHER: Final = "tls_disable_tlsv1_3=0"
VERSIONS: Final = {"TLSv1.2": TLS12, "TLSv1.3": TLS13}

TUNNEL_TYPE: Final = 64
TUNNEL_MEDIUM_TYPE: Final = 65
TUNNEL_PRIVATE_GROUP_ID: Final = 81
CHARGEABLE_USER_IDENTITY: Final = 89
EAP_KEY_NAME: Final = 102
_BEGINS: Final = "CTRL-EVENT-EAP-STARTED"
_RESUMED: Final = re.compile("Handshake finished - resumed=([01])")
"""Of TLS 1.3 it is said again with each ticket."""
_NUMBERS: Final = count()


def pinned(server: Pem) -> str:
    """`ca_cert` that believes this one server certificate: what TLSA `3 0 1` says."""
    return f"hash://server/sha256/{sha256(server.leaf.public_bytes(Encoding.DER)).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplicant:
    """One `network` of wpa_supplicant. authority: the `ca_cert` it believes in. server: the name it expects, or None.
    phase1: its TLS versions. more: further lines of the block."""

    client: Pem
    authority: str
    server: str | None = SERVER_NAME
    identity: str = "@cars.example"
    phase1: str = EITHER
    fragment_octets: int | None = None
    more: Sequence[str] = ()

    def text(self, name: str = "wpa_supplicant.conf") -> str:
        """The example of this name, as this device has it."""
        more = list(self.more)
        if self.fragment_octets is not None:
            more.append(f"fragment_size={self.fragment_octets}")
        values = {
            '"@cars.example"': f'"{self.identity}"',
            "/etc/dnsbound/radius-ca.pem": self.authority,
            "/etc/dnsbound/car54.crt": str(self.client.certificate),
            "/etc/dnsbound/car54.key": str(self.client.key),
            EITHER: self.phase1,
            '    domain_match="radius.isp.example"\n': f'    domain_match="{self.server}"\n' if self.server else "",
        }
        block, brace, _ = example(name, values).rpartition("}")
        return block + "".join(f"    {line}\n" for line in more) + brace + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run saw.

    verdict: let in each time, shut out by an Access-Reject, or neither. keys_ok, keys_wrong: how many Access-Accepts
    carried the peer's own MSK, and how many did not. tls_version: as OpenSSL says it, or None. resumed: of each
    conversation whose handshake finished, in order. challenges: how many. reply: attributes of the last Access-Accept
    or Access-Reject, in order. output: all it said.
    """

    verdict: Literal["admitted", "refused", "silence"]
    keys_ok: int
    keys_wrong: int
    tls_version: str | None
    resumed: tuple[bool, ...]
    challenges: int
    reply: tuple[tuple[int, str], ...]
    output: str

    @property
    def admitted(self) -> bool:
        """Let in, with the keys that the peer has."""
        return self.verdict == "admitted" and self.keys_wrong == 0 and self.keys_ok > 0

    def of(self, attribute: int) -> tuple[str, ...]:
        """The reply's values of this attribute, as eapol_test prints them: hexadecimal but for texts."""
        return tuple(value for number, value in self.reply if number == attribute)

    @classmethod
    def parse(cls, code: int, output: str) -> "Seen":
        assert output.endswith(("SUCCESS\n", "FAILURE\n")), f"eapol_test ended with {code}: {output[-4000:]}"
        ends = re.findall(r"^MPPE keys OK: (\d+)  mismatch: (\d+)$", output, re.MULTILINE)
        ok, wrong = (int(number) for number in (ends[-1] if ends else ("0", "0")))
        versions = re.findall(r"SSL: Using TLS version (\S+)", output)
        messages = re.split(r"^RADIUS message: ", output, flags=re.MULTILINE)[1:]
        refusals = [text for text in messages if text.startswith("code=3 ")]
        replies = [text for text in messages if text.startswith(("code=2 ", "code=3 "))]
        return cls(
            verdict="admitted" if code == 0 else "refused" if refusals else "silence",
            keys_ok=ok,
            keys_wrong=wrong,
            tls_version=versions[-1] if versions else None,
            resumed=tuple(flags[0] == "1" for flags in map(_RESUMED.findall, output.split(_BEGINS)) if flags),
            challenges=sum(text.startswith("code=11 ") for text in messages),
            reply=_attributes(replies[-1]) if replies else (),
            output=output,
        )


def _attributes(message: str) -> tuple[tuple[int, str], ...]:
    found = re.findall(r"^   Attribute (\d+) \(.*\) length=\d+\n(?:      Value: (.*)\n)?", message, re.MULTILINE)
    return tuple((int(number), value.strip("'")) for number, value in found)


def eapol_test(
    directory: Path,
    supplicant: Supplicant,
    *,
    port: int,
    secret: str,
    again: int = 0,
    station: str | None = None,
    attributes: Sequence[str] = (),
    asks_key_name: bool = False,
    seconds: int = SECONDS,
) -> Seen:
    """Authenticate once, and again so many times. station: the MAC address that is the Calling-Station-Id. attributes:
    further ones of the Access-Requests (`30:s:02-00-00-00-00-01:public`). asks_key_name: by EAP-Key-Name, which must
    then be the peer's own Session-Id."""
    configuration = directory / f"eapol{next(_NUMBERS)}.conf"
    configuration.write_text(supplicant.text())
    command = [program("eapol_test"), "-c", str(configuration), "-a", "127.0.0.1", "-p", str(port), "-s", secret]
    command += ["-t", str(seconds), "-r", str(again)]
    if station is not None:
        command += ["-M", station]
    if asks_key_name:
        command.append("-e")
    for attribute in attributes:
        command += ["-N", attribute]
    done = run(command, seconds=seconds + SECONDS)
    return Seen.parse(done.returncode, done.stdout + done.stderr)
