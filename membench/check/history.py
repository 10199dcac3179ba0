"""The peaks of a project's cases, commit by commit: a small append-only file of JSON Lines."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from membench.check.baseline import Peaks, peaks_of, versions_of
from membench.errors import MembenchError, UsageError
from membench.result import Measurement


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the project: ``date`` is the committer's, as ISO 8601 with its zone. ``dirty``: there was more."""

    id: str
    date: str
    subject: str
    dirty: bool = False

    @property
    def short(self) -> str:
        return self.id[:9] + ("+" if self.dirty else "")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The peaks of a commit by the name of the case; None where the case did not fit, or failed."""

    commit: Commit
    versions: dict[str, str]
    cases: dict[str, Peaks | None]


def current_commit(folder: Path, ignored: Path) -> Commit:
    """The commit that is checked out in the folder's repository; changes of the file ``ignored`` do not make it dirty.

    Raises:
        UsageError: the folder is in no repository, or the repository has no commit.
    """
    identity, date, subject = _git(folder, "show", "-s", "--format=%H%n%cI%n%s", "HEAD").split("\n", 2)
    top = _git(folder, "rev-parse", "--show-toplevel")
    try:
        outside = [f":(top,exclude,literal){ignored.resolve().relative_to(Path(top).resolve())}"]
    except ValueError:
        outside = []
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *outside)
    return Commit(id=identity, date=date, subject=subject.split("\n")[0], dirty=bool(changed))


def append_record(path: Path, commit: Commit, measured: Mapping[str, Measurement]) -> None:
    """Add a commit's peaks; they are on disk when this returns. Those that it has already are not lost.

    Raises:
        MembenchError: it could not be written.
    """
    cases = {name: peaks_of(found) if found.fits else None for name, found in sorted(measured.items())}
    record = Record(commit=commit, versions=versions_of(measured.values()), cases=cases)
    line = msgspec.json.encode(record) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(file).st_size
            cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"  # a kill may have left half a line
            line = b"\n" * cut + line
            # One write, so that two that append at a time do not mix.
            if os.write(file, line) != len(line):
                raise OSError(0, "no space left")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise MembenchError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def read_history(path: Path) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """All commits in the order in which they were first recorded, each as it was last; and notices of damaged lines.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UsageError(f"there is no history {path}; membench check --record writes it") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    records: dict[tuple[str, bool], Record] = {}
    damaged = 0
    for line in filter(None, lines):
        try:
            record = msgspec.json.decode(line, type=Record)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            damaged += 1
            continue
        key = record.commit.id, record.commit.dirty
        known = records.get(key)
        # A check of some cases adds to what is known of the others, from the same environment.
        same = known is not None and known.versions == record.versions
        cases = {**known.cases, **record.cases} if known is not None and same else record.cases
        records[key] = msgspec.structs.replace(record, cases=cases)
    return tuple(records.values()), (f"{path}: {damaged} unreadable line(s) left out",) if damaged else ()


class Rise(msgspec.Struct, frozen=True, kw_only=True):
    """Between which recorded commits a case came to take what it takes now: the last that took less, and the next."""

    case: str
    good: Commit
    bad: Commit


def last_rise(records: Sequence[Record], case: str) -> Rise | None:
    """The latest rise of a case's peak that still stands; None where no recorded commit took less than the last.

    A case that ran out of memory or failed takes more than any that did not.
    """
    known = [
        (record.commit, record.cases[case]) for record in records if case in record.cases and not record.commit.dirty
    ]
    for index in range(len(known) - 2, -1, -1):
        if _less(known[index][1], known[-1][1]):
            return Rise(case=case, good=known[index][0], bad=known[index + 1][0])
    return None


def _less(earlier: Peaks | None, last: Peaks | None) -> bool:
    if earlier is None or last is None:
        return earlier is not None
    return earlier.peak < last.peak or earlier.reserved < last.reserved


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise UsageError("the history is kept by commit, and there is no git on this machine") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["git failed"])[0]
        raise UsageError(f"the history is kept by commit: {reason}")
    return done.stdout.rstrip("\n")
