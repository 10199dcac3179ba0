"""From a preset and the choices of the command line to the searches of a sweep."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from membench.errors import UsageError
from membench.plugins import load_plugins
from membench.result import ClaimName
from membench.search import Axis
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec
from membench.sweep.preset import Preset, Search, Sensitivity, Variant, overridden
from membench.units import parse_bytes, parse_volume

# How the edge moves with the budget where the peak is proportional to the extent; a start moves with it.
GROWTH = {"volume": 1 / 3, "stages": 0.0, "blocks": 1.0, "channels": 0.5, "batch": 1.0}
# Where it is not known what a model of the user's makes of a value, it may be its square.
UNKNOWN_GROWTH = 0.5


class PlannedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of the paper, and the two of the plan's searches that it rests on, by position."""

    claim: ClaimName
    paper_ratio: float
    reference: int
    candidate: int


class PricedProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A probe of its own, and what its strategy computes over what ``plain`` does (`membench.models.cost`)."""

    probe: ProbeSpec
    recomputation: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a sweep does, in the order in which it is begun; the preset is not needed any more.

    ``sensitivity`` holds searches that differ from one of ``searches`` in one parameter, ``tradeoff`` single probes.
    ``baselines`` are names of the variants that ratios are given against.
    """

    title: str
    description: str
    assumptions: dict[str, str]
    baselines: tuple[str, ...]
    searches: tuple[SearchSpec, ...]
    sensitivity: tuple[SearchSpec, ...]
    claims: tuple[PlannedClaim, ...]
    tradeoff: tuple[PricedProbe, ...] = ()

    @property
    def all_searches(self) -> tuple[SearchSpec, ...]:
        return self.searches + self.sensitivity


def plan(
    preset: Preset,
    *,
    device: str | None = None,
    budgets: Sequence[int] = (),
    strategies: Sequence[str] = (),
    axes: Sequence[str] = (),
) -> Plan:
    """The searches of a preset; each choice that is given replaces the preset's. Budgets are in bytes.

    ``device`` is a full name; where neither it nor the preset's is given, it is that of `ProbeSpec`.
    A strategy that the preset has keeps its variants; one that it does not have is added. Claims are those for which
    both variants and the axis are in the plan, at the first budget. Where axes are chosen, there is no trade-off; where
    there is one, what its strategies compute is counted, which imports PyTorch.

    Raises:
        UsageError: a search could not be run; the message says which and why.
    """
    return _Planner(preset, device, budgets, strategies, axes).plan()


class _Planner:
    def __init__(
        self,
        preset: Preset,
        device: str | None,
        budgets: Sequence[int],
        strategies: Sequence[str],
        axes: Sequence[str],
    ) -> None:
        self.preset = preset
        self.own_budget = parse_bytes(preset.budgets[0])
        self.strategies, self.axes = strategies, axes
        self.budgets = tuple(dict.fromkeys(budgets or map(parse_bytes, preset.budgets)))
        self.variants = _variants(preset, strategies)
        self.templates = tuple(search for search in preset.search if not axes or search.axis in axes)
        for axis in axes:
            if axis not in {search.axis for search in preset.search}:
                found = ", ".join(dict.fromkeys(search.axis for search in preset.search))
                raise UsageError(f"the preset does not search axis {axis!r}; it has {found}")
        settings = {name: getattr(preset.probe, name) for name in preset.probe.__struct_fields__ if name != "volume"}
        self.probe = ProbeSpec(
            network=preset.subject,
            volume=parse_volume(preset.probe.volume),
            device=device or preset.device or ProbeSpec().device,
            **settings,
        )

    def plan(self) -> Plan:
        made = [
            (template.axis, variant.name, self.search(template, variant, budget))
            for budget in self.budgets
            for template in self.templates
            for variant in self.variants
            if self.wanted(template, variant)
        ]
        searches = tuple(dict.fromkeys(spec for _, _, spec in made))
        first: dict[tuple[str, str], SearchSpec] = {}
        for axis, name, spec in made:
            first.setdefault((axis, name), spec)
        known = {_question(spec) for spec in searches}
        studies = {_question(spec): spec for spec in self.studies() if _question(spec) not in known}
        return Plan(
            title=self.preset.title,
            description=self.preset.description,
            assumptions=self.preset.assumptions,
            baselines=tuple(variant.name for variant in self.variants if variant.baseline),
            searches=searches,
            sensitivity=tuple(studies.values()),
            claims=tuple(self.claims(lambda axis, name: searches.index(first[axis, name]), set(first))),
            tradeoff=tuple(self.tradeoff()),
        )

    def wanted(self, template: Search, variant: Variant) -> bool:
        """Whether the template is for the variant; one that only the command line names is searched everywhere."""
        return template.variants is None or variant.name in template.variants or variant not in self.preset.variant

    def claims(self, position: Callable[[str, str], int], known: set[tuple[str, str]]) -> Iterator[PlannedClaim]:
        for claim in self.preset.claim:
            if {(claim.axis, claim.reference), (claim.axis, claim.candidate)} <= known:
                yield PlannedClaim(
                    claim=claim.claim,
                    paper_ratio=claim.paper_ratio,
                    reference=position(claim.axis, claim.reference),
                    candidate=position(claim.axis, claim.candidate),
                )

    def search(
        self, template: Search, variant: Variant, budget: int, start: int | dict[str, int] | None = None
    ) -> SearchSpec:
        """One search; the preset's start is for its own first budget, and moves with another."""
        start = template.start if start is None else start
        start = start.get(variant.name) if isinstance(start, dict) else start
        if start is not None:
            start = max(1, int(start * (budget / self.own_budget) ** GROWTH.get(template.axis, UNKNOWN_GROWTH)))
        where = f"search on axis {template.axis}"
        network = self.probe.network
        if isinstance(network, NetworkSpec):
            network = overridden(network, template.network | {"coupling": variant.coupling}, where)
        changes: dict[str, Any] = template.probe
        if isinstance(changes.get("volume"), str | int):
            changes = changes | {"volume": parse_volume(str(changes["volume"]))}
        probe = overridden(self.probe, changes, where)
        probe = msgspec.structs.replace(probe, network=network, strategy=variant.strategy, budget=budget)
        fields = {name: getattr(template, name) for name in ("axis", "ratio", "limit", "multiple")}
        spec = SearchSpec(probe=probe, start=start, **fields)
        try:
            Axis(spec)
        except UsageError as error:
            raise UsageError(f"{where}, {variant.name}: {error}") from error
        return spec

    def studies(self) -> Iterator[SearchSpec]:
        for study in self.preset.sensitivity:
            template = next((search for search in self.templates if search.axis == study.axis), None)
            if template is None:
                continue
            for value in study.values:
                for variant in self.variants:
                    if variant.name in study.variants:
                        yield self.study(study, template, variant, value)

    def tradeoff(self) -> Iterator[PricedProbe]:
        """The probes whose memory and computation are compared."""
        for template in () if self.axes else self.preset.tradeoff:
            network = overridden(self.probe.unet, template.network, "tradeoff")
            for strategy in dict.fromkeys(template.strategies):
                if not self.strategies or strategy in self.strategies:
                    volume = parse_volume(template.volume)
                    probe = msgspec.structs.replace(self.probe, network=network, volume=volume, strategy=strategy)
                    yield _priced(probe)

    def study(self, study: Sensitivity, template: Search, variant: Variant, value: int | str) -> SearchSpec:
        if study.parameter == "budget":
            return self.search(template, variant, parse_bytes(str(value)), study.start)
        network = template.network | {study.parameter: value}
        changed = msgspec.structs.replace(template, network=network)
        return self.search(changed, variant, self.budgets[0], study.start)


def _variants(preset: Preset, strategies: Sequence[str]) -> tuple[Variant, ...]:
    if not strategies:
        return preset.variant
    found = [variant for variant in preset.variant if variant.strategy in strategies]
    known = {variant.strategy for variant in found}
    return (*found, *(Variant(strategy=name) for name in dict.fromkeys(strategies) if name not in known))


def _priced(probe: ProbeSpec) -> PricedProbe:
    from membench.models.cost import recomputation

    load_plugins()
    try:
        probe.validate()
        ratio = recomputation(probe.unet, probe.strategy)
    except UsageError as error:
        raise UsageError(f"tradeoff, {probe.strategy}: {error}") from error
    return PricedProbe(probe=probe, recomputation=ratio)


def _question(spec: SearchSpec) -> SearchSpec:
    """The search without where it begins: what decides whether two searches have the same answer."""
    return msgspec.structs.replace(spec, start=None)
