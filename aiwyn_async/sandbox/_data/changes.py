"""Changes of entities, of which subscribers are notified."""

from dataclasses import dataclass
from typing import Literal

Operation = Literal["CREATE", "UPDATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class Change:
    """An entity created, updated or deleted; ``data`` is its JSON or None."""

    entity_type: str
    operation: Operation
    entity_id: int
    data: bytes | None
