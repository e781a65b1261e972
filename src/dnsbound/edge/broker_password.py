"""The password by which an MQTT broker, and whoever it asks, knows the gate: `password_file` in both their tables."""

from dnsbound.edge.secret_files import read_secret_file
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import Misuse

_MAXIMUM_OCTETS = 65_535
"""MQTT 3.1.1 section 3.1.3.5: two octets say how long it is."""


def broker_password(table: TomlTable) -> bytes | None:
    """The file's content without its last line end; None where no file is named. Malformed, with file and line."""
    if "password_file" not in table:
        return None
    try:
        password = read_secret_file(table.path("password_file")).rstrip(b"\r\n")
    except Misuse as error:
        raise table.wrong(str(error), "password_file") from None
    if not 0 < len(password) <= _MAXIMUM_OCTETS:
        raise table.wrong("holds no password, or one of more than 65,535 octets", "password_file")
    return password
