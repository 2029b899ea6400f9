"""`pnl-backend new-source`: writes a source type that works, with its tests, as a template."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from string import Template

from pnl_backend.commands.common import Subparsers
from pnl_backend.errors import OutputError
from pnl_backend.sources.registry import PACKAGE, types
from pnl_backend.sources.source_type import is_name

MODULES = ("__init__.py", "source.py", "fetcher.py", "simulator.py", "test_source.py")


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("new-source", help="write the skeleton of a source type, with tests that pass")
    parser.add_argument(
        "name", metavar="NAME", type=_name, help="lower case letters, digits and dashes, as clients see it"
    )
    parser.add_argument(
        "--into",
        metavar="FOLDER",
        type=Path,
        default=Path(),
        help="where to write it (the current folder); pnl_backend/sources of a checkout makes it a built-in type",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    name, into = arguments.name, arguments.into
    if name in {declared.name for declared in types()}:
        raise OutputError(f"there is a source type {name} already")
    built_in = into.resolve() == Path(str(files(PACKAGE))).resolve()
    written = write(name, into, built_in=built_in)
    folder = written[0].parent
    print(f"{folder} is written. Its tests: python -m pytest --import-mode=importlib {folder}")
    if built_in:
        print("The server knows the type at its next start; nothing else need be changed.")
    else:
        print(f"The server knows the type once it is installed beside it: pip install -e {folder.parent}")
    return 0


def write(name: str, into: Path, *, built_in: bool) -> list[Path]:
    """Write the files of the skeleton and print their names; OutputError for one that is there already."""
    module = name.replace("-", "_")
    package = f"{PACKAGE}.{module}" if built_in else f"pnl_source_{module}"
    words = {
        "name": name,
        "module": module,
        "package": package,
        "distribution": f"pnl-source-{name}",
        "SETTING": module.upper(),
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "label": " ".join(word.capitalize() for word in name.split("-")),
    }
    project = into if built_in else into / words["distribution"]
    folder = project / (module if built_in else package)
    targets = [(folder / one, one) for one in MODULES]
    targets += [] if built_in else [(project / "pyproject.toml", "pyproject.toml")]
    try:
        folder.mkdir(parents=True)
        for target, template in targets:
            with target.open("x", encoding="utf-8") as file:
                file.write(Template(_template(template)).substitute(words))
    except FileExistsError as error:
        raise OutputError(f"{error.filename} is there already") from error
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {(error.strerror or str(error)).lower()}") from error
    return [target for target, _ in targets]


def _template(name: str) -> str:
    return files(PACKAGE).joinpath("skeleton", f"{name}.txt").read_text("utf-8")


def _name(given: str) -> str:
    if not is_name(given):
        raise argparse.ArgumentTypeError(f"{given!r} is no name: lower case letters, digits and dashes, 32 at most")
    return given
