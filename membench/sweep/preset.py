"""The records of a preset: what a sweep is about."""

from typing import Any, Literal, TypeVar

import msgspec

from membench.errors import UsageError
from membench.result import ClaimName
from membench.spec import (
    AxisName,
    Coupling,
    ModelSpec,
    NetworkSpec,
    Optimizer,
    OptimizerImplementation,
    Precision,
)

Parameter = Literal["budget", "expansion", "blocks"]
T = TypeVar("T", bound=msgspec.Struct)


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is compared on every axis. Ratios are given against each ``baseline``.

    In the file a strategy for each stage may also be a table, by the stage's number from full resolution down:
    ``{ 1 = "reversible-sliced", 2 = "reversible", others = "plain" }`` is ``reversible-sliced:reversible:plain:plain``.
    """

    strategy: str
    coupling: Coupling = "additive"
    baseline: bool = False

    @property
    def name(self) -> str:
        """The same as `ProbeSpec.variant`."""
        return self.strategy if self.coupling == "additive" else f"{self.strategy} (uncoupled)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of every probe that are neither searched nor compared; see `ProbeSpec`."""

    volume: str = "128x128x128"
    batch: int = 1
    precision: Precision = "fp32"
    tf32: bool | None = None
    optimizer: Optimizer = "adam"
    optimizer_implementation: OptimizerImplementation = "foreach"
    steps: int = 2
    allocator: str = ""
    timeout: float = 300.0


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One axis, searched for every variant, or for ``variants`` alone.

    ``network`` and ``probe`` change fields of the preset's own. ``start`` is the extent probed first, one for all or by
    the name of the variant, at the preset's first budget. The other fields are those of `SearchSpec`.
    """

    axis: str
    ratio: tuple[int, int, int] = (1, 1, 1)
    variants: tuple[str, ...] | None = None
    start: int | dict[str, int] | None = None
    limit: int | None = None
    multiple: int | None = None
    network: dict[str, Any] = {}
    probe: dict[str, Any] = {}


class ClaimTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim of the paper: the candidate's extent on the axis is ``paper_ratio`` times the reference's."""

    claim: ClaimName
    axis: AxisName
    paper_ratio: float
    reference: str = "plain"
    candidate: str = "reversible"


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first search of ``axis`` again, for some variants, with one parameter set to each of ``values``."""

    parameter: Parameter
    values: tuple[int | str, ...]
    variants: tuple[str, ...]
    axis: str = "volume"
    start: int | dict[str, int] | None = None


class Tradeoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory against recomputation: one probe of each strategy at one volume, with all of the device for a budget.

    A strategy is written as in `Variant`, so it may be one for each stage.
    """

    strategies: tuple[str, ...]
    volume: str = "128x128x128"
    network: dict[str, Any] = {}


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All searches, claims and studies of a sweep. ``assumptions`` gives the reason for each value that is assumed.

    The network is membench's own (``network``) or the user's (``model``), which claims and trade-offs are not about.
    Without a ``device`` the sweep is made on the default device of the machine.
    """

    title: str
    description: str = ""
    device: str | None = None
    budgets: tuple[str, ...]
    assumptions: dict[str, str] = {}
    network: NetworkSpec | None = None
    model: ModelSpec | None = None
    probe: Settings = Settings()
    variant: tuple[Variant, ...]
    search: tuple[Search, ...]
    claim: tuple[ClaimTemplate, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    tradeoff: tuple[Tradeoff, ...] = ()

    @property
    def subject(self) -> NetworkSpec | ModelSpec:
        """The network that is swept."""
        return self.model or self.network or NetworkSpec()


def overridden(record: T, changes: dict[str, Any], where: str) -> T:
    """The record with fields changed as a preset says.

    Raises:
        UsageError: there is no such field, or the value is not one of its kind.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(record) | changes, type(record))
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
