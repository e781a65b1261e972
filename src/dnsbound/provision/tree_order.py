"""Rows at or below a name, page by page in tree order, parents before children.

Conditions that both databases answer from an index of sort keys, page after page, without looking at a row twice: a
subtree is one range, apart from names such as `cars-x.example`, which sort between `cars.example` and what is below it.
"""

from typing import Final

from sqlalchemy import Column, ColumnElement, and_, not_, or_

from dnsbound.provision.owner import OwnerName

BEGINNING: Final = ("", 0)
"""What the first page comes after."""


def at_or_below(key: Column[str], top: OwnerName) -> ColumnElement[bool]:
    """Rows of a subtree. key: the column of sort keys."""
    return _from(top.sort_key, key, top)


def page_after(last: tuple[str, int], key: Column[str], number: Column[int], top: OwnerName) -> ColumnElement[bool]:
    """Rows of a subtree behind the last one of a page, which was in the order of (key, number)."""
    # One lower bound alone: of two SQLite takes the first, and reads every page before this one again.
    lower = max(last[0], top.sort_key)
    return and_(_from(lower, key, top), not_(and_(key == last[0], number <= last[1])))


def _from(lower: str, key: Column[str], top: OwnerName) -> ColumnElement[bool]:
    start, end = top.below
    return and_(key >= lower, key < end, or_(key == top.sort_key, key >= start))
