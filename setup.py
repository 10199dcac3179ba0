"""Compiles the emulated CUDA device: two shared objects that take the place of the CUDA runtime and of NVML.

They have the names of NVIDIA's libraries, so that whoever opens or links those finds these.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

EMULATOR = Path("membench/device/emulator")
SUFFIX = ".so.1"
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-pthread"]


class BuildEmulator(build_ext):
    """Builds plain shared objects (not Python modules), under fixed names."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + SUFFIX

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (CCompilerError, ExecError, PlatformError) as error:
            raise SystemExit(
                f"error: membench needs a C compiler to build its emulated CUDA device, and it failed ({error}). "
                "Install one (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc) and try again."
            ) from None


def shared_object(name: str, sources: list[Path]) -> Extension:
    return Extension(
        f"membench.device.emulator.{name}",
        sources=[str(source) for source in sorted(sources)],
        depends=[str(header) for pattern in ("*.h", "*.def") for header in sorted(EMULATOR.glob(pattern))],
        extra_compile_args=FLAGS,
        extra_link_args=[f"-Wl,-soname,{name}{SUFFIX}"],
        libraries=["dl"],
    )


NVML = EMULATOR / "nvml.c"
EXTENSIONS = [
    shared_object("libcuda", [file for file in EMULATOR.glob("*.c") if file != NVML]),
    shared_object("libnvidia-ml", [NVML]),
]

# Elsewhere PyTorch has no CUDA build; the package installs, and says so when it is used.
setup(ext_modules=EXTENSIONS if sys.platform == "linux" else [], cmdclass={"build_ext": BuildEmulator})
