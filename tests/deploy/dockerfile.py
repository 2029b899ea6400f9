"""The Dockerfile, read: its instructions by stage, and what the last stage sets."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from pnl_backend.settings.model import Settings
from tests.deploy.proxy import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = {name.upper() for name in Settings.model_fields}


@dataclass(frozen=True)
class Instruction:
    stage: int
    name: str
    value: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    found, stage = [], -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        name, _, value = line.strip().partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, value.strip()))
    return found


INSTRUCTIONS = instructions()
LAST = max(instruction.stage for instruction in INSTRUCTIONS)
FINAL = [instruction for instruction in INSTRUCTIONS if instruction.stage == LAST]


def final(name: str) -> list[str]:
    return [instruction.value for instruction in FINAL if instruction.name == name]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for line in final("ENV") for word in shlex.split(line))
