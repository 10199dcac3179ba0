"""The emulated device's C under the compiler's sanitizers, exercised from many threads."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import membench.device.emulator
from membench.device import find_card

SOURCES = Path(membench.device.emulator.__file__).parent
DRIVER = Path(__file__).with_name("native") / "stress.c"
FLAGS = ["-std=gnu11", "-O1", "-g", "-pthread", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
# The thread sanitizer leaves a process only a few TiB of addresses.
KINDS = {"address,undefined": [], "thread": ["-DADDRESS_BITS=39"]}

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_found(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "stress"
    sources = [path for path in SOURCES.glob("*.c") if path.name != "nvml.c"]
    command = ["gcc", *FLAGS, f"-fsanitize={kind}", *KINDS[kind], "-o", program, DRIVER, *sources, "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("the compiler has no sanitizers here")
    assert built.returncode == 0, built.stderr
    environment = {"PATH": os.environ["PATH"], "MEMBENCH_DEVICE": find_card("a100-40gb")[1].describe()}
    # What a stream or a handle holds is the caller's to destroy; the device's own tables live as long as the process.
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
