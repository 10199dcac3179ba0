"""``python -m membench``: the same as the command."""

import sys

from membench.cli import main

sys.exit(main())
