"""The chains of RFC 9102 appendix A in real handshakes, at their own time."""

import json
from calendar import timegm
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Reason
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.chain import ChainExtension
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.tls.errors import TLSCertificateRefused, TLSUndecided
from machines.chain_pairs import fails, meet, serving
from machines.native_pairs import authority, make_identity
from machines.shim_pairs import Pair, client

FILE = json.loads((Path(__file__).parent.parent / "vectors/rfc9102-vectors.json").read_text())
APPENDIX = {vector["id"]: vector for vector in FILE["vectors"]}
THEIR_TIME = timegm((2019, 6, 1, 0, 0, 0))
THEIR_RECORD = "3 1 1 8bd1da95272f7fa4ffb24137fc0ed03aae67e5c4d8b3c50734e1050a7920b922"


@pytest.mark.parametrize("ident", APPENDIX)
def test_dc_04_the_vectors_of_the_appendix(ident: str) -> None:
    """Whoever shows these chains must have the key behind them, which nobody here has: where they hold records, the
    handshake ends at that key; where they hold a denial, at nothing."""
    vector = APPENDIX[ident]
    host = vector["qname"].removeprefix("_443._tcp.").removeprefix("_25._tcp.").rstrip(".")
    port = int(vector["qname"].split(".")[0][1:])
    own = make_identity(host, issuer=authority())
    served = ServedChain(host=host, port=port, source=FixedChain(bytes.fromhex(vector["chain_wire_hex"])))
    far = serving(None, own, dnssec_chain=served)

    def near(*, anchors: TrustAnchors, now: float, required: bool = False) -> Context:
        request = ChainRequest(port=port, anchors=anchors)
        mode: Any = "require" if required else "off"
        # By the clock of 2019 a certificate of today would not hold yet: the engine's own clock judges those.
        return client(dnssec_chain=request, server_tlsa=mode, clock=lambda: now)

    theirs = TrustAnchors.from_text(FILE["trust_anchor_ds"])
    if ident in {"A.6", "A.7", "A.8"}:
        assert meet(near(anchors=theirs, now=THEIR_TIME), far, host=host).near.server_tlsa() is None
        error = fails(near(anchors=theirs, now=THEIR_TIME, required=True), far, host=host)
        assert error.reason is (Reason.INSECURE if ident == "A.8" else Reason.NO_TLSA)
    else:
        assert isinstance(fails(near(anchors=theirs, now=THEIR_TIME), far, host=host), TLSCertificateRefused)
    assert fails(near(anchors=theirs, now=THEIR_TIME + 10**9), far, host=host).reason is Reason.BOGUS
    assert fails(near(anchors=TrustAnchors.root(), now=THEIR_TIME), far, host=host).reason is Reason.BOGUS


def test_the_appendix_s_extension_data_is_ours() -> None:
    data = bytes.fromhex(APPENDIX["A.1"]["extension_data_hex_from_rfc"])
    served = ServedChain(host="www.example.com", port=443, source=FixedChain(data[2:]), lifetime=0)
    far = serving(None, dnssec_chain=served)
    assert served.lifetime.to_bytes(2, "big") + data[2:] == data
    assert ChainExtension.from_wire(data).lifetime == 0
    pair = Pair.of(client(dnssec_chain=ChainRequest()), far, host="www.example.com")
    with pytest.raises(TLSUndecided):
        pair.shake()
    assert pair.near._sslobj._connection.server_chain() == data
