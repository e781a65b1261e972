"""Whom to ask: in clear, over TLS by the server's name, by its pinned key; several, asked in order."""

import base64
import hashlib

import stage

import dnsbound
from dnsbound.testing import RESOLVER_NAME


def resolver(anchors: dnsbound.TrustAnchors, *texts: str, ca_file: str | None = None) -> dnsbound.Resolver:
    return dnsbound.Resolver([dnsbound.Upstream.parse(text, ca_file=ca_file) for text in texts], anchors)


if __name__ == "__main__":
    with stage.stage() as at:
        anchors = dnsbound.TrustAnchors.from_text((at.files / "anchors.txt").read_text())
        over_udp, over_tls = str(at.world.resolver_address), f"tls://{at.world.resolver_tls_address}"
        key = dnsbound.load_credential(at.files / "resolver.pem").spki
        pin = "sha256/" + base64.b64encode(hashlib.sha256(key).digest()).decode()
        for made in (
            resolver(anchors, over_udp),
            resolver(anchors, f"{over_tls}#{RESOLVER_NAME}", ca_file=str(at.files / "web-root.pem")),
            resolver(anchors, f"{over_tls}#{pin}"),
            resolver(anchors, "127.0.0.1:9", over_udp),  # nobody answers at the first
        ):
            with made:
                answer = made.lookup_blocking("car54._device.cars.example", "TLSA")
                print(answer.security.value, answer.outcome.value)  # secure records
