"""What a call of the emulated device's allocator costs: python benchmarks/allocations.py [--json]

A million pairs of cudaMalloc and cudaFree of random sizes, from C, with none, a thousand and ten thousand other
allocations alive. Needs a C compiler. Exit code: 0 every million takes less than two seconds, 1 one does not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from membench.device import find_card
from membench.device.emulated import library_paths

PAIRS, LIMIT_SECONDS = 1_000_000, 2.0
ALIVE = (0, 1_000, 10_000)
LOOP = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int cudaMalloc(void **, size_t), cudaFree(void *);
enum { WINDOW = 16 };
int main(int count, char **arguments) {
    long alive = atol(arguments[1]), pairs = atol(arguments[2]);
    unsigned state = 1;
    void *block, *window[WINDOW] = {0};
    for (long i = 0; i < alive && count; i++)
        if (cudaMalloc(&block, 1)) return 1;
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (long i = 0; i < pairs; i++) {
        state = state * 1664525u + 1013904223u;
        if (cudaFree(window[i % WINDOW]) || cudaMalloc(&window[i % WINDOW], state % (64u << 20) + 1)) return 1;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("%.3f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
}
"""


class Timing(msgspec.Struct, frozen=True):
    """CPU seconds that ``pairs`` of cudaMalloc and cudaFree took beside ``alive`` other allocations."""

    alive: int
    pairs: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of calls (default one million)")
    chosen = parser.parse_args(arguments)
    timings = measure(chosen.pairs)
    if chosen.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(timings), indent=2) + "\n")
    else:
        for timing in timings:
            sys.stdout.write(f"{timing.pairs:,} pairs beside {timing.alive:,} others: {timing.seconds:.2f} s\n")
    return 0 if all(timing.seconds * PAIRS < LIMIT_SECONDS * timing.pairs for timing in timings) else 1


def measure(pairs: int, alive: Sequence[int] = ALIVE) -> list[Timing]:
    library = library_paths()[0]
    card = find_card("h200")[1].describe()
    environment = os.environ | {"MEMBENCH_DEVICE": card, "LD_LIBRARY_PATH": str(library.parent)}
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "loop.c", Path(folder) / "loop"
        source.write_text(LOOP, encoding="utf-8")
        subprocess.run(["gcc", "-O2", "-o", program, source, library], check=True)
        timings = []
        for count in alive:
            command = [program, str(count), str(pairs)]
            told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            timings.append(Timing(count, pairs, float(told.stdout)))
    return timings


if __name__ == "__main__":
    sys.exit(main())
