"""What Wedsonlin/assignment2-systems holds after a forward pass of attention: attention_memory.py CLONE

Its benchmark is run as it is, with one timed iteration instead of a hundred, which allocates the same.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path


def main(clone: str) -> None:
    sys.path[:0] = [clone, str(Path(clone, "cs336-basics"))]
    from cs336_systems import attention_benchmark

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "told.jsonl")
        sys.argv = ["attention_benchmark", "--suite", "pytorch_attention", "--iters", "1", "--output", str(file)]
        with contextlib.redirect_stdout(sys.stderr):
            attention_benchmark.main()
        told = [json.loads(line) for line in file.read_text().splitlines()]
    for row in told:
        held = row["activation_mib"]
        found = {"failed": "out of memory"} if held == "OOM" else {"allocated": round(held * 2**20)}
        sys.stdout.write(json.dumps({"workload": f"attention 8x{row['seq_len']}x{row['d_model']}", **found}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
