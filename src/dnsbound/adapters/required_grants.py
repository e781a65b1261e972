"""Whether what the access list grants a name is what an application asks for, the same for every kind of server."""

from collections.abc import Mapping
from typing import Any


def grants_hold(granted: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
    """Whether each wanted value is granted, by itself or in a list."""
    return all(
        value in found if isinstance(found := granted.get(key), list | tuple) else found == value and found is not None
        for key, value in wanted.items()
    )
