"""`lienthong`, the facility agent: sign, submit, track, verify, and read what citizens allow.

Commands are imported when they are used: a command that needs no network does not wait for gRPC to load.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from lienthong.agent.profile import ENVIRONMENT
from lienthong.agent.session import Session

_COMMANDS = {
    "sign": ("sign", "Signs an XML document or a folder of them."),
    "submit": ("submit", "Streams signed documents to the system."),
    "queue": ("queue", "Documents that wait for the gateway, encrypted."),
    "status": ("submit", "Shows where a document stands."),
    "receipt": ("receipt", "Receipts: the proof that a document was accepted."),
    "person": ("person", "Persons of the national index."),
    "records": ("records", "Documents and health books."),
    "consent": ("consent", "Requests to citizens, and what they allow."),
    "citizen": ("citizen", "A person's own side: requests, consents, and who read."),
    "emergency": ("emergency", "Reading without consent where life or health is at risk."),
    "referral": ("referral", "Referrals to and from this facility."),
    "verify": ("verify", "Explains what a signed file, a receipt, an evidence package or a ledger proves."),
    "steward": ("steward", "The desk of the identity stewards: reviews, links and their history."),
    "guardianship": ("guardianship", "Who acts for a child, or for somebody who cannot act."),
    "auditor": ("auditor", "The desk of the auditors: emergency accesses to review, and their statistics."),
    "operator": ("operator", "Lists of the platform's operators: populations to load, facilities to register."),
    "log": ("log", "The transparency log that receipts point into."),
}
"""Module in `commands` and one line of help, by the command's name."""


class LazyCommands(click.Group):
    """A group whose commands are imported at their first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"lienthong.agent.commands.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The facility's profile; else {ENVIRONMENT}.",
)
@click.option("--licence", default="", help="Act for the practitioner with this licence.")
@click.option("--role", default="doctor", show_default=True, help="Role of the practitioner.")
@click.pass_context
def main(context: click.Context, profile: Path | None, licence: str, role: str) -> None:
    """Connects a facility's system to Liên Thông."""
    context.obj = Session(profile, licence, role)
