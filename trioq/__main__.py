"""``python -m trioq``: the command line.  All of it lives in ``cli``."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
