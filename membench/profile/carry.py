"""Carry the labels of one recording over to another of the same steps.

To label what it records, the recorder has autograd add some gradients out of place that it adds in place otherwise. A
recording without labels has no such additions, and is what happens without any recording: the allocator's history is
taken from it, and what each allocation is for from the other. The two are the same but for those additions, so they are
laid side by side like two versions of a text.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path

import msgspec

from membench.probe.recording import Mark, Op, Output, Recording, op_number
from membench.profile.attribution import marked
from membench.profile.replay import Allocation, History, replay
from membench.snapshot import read_plain, read_snapshot

_REACH = 240  # how far two histories may be apart
_SURE = 6  # how many events must be the same after a difference

Token = tuple[str, int]


def carry(labelled: Path, onto: Path) -> None:
    """Put the labels of a recording into the snapshot of another, unlabelled, of the same probe.

    Raises:
        MembenchError: one of them cannot be read or replayed.
    """
    source, target = read_snapshot(labelled), read_snapshot(onto)
    labels = msgspec.json.decode(source.membench, type=Recording)
    own = msgspec.json.decode(target.membench, type=Recording)
    move = _Move(replay(source), replay(target), labels)
    content = read_plain(onto)
    trace = next(events for events in content["device_traces"] if events)
    for event, tag in zip(trace, move.tags, strict=True):
        event["user_metadata"] = tag
    carried = msgspec.structs.replace(own, ops=move.ops, marks=tuple(move.marks))
    content["membench"] = msgspec.json.encode(carried).decode()
    onto.write_bytes(pickle.dumps(content, protocol=4))


class _Move:
    """The labels, in the numbers and addresses of the other history."""

    def __init__(self, source: History, target: History, labels: Recording) -> None:
        self.tags = [""] * len(target.events)
        self._pairs: list[tuple[Allocation, Allocation]] = []
        self.ops: dict[int, Op] = {}
        self.marks: list[Mark] = []
        self._labels = labels
        self._marked = marked(source, labels.marks)
        theirs, ours = _born(source), _born(target)
        for there, here in same_events(_tokens(source), _tokens(target)):
            self.tags[here] = source.events[there].user_metadata
            if here in ours and there in theirs:
                self._allocation(theirs[there], ours[here])
        for block, own in self._pairs:
            if own.freed is not None and block.freed is not None:
                self.tags[own.freed] = source.events[block.freed].user_metadata

    def _allocation(self, there: Allocation, here: Allocation) -> None:
        self._pairs.append((there, here))
        mark = self._marked.get(there.number)
        if mark:
            self.marks.append(Mark(here.number + 1, here.address, mark.category, mark.name, mark.module))
        number = op_number(self.tags[here.born])
        if number is None:
            return
        op = self._labels.ops[number]
        made = [Output(here.address, o.shape, o.dtype) for o in op.outputs if o.address == there.address]
        known = self.ops.get(number)
        self.ops[number] = msgspec.structs.replace(op, outputs=(*(known.outputs if known else ()), *made))


def same_events(source: Sequence[tuple[int, Token]], target: Sequence[tuple[int, Token]]) -> list[tuple[int, int]]:
    """The events that are the same in both, as pairs of their indices; the rest are in one of the two alone."""
    there, here = [token for _, token in source], [token for _, token in target]
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(there) and j < len(here):
        if there[i] == here[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
            continue
        skip = _difference(there[i : i + _REACH + _SURE], here[j : j + _REACH + _SURE])
        if skip is None:
            break
        # An addition begins with its allocation: what is alike at both ends of it belongs to its other side.
        while not skip[1] and there[i][0] != "alloc" and pairs and there[i - 1] == there[i + skip[0] - 1]:
            pairs.pop()
            i, j = i - 1, j - 1
        i, j = i + skip[0], j + skip[1]
    return [(source[a][0], target[b][0]) for a, b in pairs]


def _difference(there: Sequence[Token], here: Sequence[Token]) -> tuple[int, int] | None:
    """The fewest events to pass over, in the one and in the other, before the two are the same again."""
    for apart in range(1, _REACH):
        for more in range(apart, -1, -1):
            rest, other = there[more : more + _SURE], here[apart - more : apart - more + _SURE]
            if rest and rest == other:
                return more, apart - more
    return None


def _tokens(history: History) -> list[tuple[int, Token]]:
    return [
        (index, (event.action, event.size))
        for index, event in enumerate(history.events)
        if event.action in ("alloc", "free_requested")
    ]


def _born(history: History) -> dict[int, Allocation]:
    return {allocation.born: allocation for allocation in history.allocations}
