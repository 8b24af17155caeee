"""`python -m deploy.local [--state DIR] up|down|status|trace ID|demo [--once]`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from deploy.local.otlp import tree, wait_for_trace
from deploy.local.processes import ProcessFailed, end_process, start_time
from deploy.local.suite import ROOT, LocalStack

_START_SECONDS = 120.0


def main() -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="deploy.local", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("STATE") or ".local"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "supervise"):
        commands.add_parser(name)
    commands.add_parser("trace").add_argument("id")
    commands.add_parser("demo").add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    state: Path = arguments.state.resolve()
    try:
        return _run(arguments, state)
    except ProcessFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(arguments: argparse.Namespace, state: Path) -> int:
    match arguments.command:
        case "supervise":
            return supervise(state)
        case "up":
            up(state)
            print(f"up: {state / 'endpoints.json'}")
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
    """Holds the stack until SIGTERM."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    with LocalStack(state):
        (state / "supervisor.json").write_text(json.dumps([os.getpid(), start_time(os.getpid())]), "utf-8")
        told.wait()
    return 0


def up(state: Path) -> None:
    """Starts a supervisor of its own session and waits until the stack answers."""
    if (state / "endpoints.json").exists():
        raise ProcessFailed(f"{state} is in use; take it down first")
    shutil.rmtree(state, ignore_errors=True)
    log = state.with_name(state.name + ".log")
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
    while not (state / "supervisor.json").exists():
        if child.poll() is not None or time.monotonic() > end:
            child.terminate()
            raise ProcessFailed(f"the stack did not start:\n{log.read_text('utf-8', 'replace')[-6000:]}")
        time.sleep(0.1)


def down(state: Path) -> None:
    """Ends the supervisor, which ends everything; whatever a killed supervisor left behind is taken away as well."""
    supervisor = state / "supervisor.json"
    if supervisor.exists():
        pid, started = json.loads(supervisor.read_text("utf-8"))
        end_process(pid, started, grace=30.0)
    known = state / "processes.json"
    if known.exists():
        left = json.loads(known.read_text("utf-8"))
        for pid, started in left["processes"].values():
            end_process(pid, started)
        for folder in left["folders"]:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
    state.with_name(state.name + ".log").unlink(missing_ok=True)


def status(state: Path) -> int:
    """Says what runs."""
    known = state / "processes.json"
    if not known.exists():
        print("down")
        return 1
    processes = json.loads(known.read_text("utf-8"))["processes"]
    for name, (pid, started) in processes.items():
        print(f"{name:<12}{'up' if started and start_time(pid) == started else 'down':<6}{pid}")
    return 0


def trace(state: Path, id: str) -> int:
    """Prints a trace as a tree."""
    endpoints = json.loads((state / "endpoints.json").read_text("utf-8"))
    spans = wait_for_trace(Path(endpoints["spans"]), id)
    for line in tree(spans):
        print(line)
    return 0 if spans else 1


if __name__ == "__main__":
    raise SystemExit(main())
