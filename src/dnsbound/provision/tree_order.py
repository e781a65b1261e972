"""Rows at or below a name, page by page in tree order, parents before children.

Conditions that both databases answer from an index of sort keys, page after page, without looking at a row twice: a
subtree is one range, apart from names such as `cars-x.example`, which sort between `cars.example` and what is below it.
"""

from sqlalchemy import Column, ColumnElement, and_, not_, or_

from dnsbound.provision.owner import OwnerName


def at_or_below(key: Column[str], top: OwnerName) -> ColumnElement[bool]:
    """Rows of a subtree. key: the column of sort keys."""
    start, end = top.below
    return and_(key >= top.sort_key, key < end, or_(key == top.sort_key, key >= start))


def later(key: Column[str], number: Column[int], last: tuple[str, int]) -> ColumnElement[bool]:
    """Rows behind the last one of a page, which was in the order of (key, number)."""
    return and_(key >= last[0], not_(and_(key == last[0], number <= last[1])))
