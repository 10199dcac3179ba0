"""Write a profile's files; PyTorch's own snapshot is there already, or is put beside them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from membench.profile import Analysis, Profile
from membench.profile.diff import PROFILE_FILE
from membench.profile.exports import chrome_trace, timeline_csv
from membench.profile.timeline import Tick, timeline
from membench.store import write_whole


def write_profile(analysis: Analysis, profile: Profile, out: Path) -> tuple[Path, ...]:
    """Write ``index.html``, ``trace.json``, ``timeline.csv`` and ``profile.json`` into a folder that is there.

    ``profile`` is the analysis's own, with all that was found since.
    """
    ticks = list(timeline(analysis))
    contents = {
        "index.html": _page(analysis, profile, ticks),
        "trace.json": chrome_trace(analysis, ticks),
        "timeline.csv": timeline_csv(ticks).encode(),
        PROFILE_FILE: msgspec.json.format(msgspec.json.encode(profile), indent=1),
    }
    for name, content in contents.items():
        write_whole(out / name, content)
    return tuple(out / name for name in contents)


def _page(analysis: Analysis, profile: Profile, ticks: Sequence[Tick]) -> bytes:
    from membench.report.profile.page import profile_page  # its libraries take a second to import

    return profile_page(analysis, profile, ticks).encode()
