"""An observer that records what it is called with."""

from __future__ import annotations

from typing import Any

from aiwyn_async import AttemptEnd, CallEnd, ObservedCall, WaitStart

__all__ = ["RecordingObserver"]


class RecordingObserver:
    """Records all events in order, each with its call."""

    def __init__(self) -> None:
        self.events: list[tuple[ObservedCall, Any]] = []

    def call_started(self, call: ObservedCall) -> None:
        self.events.append((call, "started"))

    def wait_started(self, call: ObservedCall, wait: WaitStart) -> None:
        self.events.append((call, wait))

    def attempt_ended(self, call: ObservedCall, attempt: AttemptEnd) -> None:
        self.events.append((call, attempt))

    def call_ended(self, call: ObservedCall, end: CallEnd) -> None:
        self.events.append((call, end))

    @property
    def calls(self) -> list[ObservedCall]:
        return [call for call, event in self.events if event == "started"]

    @property
    def waits(self) -> list[WaitStart]:
        return [event for _, event in self.events if isinstance(event, WaitStart)]

    @property
    def attempts(self) -> list[AttemptEnd]:
        return [event for _, event in self.events if isinstance(event, AttemptEnd)]

    @property
    def ends(self) -> list[CallEnd]:
        return [event for _, event in self.events if isinstance(event, CallEnd)]

    def kinds(self) -> list[str]:
        return [event if event == "started" else type(event).__name__ for _, event in self.events]

    def assert_all_ended(self) -> None:
        """Each call starts once, first, and ends once, last."""
        by_call: dict[int, list[Any]] = {}
        for call, event in self.events:
            by_call.setdefault(call.id, []).append(event)
        for events in by_call.values():
            assert events[0] == "started"
            assert isinstance(events[-1], CallEnd)
            assert sum(isinstance(event, CallEnd) for event in events) == 1
            numbers = [event.number for event in events if isinstance(event, AttemptEnd)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert events[-1].attempts == len(numbers)
        assert len(self.calls) == len(self.ends) == len(by_call)
