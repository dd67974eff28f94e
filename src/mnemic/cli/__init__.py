"""The command line: ``mnemic VERB ...``. Every command takes ``--json``; errors say what to do.

Exit codes: 0 done; 1 an error, told on standard error; 2 the call's words are off; 3 nothing was found.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    from mnemic.cli.app import run

    sys.exit(run(sys.argv[1:]))
