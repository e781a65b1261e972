"""Numbers of COSE and CWT as IANA has them: header parameters, members of keys, claims, algorithms that are not
signatures.

Sections: RFC 9052 section 3.1, RFC 9053 sections 4 to 7, RFC 9054 section 2, RFC 9360 section 2, RFC 9528 section 3.5.2
(kccs), RFC 9596 (typ), RFC 9597 (CWT claims), RFC 9995 section 3, RFC 8392 section 4, RFC 8747 section 3.1 (cnf).
"""

from enum import IntEnum
from typing import Final

SIGN1_TAG: Final = 18
ENCRYPT0_TAG: Final = 16
ENCRYPT_TAG: Final = 96
CWT_TAG: Final = 61
URI_TAG: Final = 32
SIGN1_CONTENT_FORMAT: Final = 18
"""RFC 9052 section 11.3.2: the CoAP content format of a COSE_Sign1."""


class Header(IntEnum):
    """Header parameters."""

    ALG = 1
    CRIT = 2
    CONTENT_TYPE = 3
    KID = 4
    IV = 5
    PARTIAL_IV = 6
    KCCS = 14
    CWT_CLAIMS = 15
    TYP = 16
    X5CHAIN = 33
    X5T = 34
    X5U = 35
    PAYLOAD_HASH_ALG = 258
    PREIMAGE_CONTENT_TYPE = 259
    PAYLOAD_LOCATION = 260
    EPHEMERAL_KEY = -1
    SALT = -20
    PARTY_U_IDENTITY = -21
    PARTY_U_NONCE = -22
    PARTY_U_OTHER = -23
    PARTY_V_IDENTITY = -24
    PARTY_V_NONCE = -25
    PARTY_V_OTHER = -26


class KeyMember(IntEnum):
    """Members of a COSE_Key; those below 0 depend on its type."""

    KTY = 1
    KID = 2
    ALG = 3
    KEY_OPS = 4
    CURVE = -1
    X = -2
    Y = -3
    RSA_N = -1
    RSA_E = -2
    AKP_PUB = -1


class KeyType(IntEnum):
    """RFC 9053 section 7, RFC 8230 section 4, RFC 9964."""

    OKP = 1
    EC2 = 2
    RSA = 3
    AKP = 7


class Claim(IntEnum):
    """Claims of a CWT."""

    ISS = 1
    SUB = 2
    AUD = 3
    EXP = 4
    NBF = 5
    IAT = 6
    CTI = 7
    CNF = 8


class HashAlgorithm(IntEnum):
    """RFC 9054; those that digest files here."""

    SHA_256 = -16
    SHA_384 = -43
    SHA_512 = -44

    @property
    def hashlib_name(self) -> str:
        return self.name.replace("_", "").lower()
