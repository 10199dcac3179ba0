"""Presets as TOML files that can be copied and changed: reading one, and refusing what refers to nothing."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from membench.errors import UsageError
from membench.spec import NetworkSpec
from membench.sweep.preset import Preset, Search, Sensitivity
from membench.units import parse_bytes, parse_volume


def presets() -> tuple[str, ...]:
    """The names of the presets that come with membench."""
    files = resources.files("membench.presets").iterdir()
    return tuple(sorted(Path(file.name).stem for file in files if file.name.endswith(".toml")))


def load_preset(name: str) -> Preset:
    """Read a preset by its name, or from a TOML file by its path.

    Raises:
        UsageError: there is no such preset, or the file is not one; the message names file and field.
    """
    if name in presets():
        text = resources.files("membench.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    else:
        text = _read(name)
    try:
        preset = msgspec.convert(_with_joined_strategies(tomllib.loads(text)), Preset)
        _check_names(preset)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"preset {name}: {error}") from error
    return preset


def _with_joined_strategies(document: dict[str, Any]) -> dict[str, Any]:
    """The document with tables of strategies by stage as the text that they stand for; what is no table stays."""
    network = document.get("network")
    stages = network.get("stages", NetworkSpec().stages) if isinstance(network, dict) else NetworkSpec().stages
    if not isinstance(stages, int):
        return document  # is refused when it is converted
    for number, variant in enumerate(document.get("variant", ())):
        if isinstance(variant, dict) and isinstance(variant.get("strategy"), dict):
            variant["strategy"] = _joined(variant["strategy"], stages, f"variant[{number}].strategy")
    for number, study in enumerate(document.get("tradeoff", ())):
        if isinstance(study, dict) and isinstance(study.get("strategies"), list):
            where = f"tradeoff[{number}].strategies"
            study["strategies"] = [
                _joined(one, stages, where) if isinstance(one, dict) else one for one in study["strategies"]
            ]
    return document


def _joined(by_stage: dict[str, Any], stages: int, where: str) -> str:
    """Strategies by the number of their stage, or ``others``, joined by colons."""
    numbers = [str(stage) for stage in range(1, stages + 1)]
    for key, name in by_stage.items():
        if key not in (*numbers, "others"):
            raise UsageError(f"{where}: there is no stage {key!r}; the stages are {', '.join(numbers)}, or others")
        if not isinstance(name, str):
            raise UsageError(f"{where}: stage {key} is to have the name of a strategy, not {name!r}")
    missing = [number for number in numbers if number not in by_stage]
    if missing and "others" not in by_stage:
        raise UsageError(f"{where}: stage {missing[0]} has no strategy; name one for it, or for others")
    return ":".join(by_stage.get(number) or by_stage["others"] for number in numbers)


def _read(name: str) -> str:
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no preset {name!r}; choose {', '.join(presets())} or give the path of a TOML file")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"preset {name} cannot be read: {error}") from error


def _check_names(preset: Preset) -> None:
    """Names that refer to nothing would silently leave out what was asked for."""
    for field in ("budgets", "variant", "search"):
        if not getattr(preset, field):
            raise UsageError(f"{field} must not be empty")
    _check_sizes(preset)
    if preset.model is not None:
        _check_beside_model(preset)
    axes = tuple(search.axis for search in preset.search)
    variants = tuple(variant.name for variant in preset.variant)
    for number, claim in enumerate(preset.claim):
        _check_known((claim.axis,), axes, f"claim[{number}].axis")
        _check_known((claim.reference, claim.candidate), variants, f"claim[{number}]")
    for number, study in enumerate(preset.sensitivity):
        _check_known((study.axis,), axes, f"sensitivity[{number}].axis")
        _check_known(study.variants, variants, f"sensitivity[{number}].variants")
        _check_known(_named(study), variants, f"sensitivity[{number}].start")
    for number, search in enumerate(preset.search):
        # A model without an axis is told how to have one when the sweep is planned.
        _check_known((search.axis,), preset.subject.axes or (search.axis,), f"search[{number}].axis", "network")
        _check_known(search.variants or (), variants, f"search[{number}].variants")
        _check_known(_named(search), variants, f"search[{number}].start")


def _check_beside_model(preset: Preset) -> None:
    """What is about membench's own networks alone is refused, not left out."""
    given = {
        "network": preset.network,
        "claim": preset.claim,
        "tradeoff": preset.tradeoff,
        "variant.coupling": [variant for variant in preset.variant if variant.coupling != "additive"],
        "search.network": [search for search in preset.search if search.network],
        "sensitivity on anything but the budget": [s for s in preset.sensitivity if s.parameter != "budget"],
    }
    for name, found in given.items():
        if found:
            raise UsageError(f"{name} is for membench's own networks; leave it out beside [model]")


def _check_sizes(preset: Preset) -> None:
    """What a preset writes as text is read here once, so that the error names the file."""
    for budget in preset.budgets:
        parse_bytes(budget)
    for study in preset.sensitivity:
        for value in study.values if study.parameter == "budget" else ():
            parse_bytes(str(value))
    for volume in (preset.probe.volume, *(search.probe.get("volume") for search in preset.search)):
        if isinstance(volume, str):
            parse_volume(volume)


def _named(template: Search | Sensitivity) -> tuple[str, ...]:
    return tuple(template.start) if isinstance(template.start, dict) else ()


def _check_known(names: tuple[str, ...], known: tuple[str, ...], where: str, whole: str = "preset") -> None:
    for name in names:
        if name not in known:
            found = ", ".join(dict.fromkeys(known))
            raise UsageError(f"{where}: there is no {name!r} in the {whole}; it has {found}")
