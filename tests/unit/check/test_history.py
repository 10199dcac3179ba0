import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from made_up import HOSTILE, MIB, made_case, measured

from membench.check.bisect import bisect_commands
from membench.check.history import append_record, current_commit, last_rise, read_history
from membench.check.text import printable
from membench.errors import UsageError
from membench.report.history import history_html

CASE = made_case("one")


class Repository:
    """A git repository of one file, ``size``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = {f"GIT_{who}_{what}": "someone" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=os.environ | identity, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, size: int, subject: str = "a change") -> str:
        (self.path / "size").write_text(str(size))
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder)


@pytest.fixture
def file(repository: Repository) -> Path:
    """A history of five commits; the third took more, and the fourth the same; the last did not fit."""
    path = repository.path / "history.jsonl"
    for size in (100, 90, 120, 120, 0):
        repository.commit(size, f"takes {size}")
        found = measured(CASE, peak=size * MIB) if size else measured(CASE, status="oom")
        append_record(path, current_commit(repository.path, path), {"one": found})
    return path


def test_a_commit_is_recorded_once_as_it_was_last(repository: Repository, file: Path) -> None:
    records, notices = read_history(file)
    assert notices == ()
    assert [record.commit.subject for record in records] == [f"takes {size}" for size in (100, 90, 120, 120, 0)]
    assert not any(record.commit.dirty for record in records)
    last = current_commit(repository.path, file)
    append_record(file, last, {"two": measured(CASE, peak=7 * MIB)})
    append_record(file, last, {"one": measured(CASE, peak=9 * MIB)})
    again, _ = read_history(file)
    assert len(again) == len(records)
    assert {name: peaks.peak for name, peaks in again[-1].cases.items() if peaks} == {"one": 9 * MIB, "two": 7 * MIB}


def test_changes_that_are_not_committed_are_told(repository: Repository, file: Path) -> None:
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "the history")
    assert not current_commit(repository.path, file).dirty
    file.write_text("")
    assert not current_commit(repository.path, file).dirty
    (repository.path / "size").write_text("7")
    commit = current_commit(repository.path, file)
    assert commit.dirty
    assert commit.short.endswith("+")


def test_a_line_that_was_cut_is_left_out_and_spoils_no_other(repository: Repository, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    repository.commit(50)
    append_record(file, current_commit(repository.path, file), {"one": measured(CASE)})
    records, notices = read_history(file)
    assert len(records) == 5
    assert notices == (f"{file}: 1 unreadable line(s) left out",)


def test_the_last_rise_that_still_stands(file: Path) -> None:
    records, _ = read_history(file)
    rise = last_rise(records, "one")
    assert rise is not None
    assert (rise.good.subject, rise.bad.subject) == ("takes 120", "takes 0")
    rise = last_rise(records[:-1], "one")
    assert rise is not None
    assert (rise.good, rise.bad) == (records[1].commit, records[2].commit)
    assert last_rise(records[:2], "one") is None
    assert last_rise(records, "two") is None


def test_outside_a_repository_there_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the history is kept by commit: fatal: not a git repository"):
        current_commit(tmp_path, tmp_path / "history.jsonl")
    with pytest.raises(UsageError, match="membench check --record writes it"):
        read_history(tmp_path / "history.jsonl")


def test_the_page_draws_every_case_and_escapes_what_is_not_ours(file: Path) -> None:
    records, _ = read_history(file)
    hostile = msgspec.structs.replace(records[0].commit, subject=HOSTILE, id="<b>")
    other = msgspec.structs.replace(records[0], commit=hostile, cases={HOSTILE: records[0].cases["one"]})
    page = history_html([*records, other], ["one", HOSTILE])
    assert page.count("<svg") == 2
    assert page.count("did not fit, or failed") == 1
    assert "<img" not in page
    assert "\x1b" not in page
    assert printable(HOSTILE).replace("&", "&amp;").split("<")[0] in page
    assert history_html([*records, other], ["one", HOSTILE]) == page


def test_the_printed_commands_find_the_commit(repository: Repository, tmp_path: Path) -> None:
    (repository.path / "my cases.toml").write_text("the cases")
    commits = [repository.commit(size) for size in (100, 100, 90, 90, 90, 130, 130, 130)]
    # Stands in for the program: a commit takes what stands in its file, and that of the seventh cannot be measured.
    program = tmp_path / "bin" / "membench"
    program.parent.mkdir()
    program.write_text(
        """#!/bin/sh
        [ "$2 $3" = "--config ../membench-bisect/my cases.toml" ] || exit 2
        [ "$4 $6 $7" = "--baseline --case it's one" ] || exit 2
        [ "$8" = --update ] && { cp size "$5"; exit 0; }
        [ "$(git rev-parse HEAD)" = "SKIPPED" ] && exit 4
        [ "$(cat size)" -le "$(cat "$5")" ]
        """.replace("SKIPPED", commits[6])
    )
    program.chmod(0o755)
    lines = bisect_commands(Path("my cases.toml"), "it's one", commits[2], commits[-1])
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(lines[:-1])],
        cwd=repository.path,
        env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{commits[5]} is the first" in done.stdout
    subprocess.run(["sh", "-c", lines[-1]], cwd=repository.path, capture_output=True, check=True)
    assert repository.git("rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_a_commit_is_no_option() -> None:
    with pytest.raises(UsageError, match="'--upload-pack' is not a commit"):
        bisect_commands(Path("membench.toml"), "one", "--upload-pack", "HEAD")
