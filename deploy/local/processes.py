"""Child processes: each in a session of its own with a log file, ended by its own process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_GRACE = 8.0


class ProcessFailed(Exception):
    """A child ended when it should not have; the text names it and holds the end of its log."""


@dataclass(frozen=True)
class Command:
    """How to start a child. `environment` is all it gets."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path = field(default_factory=Path.cwd)


class Process:
    """A running child."""

    def __init__(self, command: Command) -> None:
        self.command = command
        with command.log.open("ab") as log:
            # A session of its own: a terminal's or a shell's end must not reach it (Envoy got SIGTERM that way).
            self._popen = subprocess.Popen(
                list(command.arguments),
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if it still runs."""
        if self.running:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.signal(signal.SIGKILL)
        self._popen.wait(10)

    def wait(self, seconds: float) -> int:
        """The exit code; raises ProcessFailed when it takes longer."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self.command.name} did not end in {seconds:g} s") from None

    def stop(self, grace: float = _GRACE) -> None:
        """SIGTERM, and SIGKILL after a grace period."""
        self.signal(signal.SIGTERM)
        with suppress(ProcessFailed):
            self.wait(grace)
        self.kill()

    def tail(self, size: int = 2000) -> str:
        """The end of its log."""
        text = self.command.log.read_text("utf-8", "replace")
        return text[-size:]


def run(command: Command, seconds: float) -> None:
    """Runs a command to its end. Raises ProcessFailed when it fails or takes longer."""
    process = Process(command)
    try:
        code = process.wait(seconds)
    finally:
        process.kill()
    if code:
        raise ProcessFailed(f"{command.name} ended with code {code}:\n{process.tail()}")


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when there is none (or it is a zombie). Tells it from a
    later one of the same id.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def end_process(pid: int, started: str, grace: float = _GRACE) -> bool:
    """Ends a process that need not be our child, if it is still the one that started then. Returns whether it was
    there.
    """
    if not started or start_time(pid) != started:
        return False
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if start_time(pid) != started:
                return True
            time.sleep(0.05)
    return True
