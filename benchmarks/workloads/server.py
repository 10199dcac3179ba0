"""Runs workloads on the emulated device: python -m workloads.server, in the environment of the device.

Reads the name of a workload per line and answers with one JSON document per line. Each workload runs in a child that
is forked after the imports and before CUDA is initialised.
"""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

TIMEOUT = 200


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not part of the protocol
    if len(sys.argv) > 1:
        answers.write(json.dumps(measure(load(sys.argv[1]))))
        answers.flush()
        return
    import torch

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])

    for line in sys.stdin:
        answers.write(json.dumps(answer(line.strip())) + "\n")
        answers.flush()


def load(name: str) -> Any:
    group, function = name.split(".")
    return getattr(importlib.import_module(f"workloads.{group}"), function)


def answer(name: str) -> dict[str, Any]:
    try:
        function = load(name)
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    told = _alone(name, function.environment) if function.environment else _forked(function)
    try:
        return json.loads(told) | {"refuses": function.refuses}
    except ValueError:
        return {"failed": "its process died", "refuses": function.refuses}


def _alone(name: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "workloads.server", name]
    return subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True).stdout


def _forked(function: Any) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writer, "w") as told:
                told.write(json.dumps(measure(function)))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


def measure(function: Any) -> dict[str, Any]:
    """Run the workload in this process; its peaks in bytes and what the emulated device answered."""
    import torch

    from membench.probe.log import read_log

    failed, note = "", None
    try:
        note = function()
        torch.cuda.synchronize()
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    except Exception as error:
        failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    log = read_log()
    return {
        "failed": failed,
        "note": note,
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "reads": log.device_to_host_reads,
        "refused": log.refused,
        "modelled": log.modelled,
    }


if __name__ == "__main__":
    main()
