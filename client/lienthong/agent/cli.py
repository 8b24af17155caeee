"""`lienthong`, the facility agent: sign, submit, track, verify, and read what citizens allow."""

from __future__ import annotations

from pathlib import Path

import click

from lienthong.agent.commands.consent import consent
from lienthong.agent.commands.log import log
from lienthong.agent.commands.person import person
from lienthong.agent.commands.receipt import receipt
from lienthong.agent.commands.records import records
from lienthong.agent.commands.referral import referral
from lienthong.agent.commands.sign import sign
from lienthong.agent.commands.submit import status, submit
from lienthong.agent.profile import ENVIRONMENT
from lienthong.agent.session import Session


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


for command in (sign, submit, status, receipt, person, records, consent, referral, log):
    main.add_command(command)
