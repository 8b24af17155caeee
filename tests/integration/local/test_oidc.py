"""The issuers and the ID app, used by the real verifier of tokens and by the consent role's own CIBA client."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import KeySet

from deploy.local.tokens import TokenIssuer
from services.chassis.clock import system_clock
from services.chassis.principal import IssuerKeys, Principal, PrincipalKind, TokenNotBound, TokenVerifier
from services.consent.ciba import CibaApp, CibaSettings
from services.consent.errors import IdAppUnavailable
from services.consent.model import ConsentRequest, RequestState
from services.consent.ports import AppApproved, AppPending, AppRefused
from tests.fixtures.consents import consent_request
from tests.fixtures.identities import Identities
from tests.integration.local.outside_bench import CLIENT, OPERATORS, PERSON, PIN, World, outside


@pytest.fixture
async def world(identities: Identities, tmp_path: Path) -> AsyncIterator[World]:
    async with outside(identities, tmp_path) as running:
        yield running
