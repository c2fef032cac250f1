"""``greenroom upgrade``: becomes ``cli.upgrading``, because only that process needs Ray."""

import os
import sys


def upgrade() -> None:
    """Have the actors of the running cluster replaced by those of this version; runs go on in new ones."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "cli.upgrading"])
