"""A script of a repository that writes its recording itself: published_script.py CLONE SCRIPT WRITTEN FILE

It is run as it is, in the current folder, where it finds the folder that it writes to.
"""

import runpy
import sys
from pathlib import Path


def main(clone: str, script: str, written: str, file: str) -> None:
    Path(written).parent.mkdir(parents=True, exist_ok=True)
    runpy.run_path(str(Path(clone, script)), run_name="__main__")
    Path(written).rename(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
