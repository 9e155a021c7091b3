"""Builds the programs and runs them, with the server beside them. Everything stays on loopback and ends by itself."""

import json
import os
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent

# Nothing runs this long, not even under callgrind.
TIMEOUT = 600

# What a server that is not there has got.
NOTHING = {"spans": 0, "requests": 0, "bytes": 0, "poisoned": 0}


@dataclass(frozen=True)
class Result:
    made: dict[str, float]
    got: dict[str, int]


def build(programs) -> None:
    """Each is built alone, so that none gets the features that another one needs; and not incrementally, which compiles
    to other instructions."""
    for program in sorted(programs):
        command = ["cargo", "build", "--release", "--quiet", "--package", f"peers-{program}"]
        subprocess.run(command, cwd=PEERS, env=os.environ | {"CARGO_INCREMENTAL": "0"}, check=True)


@cache
def binaries() -> Path:
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    return Path(json.loads(subprocess.check_output(command, cwd=PEERS))["target_directory"], "release")


def run(program: str, named: tuple[str, ...], server: str | None, before=(), environment=None) -> Result:
    """Runs a program with the server; `before` is a command that runs it."""
    with served(server) as (port, got):
        command = [*before, str(binaries() / program), str(port), *named]
        env = os.environ | (environment or {})
        output = subprocess.run(command, capture_output=True, env=env, text=True, timeout=TIMEOUT)
        if output.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {output.returncode}\n{output.stderr}")
    return Result(json.loads(output.stdout), got)


@contextmanager
def served(plan: str | None):
    """Runs the server, and fills a dictionary with its counts at the end. Without a plan, the port has no listener."""
    if plan is None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        yield port, NOTHING
        return
    command = [str(binaries() / "server"), *plan.split()]
    got = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield int(server.stdout.readline()), got
        server.stdin.close()
        got.update(json.loads(server.stdout.readline()))
