"""Strategies of the user's own: modules that are imported by every process that builds networks.

``MEMBENCH_PLUGINS`` names them, separated by commas, as Python would import them (from the working folder, from
``PYTHONPATH``, or installed). Importing one registers its strategies with `membench.models.register`; after that they
can be asked for by name wherever a built-in one can::

    # mine.py
    from membench.models import register

    register("mine", MyStrategy())

    $ MEMBENCH_PLUGINS=mine membench measure --strategy mine

A plugin must not initialise CUDA when it is imported, since a probe is a fork of the process that imported it.
"""

import importlib
import os

VARIABLE = "MEMBENCH_PLUGINS"


def load_plugins() -> None:
    """Import the modules that the environment names, each once. Whatever they raise is raised."""
    for name in os.environ.get(VARIABLE, "").split(","):
        if name.strip():
            importlib.import_module(name.strip())
