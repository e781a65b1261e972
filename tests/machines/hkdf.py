"""HKDF-Expand-Label of TLS 1.3 (RFC 9846 section 7.1) for any hash, independent of the native engine."""

import hmac


def expand_label(digest: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """digest: hashlib's name of the cipher suite's hash."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(name),)) + name + bytes((len(context),)) + context
    output, block, counter = b"", b"", 0
    while len(output) < length:
        counter += 1
        block = hmac.digest(secret, block + info + bytes((counter,)), digest)
        output += block
    return output[:length]
