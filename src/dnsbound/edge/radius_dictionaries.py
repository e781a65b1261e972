"""The dictionary files that radius.toml names, for grants of attributes by name. Without files it is made when a grant
first names an attribute, since that needs pyrad (extra `radius`), which servers without such grants do without.
"""

from functools import cached_property
from pathlib import Path

from dnsbound.edge.secret_files import read_public_file
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_dictionary import AttributeDictionary


class AttributesByName:
    """Implements `radius_grants.AttributeNames`."""

    def __init__(self, paths: tuple[Path, ...] = ()) -> None:
        """Read the files. Malformed or Misuse, with the file's name; Misuse without pyrad where there are files."""
        self._files = [(str(path), read_public_file(path).decode("utf-8", "replace")) for path in paths]
        if self._files:
            _ = self._dictionary

    @cached_property
    def _dictionary(self) -> AttributeDictionary:
        return AttributeDictionary(self._files)

    def encode(self, name: str, value: object) -> Attributes:
        """As `AttributeDictionary.encode`; Misuse without pyrad."""
        return self._dictionary.encode(name, value)
