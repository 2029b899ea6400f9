"""Run measurements: `python -m bench` runs them all, `python -m bench fanout rest` the named ones.

A measurement is a module of this folder with a `main()`; it prints its table and writes it to bench/results/.
"""

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

HERE = Path(__file__).parent


def measurements() -> list[str]:
    """Modules with a `main`, found by their text: importing one must not be what starts it."""
    names = [found.name for found in pkgutil.iter_modules([str(HERE)]) if not found.name.startswith("_")]
    return [name for name in names if "\ndef main(" in (HERE / f"{name}.py").read_text()]


def run(names: list[str]) -> int:
    known = measurements()
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
