"""Probes of models of the user's own, on an emulated card."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from membench.device import resolve
from membench.errors import UsageError
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import ModelSpec, ProbeSpec
from membench.units import MIB

HERE = Path(__file__).parent
SIDE = (32, 32, 32)
CONV = ModelSpec(factory="users_models:conv", inputs=("1x4x{volume}",))


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=":")
        with Prober(resolve("rtx-3090")) as prober:
            yield prober


def measured(prober: Prober, model: ModelSpec, **changes: Any) -> Measurement:
    settings = {"strategy": "plain", "optimizer": "sgd"} | changes
    return prober(ProbeSpec(network=model, device="rtx-3090-24gb", **settings))


@pytest.mark.slow
def test_a_model_is_measured_as_its_own_loop_is(prober: Prober) -> None:
    """The same training written out as a step of the user's: the same bytes."""
    model = measured(prober, CONV, volume=SIDE)
    step = ModelSpec(step="users_models:training", arguments={"side": "{side}"}, values={"side": 32})
    own = measured(prober, step, optimizer="adam")
    assert model.status == own.status == "fits", (model.message, own.message)
    assert model.parameters == 4 * 8 * 27 + 8
    assert model.peak_allocated_bytes == own.peak_allocated_bytes
    # The input is there, and so is the output of the convolution.
    assert model.peak_requested_bytes > (4 + 8) * 32**3 * 4
    assert measured(prober, ModelSpec(step="users_models:whole_step"), optimizer="adam").fits


@pytest.mark.slow
def test_nested_outputs_names_targets_precision_and_budgets(prober: Prober) -> None:
    two = ModelSpec(factory="users_models:Two", inputs=("2x3x{side}x{side}", "classes=2:int64"), values={"side": 64})
    assert measured(prober, two, precision="fp16", optimizer="rmsprop").fits
    loss = ModelSpec(factory=CONV.factory, inputs=CONV.inputs, targets=("1x8x{volume}",), loss="users_models:squared")
    assert measured(prober, loss, volume=SIDE).fits
    assert measured(prober, CONV, volume=(256, 256, 256), budget=64 * MIB).status == "oom"
    offload = measured(prober, CONV, volume=SIDE, strategy="offload")
    assert offload.host_bytes
    assert offload.host_bytes >= 4 * 32**3 * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factory": "users_models:conv", "inputs": ("1x5x8x8x8",)}, "RuntimeError: Given groups=1"),
        ({"loss": "users_models:failing"}, r"ValueError: the loss was not to be had \(.*users_models.py:32\)"),
    ],
)
def test_an_error_in_the_step_is_a_result_with_its_place(prober: Prober, changes: dict[str, Any], message: str) -> None:
    model = ModelSpec(**({"factory": CONV.factory, "inputs": ("1x4x8x8x8",)} | changes))
    found = measured(prober, model)
    assert found.status == "error"
    assert re.search(message, found.message), found.message


@pytest.mark.slow
def test_what_only_a_call_can_tell_is_refused(prober: Prober) -> None:
    for factory, arguments, message in (
        ("users_models:missing", {}, "users_models has no missing"),
        ("users_models:conv", {"depth": 3}, "cannot be called so: got an unexpected keyword argument 'depth'"),
        ("users_models:no_module", {}, "returned a int, not a torch.nn.Module"),
        ("users_models:nothing_trained", {}, "no parameter to train"),
    ):
        with pytest.raises(UsageError, match=message):
            measured(prober, ModelSpec(factory=factory, arguments=arguments, inputs=("1x4x8x8x8",)))
    with pytest.raises(UsageError, match="returned a int; it must return a function"):
        measured(prober, ModelSpec(step="users_models:no_step"), optimizer="adam")


@pytest.mark.slow
def test_a_module_that_initialises_cuda_is_refused_and_spoils_nothing(prober: Prober) -> None:
    with pytest.raises(UsageError, match="importing on_cuda:conv initialises CUDA"):
        measured(prober, ModelSpec(factory="on_cuda:conv", inputs=("1x4x8x8x8",)))
    assert measured(prober, CONV, volume=SIDE).fits


@pytest.mark.slow
def test_what_one_module_changes_on_import_is_not_there_for_another(prober: Prober) -> None:
    tainting = ModelSpec(factory="tainting:conv", inputs=CONV.inputs)
    before = measured(prober, CONV, volume=SIDE)
    tainted = measured(prober, tainting, volume=SIDE)
    assert tainted.fits
    assert tainted.peak_allocated_bytes != before.peak_allocated_bytes
    assert measured(prober, CONV, volume=SIDE).peak_allocated_bytes == before.peak_allocated_bytes
