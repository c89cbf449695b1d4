"""Ids of all rows and of selected rows, cached so that a page is a slice."""

import bisect
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from aiwyn_async.sandbox._declarations.declarations import Resource

_MAX_ORDERS = 16
_MAX_IDS = 8_000_000
"""In all cached orders."""


class RowIds(dict[str, "array[int]"]):
    """The ids of every resource's rows, ascending."""

    def __repr__(self) -> str:
        return ", ".join(f"{name}={len(ids)}" for name, ids in self.items())

    def contains(self, resource: Resource, row_id: int) -> bool:
        return self._index(resource, row_id) is not None

    def add(self, resource: Resource, row_id: int) -> None:
        bisect.insort(self[resource.name], row_id)

    def remove(self, resource: Resource, row_id: int) -> None:
        """Remove the id of a row, or raise KeyError."""
        index = self._index(resource, row_id)
        if index is None:
            raise KeyError(f"{resource.name} has no id {row_id}")
        self[resource.name].pop(index)

    def _index(self, resource: Resource, row_id: int) -> int | None:
        ids = self[resource.name]
        index = bisect.bisect_left(ids, row_id)
        return index if index < len(ids) and ids[index] == row_id else None


@dataclass(frozen=True, slots=True)
class Selection:
    """A range of a shared array of ids."""

    ids: "array[int]"
    low: int
    high: int
    descending: bool = False

    @property
    def count(self) -> int:
        return self.high - self.low

    def page(self, skip: int, size: int) -> Sequence[int]:
        """Return at most ``size`` ids after the first ``skip``."""
        if self.descending:
            stop = max(self.low, self.high - skip)
            return self.ids[max(self.low, stop - size) : stop][::-1]
        start = min(self.low + skip, self.high)
        return self.ids[start : min(start + size, self.high)]


class OrderCache:
    """The most recently used orders. The newest one is cached whatever its length."""

    def __init__(self) -> None:
        self._orders: OrderedDict[Hashable, array[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, key: Hashable, read: Callable[[], "array[int]"]) -> "array[int]":
        """Return the ids of an order, read and cached if they are not yet cached."""
        if (ids := self._orders.get(key)) is not None:
            self._orders.move_to_end(key)
            return ids
        ids = self._orders[key] = read()
        while len(self._orders) > 1 and self._is_full():
            self._orders.popitem(last=False)
        return ids

    def clear(self) -> None:
        """Forget all orders, since rows have changed."""
        self._orders.clear()

    def _is_full(self) -> bool:
        return len(self._orders) > _MAX_ORDERS or sum(map(len, self._orders.values())) > _MAX_IDS
