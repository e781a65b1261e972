"""The keys an EAP-TLS conversation leaves behind, for the link it was about.

TLS 1.2 and 1.3 derive them differently; nothing else depends on the version. RFC 5216 calls MSK(0,31) the key from the
peer to the authenticator; in RADIUS that is MS-MPPE-Recv-Key, and MSK(32,63) MS-MPPE-Send-Key.

Sections: RFC 5216 2.3; RFC 9190 2.3.
"""

from dataclasses import field
from typing import Final, Self

from dnsbound.errors import Misuse
from dnsbound.hot_value import hot_value
from dnsbound.iana import TLS_1_2, TLS_1_3, VERSION_NAMES, EapType
from dnsbound.tls.shim import Shim

KEY_OCTETS: Final = 64
_METHOD_ID_OCTETS: Final = 64
_TYPE: Final = bytes((EapType.TLS,))
_LABEL_1_2: Final = b"client EAP encryption"
_LABEL_1_3: Final = b"EXPORTER_EAP_TLS_Key_Material"
_METHOD_ID_LABEL_1_3: Final = b"EXPORTER_EAP_TLS_Method-Id"


@hot_value
class EapKeys:
    """msk, emsk: 64 octets each, known to the two ends alone. session_id: names the conversation to both; empty where
    it was not asked for."""

    msk: bytes = field(repr=False)
    emsk: bytes = field(repr=False)
    session_id: bytes

    @classmethod
    def export(cls, shim: Shim, *, with_session_id: bool = True) -> Self:
        """Of a connection whose handshake is complete."""
        version = shim.version()
        if version == VERSION_NAMES[TLS_1_3]:
            material = shim.export_keying_material(_LABEL_1_3, 2 * KEY_OCTETS, _TYPE)
        elif version == VERSION_NAMES[TLS_1_2]:
            material = shim.export_keying_material(_LABEL_1_2, 2 * KEY_OCTETS)
        else:
            raise Misuse(f"EAP-TLS has no keys of {version or 'a handshake that is not complete'}")
        session_id = _TYPE + _method_id(shim, version) if with_session_id else b""
        return cls(msk=material[:KEY_OCTETS], emsk=material[KEY_OCTETS:], session_id=session_id)


def _method_id(shim: Shim, version: str) -> bytes:
    if version == VERSION_NAMES[TLS_1_2]:
        return b"".join(shim.hello_randoms())
    return shim.export_keying_material(_METHOD_ID_LABEL_1_3, _METHOD_ID_OCTETS, _TYPE)
