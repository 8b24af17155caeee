"""What a token says of how and when a human being was authenticated (RFC 9470, RFC 8176)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from joserfc.jwk import KeySet, KeySetSerialization

from deploy.local.tokens import AUDIENCE, TokenIssuer
from services.chassis.principal import IssuerKeys, Principal, PrincipalKind, TokenInvalid, TokenVerifier

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ISSUER = TokenIssuer("https://tokens.test")


def verified(kind: PrincipalKind = PrincipalKind.STEWARD, **claims: Any) -> Principal:
    issuers = {
        ISSUER.issuer: IssuerKeys(
            KeySet.import_key_set(cast("KeySetSerialization", ISSUER.jwks)), frozenset(PrincipalKind)
        )
    }
    token = ISSUER.mint(kind, "somebody", at=NOW, **claims)
    return TokenVerifier(issuers, AUDIENCE, lambda: NOW).verify(token, None)


def test_a_token_may_say_how_and_when() -> None:
    at = NOW - timedelta(minutes=2)
    found = verified(acr="urn:strong", amr=["pwd", "otp"], auth_time=int(at.timestamp()))
    assert (found.acr, found.amr, found.authenticated_at) == ("urn:strong", frozenset({"pwd", "otp"}), at)


def test_a_token_need_not_say_it() -> None:
    found = verified()
    assert (found.acr, found.amr, found.authenticated_at) == ("", frozenset(), None)


def test_only_an_auditor_has_an_employer() -> None:
    assert verified(PrincipalKind.AUDITOR, employer="01001").employer == "01001"
    assert verified(PrincipalKind.STEWARD, employer="01001").employer == ""


@pytest.mark.parametrize(
    "claims",
    [
        {"acr": 3},
        {"acr": "x" * 201},
        {"amr": "mfa"},
        {"amr": ["mfa", 1]},
        {"amr": ["x"] * 17},
        {"auth_time": "yesterday"},
        {"auth_time": True},
        {"auth_time": -1},
        # After the token was issued: whoever made it cannot have known.
        {"auth_time": int(NOW.timestamp()) + 61},
        {"auth_time": float("1e300")},
    ],
)
def test_a_malformed_claim_spoils_the_token(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        verified(**claims)
