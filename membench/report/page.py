"""The page: one HTML file that needs no network, with every number leading to its probe."""

import re
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
import msgspec
from markupsafe import Markup, escape

from membench.report import words
from membench.report.command import measure_command
from membench.report.data import Row, cases, distinct_probes
from membench.report.figures.style import NamedFigure
from membench.report.sensitivity import difference
from membench.report.summary import summary_row
from membench.report.tradeoff import prices
from membench.result import Claim, Point
from membench.sweep import PlannedClaim, SweepResult
from membench.units import format_bytes


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A claim in words, with the two searches it rests on."""

    claim: Claim
    ratio: str
    reference: Row
    candidate: Row


def page_html(
    result: SweepResult,
    rows: Sequence[Row],
    claims: Sequence[Claim],
    figures: Sequence[NamedFigure],
    drawings: Mapping[str, bytes],
) -> str:
    """The whole page. ``drawings`` holds the SVG of each figure by its name."""
    probes = distinct_probes(rows, result)
    titles = {shown.key: f"{shown.variant}, {words.describe(shown.point)}" for shown in probes}
    template = environment().get_template("index.html.j2")
    return template.render(
        plan=result.plan,
        provenance=result.provenance,
        unfinished=sum(not row.search.finished for row in rows) + result.tradeoff.count(None),
        rows=rows,
        budgets=list(cases(rows)),
        verdicts=[_verdict(claim, at, rows) for claim, at in zip(claims, result.plan.claims, strict=True)],
        figures=[(figure, inline_svg(figure.name, drawings[figure.name].decode(), titles)) for figure in figures],
        probes=probes,
        tradeoffs=prices(result),
        ratio_heads=[(f"Ratio to {compared.baseline}", True) for compared in rows[0].ratios],
        differences={row.number: difference(row, rows) for row in rows},
        warnings=_warnings(rows),
        failed=[shown for shown in probes if shown.point.measurement.status not in ("fits", "oom")],
        modelled=sorted({call for shown in probes for call in shown.point.measurement.modelled_calls}),
        style=asset("style.css"),
        script=asset("report.js"),
    )


def inline_svg(name: str, svg: str, titles: Mapping[str, str]) -> Markup:
    """An SVG of matplotlib's for use inside a page: unique ids, colours that follow the theme, marks with a title."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", svg))
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)(?!probe-)', rf"\g<1>{name}-", svg)
    svg = re.sub(r": #([0-9a-f]{6})\b", r": var(--c-\1, #\1)", svg)

    def mark(match: re.Match[str]) -> str:
        return f'<a href="#probe-{match[1]}" tabindex="-1"><title>{escape(titles.get(match[1], ""))}</title>'

    return Markup(re.sub(r'<a xlink:href="#probe-(\w+)"[^>]*>', mark, svg))


def _warnings(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Each warning with the searches that it is about."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for warning in row.warnings:
            found.setdefault(warning, []).append(row)
    return found


def _verdict(claim: Claim, planned: PlannedClaim, rows: Sequence[Row]) -> Verdict:
    reference, candidate = (
        next(row for row in rows if row.position == position) for position in (planned.reference, planned.candidate)
    )
    ratio = words.ratio_text(candidate, claim.measured_ratio)
    return Verdict(claim=claim, ratio=ratio, reference=reference, candidate=candidate)


def environment() -> jinja2.Environment:
    """The templates, with all text escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("membench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"words": words, "summary": summary_row, "key": _key}
    made.filters |= {"short": words.short_bytes, "bytes": format_bytes, "command": _command}
    return made


def _command(point: Point) -> str:
    return measure_command(point.measurement.spec)


def _key(point: Point) -> str:
    return point.measurement.spec.key()


def asset(name: str) -> Markup:
    """A file of ours to stand in the page as it is."""
    return Markup(resources.files("membench.report").joinpath("templates", name).read_text("utf-8"))
