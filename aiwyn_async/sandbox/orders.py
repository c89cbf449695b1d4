"""The ids a request selects, in its order, kept from page to page so that any page is a slice."""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

__all__ = ["OrderCache", "Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """A window on a shared array of ids."""

    ids: "array[int]"
    low: int
    high: int
    backwards: bool = False

    @property
    def count(self) -> int:
        """How many rows are selected."""
        return self.high - self.low

    def page(self, skip: int, size: int) -> Sequence[int]:
        """At most `size` ids after the first `skip`."""
        if self.backwards:
            stop = max(self.low, self.high - skip)
            return self.ids[max(self.low, stop - size) : stop][::-1]
        start = min(self.low + skip, self.high)
        return self.ids[start : min(start + size, self.high)]


class OrderCache:
    """The orders used last.

    Args:
        orders: How many to keep.
        ids: How many ids to keep in all of them together; the one in use is kept whatever its length.
    """

    def __init__(self, orders: int = 16, ids: int = 8_000_000) -> None:
        self._most_orders = orders
        self._most_ids = ids
        self._kept: OrderedDict[Hashable, array[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, read: Callable[[], "array[int]"]) -> "array[int]":
        """The ids under `key`, read if they are not kept."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found
        ids = self._kept[key] = read()
        while len(self._kept) > 1 and self._is_over():
            self._kept.popitem(last=False)
        return ids

    def clear(self) -> None:
        """Forget all, since rows have changed."""
        self._kept.clear()

    def _is_over(self) -> bool:
        return len(self._kept) > self._most_orders or sum(map(len, self._kept.values())) > self._most_ids
