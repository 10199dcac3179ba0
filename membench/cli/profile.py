"""``membench profile``: who holds the peak."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from membench.cli.held import print_profile
from membench.cli.options import Json, probe_options
from membench.cli.output import err, out, print_json
from membench.cli.probing import on_device
from membench.errors import MembenchError, UsageError, named_file
from membench.probe import Prober
from membench.profile import Analysis, Profile, record
from membench.profile.advice import remedies
from membench.profile.diff import SNAPSHOT_FILE
from membench.report.profile import write_profile
from membench.snapshot import read_snapshot
from membench.spec import AUTO, ProbeSpec

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the files; made if it is not there.")]
SnapshotFile = Annotated[
    Path | None,
    typer.Option(
        "--snapshot",
        metavar="FILE",
        help="Analyse a snapshot that PyTorch wrote elsewhere, instead of running anything.",
        show_default="none",
    ),
]
Ordinal = Annotated[
    int | None,
    typer.Option("--gpu", metavar="N", help="Which GPU of the snapshot, if it has several.", show_default="the only"),
]
Advice = Annotated[bool, typer.Option("--advice/--no-advice", help="Try, by measuring, what would lower the peak.")]


@probe_options
def profile(
    probe: ProbeSpec,
    out_dir: Out = Path("profile"),
    snapshot: SnapshotFile = None,
    gpu: Ordinal = None,
    advice: Advice = True,
    json: Json = False,
) -> int:
    """Record a training step, and say who holds the peak.

    Every allocation is recorded. Writes index.html, PyTorch's own snapshot.pickle, trace.json for Perfetto,
    timeline.csv and profile.json.

    Exit code: 0 it fits, 3 out of memory (the profile is of what was held until then), 1 an error, 2 bad usage.
    """
    if snapshot is None:
        probe.validate()
        if probe.strategy == AUTO:
            raise UsageError("a profile is of one strategy; membench recommend finds the one to choose")
    _make(out_dir)
    with err().status("") as status:
        if snapshot is None:
            analysis, found = _recorded(probe, out_dir, advice=advice, say=status.update)
        else:
            status.update(f"reading {snapshot} …")
            with named_file():
                analysis = Analysis(read_snapshot(snapshot), gpu)
            found = analysis.profile
            if not (out_dir / SNAPSHOT_FILE).exists() or not (out_dir / SNAPSHOT_FILE).samefile(snapshot):
                shutil.copyfile(snapshot, out_dir / SNAPSHOT_FILE)
        status.update("writing the files …")
        files = (*write_profile(analysis, found, out_dir), out_dir / SNAPSHOT_FILE)
    if json:
        print_json(_document(found, files))
    else:
        print_profile(out(), found, files)
    return 3 if found.measurement and found.measurement.status == "oom" else 0


def _recorded(probe: ProbeSpec, folder: Path, *, advice: bool, say: Callable[[str], None]) -> tuple[Analysis, Profile]:
    device, probe = on_device(probe)
    with Prober(device) as prober:
        say(f"{probe.steps} training steps on {device.info.title} …")
        unrecorded = prober(probe)
        say("the same, recorded …")
        analysis = record(probe, prober, folder / SNAPSHOT_FILE, unrecorded)
        found = analysis.profile
        if advice:
            say("trying what would help …")
            found = msgspec.structs.replace(found, remedies=remedies(found, prober, unrecorded))
    return analysis, found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MembenchError(f"cannot write to {folder}: {(error.strerror or str(error)).lower()}") from error


def _document(found: Profile, files: tuple[Path, ...]) -> dict[str, Any]:
    return {**msgspec.structs.asdict(found), "files": [str(file) for file in files]}
