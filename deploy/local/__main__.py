"""`python -m deploy.local [--state DIR] up|down|status|trace ID|demo [--once]`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deploy.local.otlp import tree, wait_for_trace
from deploy.local.processes import ProcessFailed, end_process, start_time
from deploy.local.suite import ENDPOINTS, MARKER, PROCESSES, ROOT, LocalStack

_START_SECONDS = 120.0
_ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="deploy.local", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("STATE") or ".local"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "supervise"):
        commands.add_parser(name)
    commands.choices["up"].add_argument("--foreground", action="store_true", help="hold the stack until SIGTERM")
    commands.add_parser("trace").add_argument("id")
    commands.add_parser("demo").add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    state: Path = arguments.state.resolve()
    try:
        return _run(arguments, state)
    except (ProcessFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(arguments: argparse.Namespace, state: Path) -> int:
    match arguments.command:
        case "supervise":
            return supervise(state)
        case "up" if arguments.foreground:
            clear(state)
            print(f"{state / ENDPOINTS} appears when everything is up", flush=True)
            return supervise(state)
        case "up":
            up(state)
            print(f"up: {state / ENDPOINTS}")
            return 0
        case "down":
            down(state)
            return 0
        case "status":
            return status(state)
        case "trace":
            return trace(state, arguments.id)
    from deploy.local import story

    return story.demo(state, once=arguments.once, up=up, down=down)


def supervise(state: Path) -> int:
    """Holds the stack until SIGTERM, which also ends a start that is under way."""

    def end(*_: object) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in _ENDING:
        signal.signal(number, end)
    with LocalStack(state):
        while True:
            signal.pause()


def up(state: Path) -> None:
    """Starts a supervisor in a session of its own and waits until the stack answers."""
    clear(state)
    log = log_of(state)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "--state", str(state), "supervise"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + _START_SECONDS
    while not (state / ENDPOINTS).exists():
        if child.poll() is not None or time.monotonic() > end:
            end_process(child.pid, start_time(child.pid), grace=30.0)
            text = log.read_text("utf-8", "replace")[-6000:]
            down(state)
            raise ProcessFailed(f"the stack did not start:\n{text}")
        time.sleep(0.1)


def log_of(state: Path) -> Path:
    """The supervisor's log, beside the folder, so that it outlives a start that failed."""
    return state.with_name(state.name + ".log")


def clear(state: Path) -> None:
    """Removes what a dead stack left. Raises ProcessFailed when the stack is up or the folder is not a stack's."""
    if held(state):
        raise ProcessFailed(f"{state} is in use; take it down first")
    down(state)


def down(state: Path) -> None:
    """Ends the supervisor, which ends everything; whatever a killed supervisor left behind is taken away as well. A
    folder that is not a stack's is left alone.
    """
    log_of(state).unlink(missing_ok=True)
    if not state.exists():
        return
    if not (state / MARKER).exists():
        if any(state.iterdir()):
            raise ProcessFailed(f"{state} is not the folder of a local stack; it stays as it is")
        state.rmdir()
        return
    left = processes(state)
    pid, started = left["holder"]
    end_process(pid, started, grace=30.0)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda process: end_process(*process), left["processes"].values()))
    for folder in left["folders"]:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


def processes(state: Path) -> dict[str, Any]:
    """What the stack wrote about its processes."""
    try:
        found: dict[str, Any] = json.loads((state / PROCESSES).read_text("utf-8"))
    except FileNotFoundError:
        return {"holder": [0, ""], "processes": {}, "folders": []}
    return found


def held(state: Path) -> bool:
    """Whether somebody has the stack up, or is about to."""
    pid, started = processes(state)["holder"]
    return bool(started) and start_time(pid) == started


def status(state: Path) -> int:
    """Says what runs; 1 when something does not."""
    known = processes(state)["processes"]
    if not held(state):
        print("down")
        return 1
    alive = {name: bool(started) and start_time(pid) == started for name, (pid, started) in known.items()}
    for name, (pid, _) in known.items():
        print(f"{name:<12}{'up' if alive[name] else 'down':<6}{pid}")
    return 0 if all(alive.values()) else 1


def trace(state: Path, id: str) -> int:
    """Prints a trace as a tree."""
    endpoints = json.loads((state / ENDPOINTS).read_text("utf-8"))
    spans = wait_for_trace(Path(endpoints["spans"]), id)
    for line in tree(spans):
        print(line)
    return 0 if spans else 1


if __name__ == "__main__":
    raise SystemExit(main())
