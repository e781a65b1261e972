"""Zone keys in files: one PEM file per zone, for its owner alone, written whole or not at all.

The text is `ZoneKeys.to_pem`: PKCS#8 blocks under a line each that says what the key is for. Nothing here makes keys or
decides about rolls.
"""

from pathlib import Path

import dns.name

from dnsbound.dns.signer import ZoneKeys
from dnsbound.edge.secret_files import read_secret_file, write_secret_file
from dnsbound.errors import Malformed


def load_zone_keys(origin: dns.name.Name, path: Path, *, danger_readable_by_others: bool = False) -> ZoneKeys:
    """The keys of the zone `origin`. Misuse when the file cannot be read or others may read it, Malformed when it does
    not parse or does not hold the keys of a zone."""
    octets = read_secret_file(path, danger_readable_by_others=danger_readable_by_others)
    try:
        return ZoneKeys.parse_pem(origin, octets)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def save_zone_keys(path: Path, keys: ZoneKeys, *, replace: bool = False) -> None:
    """Write the keys of a zone. replace: put them in the place of a file that is there (a roll); Misuse without. After
    an error the former file is unharmed."""
    write_secret_file(path, keys.to_pem(), replace=replace)
