"""Consents and requests to their protos."""

from __future__ import annotations

from datetime import datetime

from lienthong.consent.v1 import consent_pb2

from services.consent import model
from services.consent.convert.scalars import pairs, stamp
from services.consent.convert.terms import terms_out

_STATE = pairs(model.ConsentState, "CONSENT_STATE", dict(consent_pb2.ConsentState.items()))[0]
_CHANNEL = pairs(model.Channel, "CONSENT_CHANNEL", dict(consent_pb2.ConsentChannel.items()))[0]
_REQUEST = pairs(model.RequestState, "CONSENT_REQUEST_STATE", dict(consent_pb2.ConsentRequestState.items()))[0]


def consent_message(consent: model.Consent, at: datetime) -> consent_pb2.Consent:
    """The proto of a consent with its state at a time."""
    evidence = consent.evidence
    return consent_pb2.Consent(
        name=f"consents/{consent.id}",
        person=f"persons/{consent.person}",
        terms=terms_out(consent.terms),
        state=consent_pb2.ConsentState.ValueType(_STATE[consent.state(at)]),
        evidence=consent_pb2.ConsentEvidence(
            channel=consent_pb2.ConsentChannel.ValueType(_CHANNEL[evidence.channel]),
            text_version=evidence.text_version,
            text_sha256=evidence.text_sha256,
            assertion_sha256=evidence.assertion_sha256,
            acr=evidence.acr,
        ),
        grant_time=stamp(consent.granted_at),
        expire_time=stamp(consent.expires_at),
        revoke_time=stamp(consent.revoked_at),
        consent_request=f"consentRequests/{consent.request}" if consent.request else "",
        etag=consent.etag,
    )


def request_message(request: model.ConsentRequest, at: datetime) -> consent_pb2.ConsentRequest:
    """The proto of a request with its state at a time."""
    return consent_pb2.ConsentRequest(
        name=f"consentRequests/{request.id}",
        person=f"persons/{request.person}",
        organization=f"organizations/{request.organization}",
        terms=terms_out(request.terms),
        state=consent_pb2.ConsentRequestState.ValueType(_REQUEST[request.state(at)]),
        binding_message=request.binding_message,
        consent=f"consents/{request.consent}" if request.consent else "",
        create_time=stamp(request.created_at),
        expire_time=stamp(request.expires_at),
    )
