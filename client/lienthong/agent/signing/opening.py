"""Opens the key that a profile names. Its passphrase or PIN comes from a file, the environment or a prompt, never from the command line,
where other users of the machine could read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from lienthong.agent.profile import KeySource
from lienthong.agent.signing.signer import KeystoreInvalid, Pkcs12Signer, Signer, TokenPinWrong

SECRETS = {"facility": "LIENTHONG_SIGNING_PIN", "practitioner": "LIENTHONG_PRACTITIONER_PIN"}
"""Environment variables that hold the passphrase or PIN, by the role of the key."""


def open_signer(source: KeySource, *, ask: Callable[[str], str] | None = None) -> Signer:
    """The key behind `source`. `ask` gets a question and returns the secret; the default asks at the terminal, if there is one.

    Raises SigningError.
    """
    if source.keystore is not None:
        secret = _secret(source, f"Passphrase of {source.keystore.name}", ask)
        return Pkcs12Signer(source.keystore, secret, pss=source.padding == "pss")
    if source.module is None:
        raise KeystoreInvalid("there is neither a keystore nor a PKCS#11 module")
    try:
        identifier = bytes.fromhex(source.key_id)
    except ValueError as error:
        raise KeystoreInvalid("the id of a key is hex digits") from error
    # PKCS#11 is an extra of the package, and loading it takes time.
    from lienthong.agent.signing.token import TokenSigner

    return TokenSigner(
        source.module,
        source.token,
        _secret(source, f"PIN of token {source.token}", ask),
        key=source.key,
        key_id=identifier,
        certificate=source.certificate,
        pss=source.padding == "pss",
    )


def _secret(source: KeySource, question: str, ask: Callable[[str], str] | None) -> str:
    if source.secret_file is not None:
        try:
            lines = source.secret_file.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise KeystoreInvalid(f"{source.secret_file.name}: {type(error).__name__}") from error
        return lines[0] if lines else ""
    name = SECRETS[source.role]
    if name in os.environ:
        return os.environ[name]
    if ask is None:
        if not sys.stdin.isatty():
            raise TokenPinWrong(f"no passphrase or PIN: name its file in the profile or set {name}")
        ask = _prompt
    return ask(question)


def _prompt(question: str) -> str:
    import click

    return str(click.prompt(question, hide_input=True))
