"""Search with back references, which records what the groups match."""

from aiwyn_async.sandbox._data.characters import fold
from aiwyn_async.sandbox._data.regex.program import Program, Work, neighbour_kind
from aiwyn_async.sandbox._data.regex.tree import BackReference, Char, GroupIsSet

_Thread = tuple[int, tuple[int, ...], int]
"""An instruction, the bounds of the groups, and the number of characters matched of a back reference."""


class CaptureSearch:
    """Searches one text."""

    def __init__(self, program: Program, text: str) -> None:
        self._program = program
        self._text = text
        self._folded = fold(text) if program.ignore_case else text
        self._work = Work(text)
        self._no_groups = (-1,) * (2 * program.groups)

    def search(self) -> bool:
        """Whether the pattern matches anywhere.

        Raises:
            RegexTooComplexError: The search takes too many steps.
        """
        threads: set[_Thread] = set()
        for at in range(len(self._text) + 1):
            threads.add((self._program.start, self._no_groups, 0))
            reached = self._closure(threads, at)
            if any(number == self._program.end for number, _, _ in reached):
                return True
            threads = {moved for thread in reached if (moved := self._advance(thread, at)) is not None}
        return False

    def _closure(self, threads: set[_Thread], at: int) -> set[_Thread]:
        before, after = neighbour_kind(self._text[at - 1 : at]) if at else "", self._text[at : at + 1]
        reached: set[_Thread] = set()
        pending = list(threads)
        while pending:
            thread = pending.pop()
            if thread in reached:
                continue
            reached.add(thread)
            self._work.spend()
            number, bounds, _ = thread
            step = self._program.steps[number]
            if isinstance(step.act, BackReference):
                if self._captured(step.act.number, bounds) == "":
                    pending.append((step.next[0], bounds, 0))
            elif isinstance(step.act, GroupIsSet):
                if self._captured(step.act.number, bounds) is not None:
                    pending.append((step.next[0], bounds, 0))
            elif self._program.passes(step, before, after, at, self._work):
                match step.act:
                    case (int() as group, int() as side):
                        index = 2 * (group - 1) + side
                        bounds = (*bounds[:index], at, *bounds[index + 1 :])
                    case _:
                        pass
                pending += [(following, bounds, 0) for following in step.next]
        return reached

    def _captured(self, group: int, bounds: tuple[int, ...]) -> str | None:
        start, stop = bounds[2 * group - 2 : 2 * group]
        return None if start < 0 or stop < start else self._folded[start:stop]

    def _advance(self, thread: _Thread, at: int) -> _Thread | None:
        number, bounds, matched = thread
        step = self._program.steps[number]
        if at == len(self._text):
            return None
        if isinstance(step.act, Char):
            return (step.next[0], bounds, 0) if step.act.test(self._text[at]) else None
        if not isinstance(step.act, BackReference):
            return None
        captured = self._captured(step.act.number, bounds)
        if not captured or captured[matched] != self._folded[at]:
            return None
        if matched + 1 == len(captured):
            return step.next[0], bounds, 0
        return number, bounds, matched + 1
