"""The profile's page: one HTML file that needs no network."""

from collections.abc import Sequence
from importlib import resources

import jinja2
import msgspec
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from membench.profile import Analysis, Profile
from membench.profile.records import CATEGORIES, Held, Holder, SegmentMap
from membench.profile.timeline import Tick
from membench.report.command import measure_command, profile_command
from membench.report.figures.style import render
from membench.report.page import environment, inline_svg
from membench.report.profile.data import timeline_data
from membench.report.profile.figure import timeline_figure
from membench.units import format_bytes

_SEGMENTS = 40
_HOLDERS = 60


class ModuleRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a module itself holds, without the modules within it; ``parts`` in the order of the categories."""

    module: str
    bytes: int
    count: int
    parts: dict[str, int]


def profile_page(analysis: Analysis, profile: Profile, ticks: Sequence[Tick]) -> str:
    """The whole page."""
    figure = timeline_figure(ticks, analysis.peak_event)
    segments = sorted(profile.peak.segments, key=lambda segment: -segment.bytes)
    template = _environment().get_template("profile.html.j2")
    return template.render(
        profile=profile,
        peak=profile.peak,
        measurement=profile.measurement,
        title=_title(profile),
        command=profile_command(profile.measurement.spec) if profile.measurement else "",
        categories=CATEGORIES,
        modules=_modules(profile.peak.holders),
        holders=profile.peak.holders[:_HOLDERS],
        holders_left=len(profile.peak.holders) - _HOLDERS,
        segments=segments[:_SEGMENTS],
        segments_left=segments[_SEGMENTS:],
        widest=max((segment.bytes for segment in segments), default=1),
        figure=figure,
        drawing=inline_svg(figure.name, render(figure.figure, "svg").decode(), {}),
        data=_json(timeline_data(analysis, ticks)),
        style=_asset("style.css") + _asset("profile.css"),
        library=Markup(get_plotlyjs().replace("</script", "<\\/script")),
        script=_asset("report.js"),
        timeline=_asset("profile.js"),
    )


def _environment() -> jinja2.Environment:
    made = environment()
    made.globals |= {"tensor": tensor_words, "free": _free, "measure": measure_command}
    return made


def _title(profile: Profile) -> str:
    if profile.measurement is None:
        return "Memory snapshot"
    spec = profile.measurement.spec
    return f"{spec.variant}, {spec.network.size_words(spec.volume, spec.batch)}"


def tensor_words(held: Held) -> str:
    """``1×96×64×64×64 float32``; of what is no tensor, nothing."""
    return "" if held.shape is None else f"{'×'.join(map(str, held.shape)) or 'scalar'} {held.dtype}"


def _free(segment: SegmentMap) -> str:
    return format_bytes(segment.bytes - segment.allocated_bytes)


def _modules(holders: Sequence[Holder]) -> list[ModuleRow]:
    found: dict[str, list[Holder]] = {}
    for holder in holders:
        found.setdefault(holder.module, []).append(holder)
    rows = [
        ModuleRow(
            module=module,
            bytes=sum(holder.bytes for holder in held),
            count=sum(holder.count for holder in held),
            parts={name: sum(h.bytes for h in held if h.category == name) for name in CATEGORIES},
        )
        for module, held in found.items()
    ]
    return sorted(rows, key=lambda row: -row.bytes)


def _json(data: object) -> Markup:
    """JSON that can stand in a script element, whatever the texts in it are."""
    text = msgspec.json.encode(data).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _asset(name: str) -> Markup:
    return Markup(resources.files("membench.report").joinpath("templates", name).read_text("utf-8"))
