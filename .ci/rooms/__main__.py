"""Checks that the rooms of each crate import in one direction: `python3 .ci/rooms`. The rooms are in `.ci/rooms.toml`."""

import sys
from pathlib import Path

from check import LIST, check_workspace

problems = check_workspace(Path(__file__).resolve().parents[2])
for problem in problems:
    print(problem)
sys.exit(f"{len(problems)} problems; the rules are in CONTRIBUTING.md, the rooms in {LIST}" if problems else 0)
