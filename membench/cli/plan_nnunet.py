"""``membench plan-nnunet``: what of nnU-Net's plans fits on a card, and what would."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from membench.cli.options import DeviceFile, Json
from membench.cli.output import VERDICTS, err, note, out, plain_table, print_json
from membench.cli.probing import on_device
from membench.device import Device
from membench.errors import UsageError
from membench.nnunet import Configuration, Dataset, Fit, Plans, fit, read_dataset, read_plans
from membench.probe import Prober
from membench.report.command import measure_command
from membench.result import Measurement, SearchResult
from membench.spec import ProbeSpec
from membench.units import format_bytes, parse_bytes

PlansFile = Annotated[Path, typer.Argument(metavar="PLANS.json", help="A plans file of nnU-Net v2.")]
DatasetFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="nnU-Net's dataset.json.", show_default="the one beside the plans, if any"),
]


def plan_nnunet(
    plans: PlansFile,
    dataset: DatasetFile = None,
    configuration: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable.", show_default="all")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the image.", show_default="those of the data set or plans")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=2, help="Labels, the background included.", show_default="those of the data set"),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="A card of the catalog, or cuda, cuda:N.")] = "",
    device_file: DeviceFile = None,
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the allocator may reserve, such as 16GiB.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Full training steps, at least 2.")] = ProbeSpec().steps,
    json: Json = False,
) -> int:
    """Say what of nnU-Net's plans fits on a card, and what would.

    Each configuration is measured, trained as nnU-Net does but without torch.compile, and the largest patch and batch
    that fit are searched: the patch in its shape with the batch as planned, the batch with the patch as planned.

    Exit code: 0 all fit as planned, 3 one does not, 1 an error, 2 bad usage.
    """
    read = read_plans(plans)
    chosen = _chosen(read, configuration or ())
    given = _dataset(dataset or plans.with_name("dataset.json"), dataset is not None, chosen, channels, classes)
    limit = None if budget is None else parse_bytes(budget)
    found, probe = on_device(ProbeSpec(device=device, budget=limit, steps=steps))
    fits: list[Fit] = []
    with err().status("") as status, Prober(found) as prober:
        for number, each in enumerate(chosen, 1):
            status.update(f"configuration {number} of {len(chosen)}, {each.name} …")
            fits.append(fit(each, given, probe, prober))
    if json:
        print_json(_document(read, given, found, limit, fits))
    else:
        out().print(_table(fits, found, limit))
        for message in dict.fromkeys(each.planned.message for each in fits if _exit_code(each) == 1):
            note(message)
    return max(map(_exit_code, fits), key=(0, 3, 1).index)


def _chosen(plans: Plans, names: Sequence[str]) -> list[Configuration]:
    known = {each.name: each for each in plans.configurations}
    for name in names:
        if name not in known:
            raise UsageError(f"the plans have no configuration {name!r}; they have {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names or known)]


def _dataset(
    file: Path, named: bool, chosen: Sequence[Configuration], channels: int | None, classes: int | None
) -> Dataset:
    """What the options say of the data set, then its own file, then the plans."""
    own = read_dataset(file) if named or file.exists() else None
    if own and not classes:
        return Dataset(
            channels=channels or own.channels, outputs=own.outputs, foreground=own.foreground, regions=own.regions
        )
    if not classes:
        raise UsageError(f"the plans do not tell how many labels there are, and there is no {file}; give --classes")
    known = channels or (own.channels if own else max(len(each.normalization_schemes) for each in chosen))
    if not known:
        raise UsageError("the plans do not tell how many channels the image has; give --channels")
    return Dataset(channels=known, outputs=classes, foreground=classes - 1)


def _exit_code(found: Fit) -> int:
    if found.patch.failure or found.batch.failure:
        return 1
    return {"fits": 0, "oom": 3}.get(found.planned.status, 1)


def _document(
    plans: Plans, dataset: Dataset, device: Device, budget: int | None, fits: Sequence[Fit]
) -> dict[str, Any]:
    return {
        "dataset_name": plans.dataset_name,
        "dataset": dataset,
        "device": device.info,
        "budget_bytes": budget or device.usable_bytes,
        "configurations": [dict(_record(found)) for found in fits],
    }


def _record(found: Fit) -> Iterator[tuple[str, Any]]:
    plan, measured = found.configuration, found.planned
    yield "name", plan.name
    yield "patch_size", plan.patch_size
    yield "batch_size", plan.batch_size
    yield "status", measured.status
    yield "message", measured.message
    yield "peak_reserved_bytes", measured.peak_reserved_bytes if measured.fits else None
    yield "peak_allocated_bytes", measured.peak_allocated_bytes if measured.fits else None
    yield "largest_patch_size", found.largest_patch
    yield "largest_batch_size", found.largest_batch
    yield "command", measure_command(measured.spec)
    yield "searches", {"patch": found.patch, "batch": found.batch}


def _table(fits: Sequence[Fit], device: Device, budget: int | None) -> Table:
    table = plain_table("Configuration", "Patch", "Batch", "Reserved", "Max patch", "Max batch")
    for found in fits:
        plan = found.configuration
        table.add_row(
            plan.name,
            _sides(plan.patch_size),
            str(plan.batch_size),
            _peak(found.planned),
            _bound(found.patch) + (_sides(found.largest_patch) if found.largest_patch else "–"),
            _bound(found.batch) + (str(found.largest_batch) if found.largest_batch else "–"),
        )
    table.caption = (
        f"{format_bytes(budget or device.usable_bytes)} on {device.info.title}. "
        "The largest patch is with the batch as planned, the largest batch with the patch as planned."
    )
    table.caption_justify = "left"
    return table


def _peak(planned: Measurement) -> str:
    return format_bytes(planned.peak_reserved_bytes) if planned.fits else VERDICTS[planned.status][0]


def _sides(patch: Sequence[int]) -> str:
    return "×".join(map(str, patch))


def _bound(search: SearchResult) -> str:
    return "≥ " if search.largest_fit and (search.limit_reached or not search.certified) else ""
