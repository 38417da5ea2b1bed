"""``python -m penstock``: the command line."""

from __future__ import annotations

from penstock.host.__main__ import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
