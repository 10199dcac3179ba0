"""Whose each block of a history is: category, module, phase and line of code."""

import bisect
from collections import defaultdict
from collections.abc import Mapping

from membench.probe.recording import Category, Mark, Op, Output, Phase, Recording, op_number, read_tag
from membench.profile.guess import guess_category, guess_phase
from membench.profile.records import Held, Moment
from membench.profile.replay import Allocation, History
from membench.snapshot import Event, Stack

_PRECEDENCE: tuple[Category, ...] = ("parameter", "optimizer state", "gradient", "input")
_WHAT = {"parameter": "parameters", "optimizer state": "states of parameters", "input": "inputs and targets"}


class Attribution:
    """Answers for the blocks and moments of one history. Without a recording, by the stacks and tags of the events."""

    def __init__(self, history: History, recording: Recording | None) -> None:
        self._history = history
        self._ops: Mapping[int, Op] = recording.ops if recording else {}
        self._marks = marked(history, recording.marks if recording else ())
        self.steps = self._follow_steps()
        self._known: dict[int, Held] = {}

    def held(self, allocation: Allocation) -> Held:
        """What a block is, and whose."""
        known = self._known.get(allocation.number)
        if known is None:
            known = self._known[allocation.number] = self._find(allocation)
        return known

    def _find(self, allocation: Allocation) -> Held:
        event = self._event(allocation.born)
        op, tagged = self._op(event), read_tag(event.user_metadata)
        # What is freed within the operation was no output, though one may have come to its address later.
        outputs = () if op is None or self._within_operation(allocation) else op.outputs
        output = next((found for found in outputs if found.address == allocation.address), None)
        known = self._marks.get(allocation.number)
        category, what = _by_mark(known) if known else self._by_op(allocation, op, output)
        return Held(
            bytes=allocation.size,
            requested_bytes=allocation.requested,
            category=category,
            what=what,
            name=known.name if known else "",
            module=(known.module if known else "") or (op.module if op else tagged.module),
            phase=op.phase if op else tagged.phase or self._guessed_phase(allocation.frames),
            step=op.step if op else None,
            op=op.name if op else tagged.op,
            line=(op.line if op else "") or _line(allocation.frames),
            shape=output.shape if output else None,
            dtype=output.dtype if output else "",
            address=allocation.address,
            stack=tuple(str(frame) for frame in allocation.frames.frames),
        )

    def moment(self, index: int) -> Moment:
        """Where training stood at an event."""
        event = self._event(index)
        op, tagged = self._op(event), read_tag(event.user_metadata)
        return Moment(
            event=index,
            phase=op.phase if op else tagged.phase or self._guessed_phase(event.frames),
            step=self.steps[index] if self._ops else None,
            module=op.module if op else tagged.module,
            op=op.name if op else tagged.op,
            line=op.line if op else _line(event.frames),
        )

    def phase(self, index: int) -> Phase | None:
        event = self._event(index)
        return read_tag(event.user_metadata).phase or self._guessed_phase(event.frames)

    def of_operation(self, index: int) -> bool:
        """Whether an event happened within an operation."""
        return self._op(self._event(index)) is not None

    def _by_op(self, allocation: Allocation, op: Op | None, output: Output | None) -> tuple[Category, str]:
        if op is None:
            return ("other", "not of an operation") if self._ops else self._by_stack(allocation)
        if output is None:
            return "workspace", "within one operation" if self._within_operation(allocation) else "kept by a library"
        return _by_phase(op)

    def _by_stack(self, allocation: Allocation) -> tuple[Category, str]:
        return guess_category(allocation.frames, lasts=allocation.freed is None)

    def _guessed_phase(self, stack: Stack) -> Phase | None:
        return None if self._ops else guess_phase(stack)

    def _within_operation(self, allocation: Allocation) -> bool:
        if allocation.freed is None:
            return False
        born, freed = (op_number(self._event(index).user_metadata) for index in (allocation.born, allocation.freed))
        return born is not None and born == freed

    def _event(self, index: int) -> Event:
        return self._history.events[index] if index >= 0 else Event(action="")

    def _op(self, event: Event) -> Op | None:
        number = op_number(event.user_metadata)
        return self._ops.get(number) if number is not None else None

    def _follow_steps(self) -> list[int]:
        """The training step of each event, from 0."""
        steps, step = [], 0
        for event in self._history.events:
            op = self._op(event)
            step = max(step, op.step) if op else step
            steps.append(step)
        return steps


def _by_mark(mark: Mark) -> tuple[Category, str]:
    if mark.category == "gradient":
        return "gradient", "of parameters" if mark.name else "of activations"
    if mark.name.startswith("buffer "):
        return "parameter", "buffers"
    return mark.category, _WHAT[mark.category]


def _by_phase(op: Op) -> tuple[Category, str]:
    if op.phase == "backward":
        return ("gradient", "of activations") if op.gradient else ("activation", "computed again")
    if op.phase == "optimizer":
        return "other", "temporaries of the optimizer"
    if op.phase in ("build", "input"):
        return "input", "inputs and targets"
    return "activation", "of the forward pass"


def marked(history: History, marks: tuple[Mark, ...]) -> dict[int, Mark]:
    """The mark that counts for each allocation, by the allocation's number."""
    at_address: dict[int, list[int]] = defaultdict(list)
    for allocation in history.allocations:
        at_address[allocation.address].append(allocation.number)
    found: dict[int, Mark] = {}
    for mark in sorted(marks, key=_rank, reverse=True):
        numbers = at_address.get(mark.address, [])
        latest = bisect.bisect_left(numbers, mark.allocations) - 1
        if latest >= 0:
            found[numbers[latest]] = mark
    return found


def _rank(mark: Mark) -> tuple[int, bool]:
    return _PRECEDENCE.index(mark.category), not mark.name


def _line(stack: Stack) -> str:
    cause = stack.cause
    return str(cause) if cause else ""
