"""Errors of the agent: one clear message each, and commands that load nothing they do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from lienthong.agent.cli import main
from lienthong.agent.session import Session, describe, run
from lienthong.agent.tokens import TokenRefused
from lienthong.client.errors import LienthongError, Violation


def broken(error: Exception) -> str:
    async def work() -> None:
        raise error

    with pytest.raises(click.ClickException) as caught:
        run(work())
    return caught.value.message


def rpc_error(*details: Any) -> grpc.aio.AioRpcError:
    packed = [AnyMessage() for _ in details]
    for one, detail in zip(packed, details, strict=True):
        one.Pack(detail)
    status = status_pb2.Status(code=9, message="text", details=packed)
    trailing = grpc.aio.Metadata(
        ("grpc-status-details-bin", status.SerializeToString()), ("lienthong-trace-id", "ab" * 16)
    )
    return grpc.aio.AioRpcError(grpc.StatusCode.FAILED_PRECONDITION, grpc.aio.Metadata(), trailing, "text", "")


def test_an_error_in_words() -> None:
    error = LienthongError(
        code=grpc.StatusCode.INVALID_ARGUMENT,
        message="two fields are wrong",
        reason="FIELD_INVALID",
        metadata={"b": "2", "a": "1"},
        violations=(Violation("documents[3].content", "too long", ""),),
        retry_after=None,
        trace_id="ab" * 16,
    )
    assert describe(error) == (
        "FIELD_INVALID: two fields are wrong\n  documents[3].content: too long\n  a: 1\n  b: 2\n  trace: " + "ab" * 16
    )
    assert describe(LienthongError.of_code("UNAVAILABLE", "nobody there")) == "UNAVAILABLE: nobody there"


def test_whatever_goes_wrong_is_one_message() -> None:
    found = broken(rpc_error(error_details_pb2.ErrorInfo(reason="CONSENT_MISSING", metadata={"need": "consent"})))
    assert found == "CONSENT_MISSING: text\n  need: consent\n  trace: " + "ab" * 16
    assert broken(LienthongError.of_code("NOT_FOUND", "gone")) == "NOT_FOUND: gone"
    assert broken(TokenRefused("token endpoint answered 401")) == "token endpoint answered 401"
    assert broken(FileNotFoundError(2, "no", "client.pem")) == "client.pem: FileNotFoundError"


def test_a_bug_is_not_hidden() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work())


def test_no_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIENTHONG_PROFILE", raising=False)
    with pytest.raises(click.ClickException, match="LIENTHONG_PROFILE"):
        assert Session(None, "", "doctor").profile
    (tmp_path / "profile.json").write_text("{}")
    monkeypatch.setenv("LIENTHONG_PROFILE", str(tmp_path / "profile.json"))
    refused = CliRunner().invoke(main, ["status"])
    assert (refused.exit_code, "facility: missing" in refused.output) == (1, True)


def test_every_command_is_there_with_the_help_of_its_own() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name in listed
    assert main.get_command(context, "nothing") is None
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2


def test_the_start_loads_neither_grpc_nor_cryptography() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom lienthong.agent.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print(sorted({'grpc', 'cryptography', 'lxml', 'google', 'rich', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
