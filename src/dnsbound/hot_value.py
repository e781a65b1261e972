"""Values that are made several times for each packet or login: frozen for the type checker, and quickly made.

`@dataclass(frozen=True)` sets each field by a call of `object.__setattr__`, which takes three times as long as setting
it: a tenth of the processor's time of an EAP-TLS authentication. Nothing but the type checker keeps such a value from
being changed, and it is no error at run time; what a decision rests on (claims, evidence, grants) is therefore no hot
value but a frozen dataclass.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def hot_value(cls: type[_T]) -> type[_T]:
    """As `@dataclass(frozen=True, slots=True, kw_only=True)`, without the part of it that costs."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
