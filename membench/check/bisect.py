"""The commands that find the commit behind a rise, to be run by the user: nothing here runs git."""

import shlex
from pathlib import Path

from membench.errors import UsageError

KEPT = "../membench-bisect"


def bisect_commands(config: Path, case: str, good: str, bad: str) -> tuple[str, ...]:
    """The lines for a POSIX shell, in the repository. Whatever is not a verdict (exit codes above 1) skips a commit.

    What ``good`` takes is measured first, and today's configuration is kept outside the checkout, so that neither
    changes under the search.

    Raises:
        UsageError: a commit's name begins like an option.
    """
    for commit in (good, bad):
        if commit.startswith("-") or not commit.strip():
            raise UsageError(f"{commit!r} is not a commit")
    folder = KEPT
    check = ["membench", "check", "--config", f"{folder}/{config.name}", "--baseline", f"{folder}/baseline.json"]
    verdict = shlex.join([*check, "--case", case])
    step = f"{verdict}; code=$?; [ $code -le 1 ] && exit $code; exit 125"
    return (
        shlex.join(["mkdir", "-p", folder]),
        shlex.join(["cp", "--", str(config), f"{folder}/{config.name}"]),
        shlex.join(["git", "bisect", "start", bad, good]),
        shlex.join(["git", "checkout", "--detach", good]),
        shlex.join([*check, "--case", case, "--update"]),
        shlex.join(["git", "bisect", "run", "sh", "-c", step]),
        shlex.join(["git", "bisect", "reset"]),
    )
