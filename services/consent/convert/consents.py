"""Consents and requests to their protos."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lienthong.consent.v1 import consent_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model
from services.consent.convert.scalars import pairs, stamp
from services.consent.convert.terms import terms_out
from services.consent.recipients import ConsentEvent, Recipient

_STATE = pairs(model.ConsentState, "CONSENT_STATE", dict(consent_pb2.ConsentState.items()))[0]
_CHANNEL = pairs(model.Channel, "CONSENT_CHANNEL", dict(consent_pb2.ConsentChannel.items()))[0]
_ROLE = pairs(model.AgreementRole, "AGREEMENT_ROLE", dict(consent_pb2.AgreementRole.items()))[0]
_REQUEST = pairs(model.RequestState, "CONSENT_REQUEST_STATE", dict(consent_pb2.ConsentRequestState.items()))[0]


_ASKED = {
    consent_pb2.CONSENT_CHANNEL_UNSPECIFIED: model.Channel.NATIONAL_ID_APP,
    consent_pb2.CONSENT_CHANNEL_NATIONAL_ID_APP: model.Channel.NATIONAL_ID_APP,
    consent_pb2.CONSENT_CHANNEL_KIOSK_QR: model.Channel.KIOSK_QR,
    consent_pb2.CONSENT_CHANNEL_SMS_CODE: model.Channel.SMS_CODE,
}


def channel_in(channel: int, field: str) -> model.Channel:
    """How to ask; the ID app when not given. InvalidArgument for what nobody is asked by."""
    known = {int(number): one for number, one in _ASKED.items()}
    if channel not in known:
        raise InvalidArgument.of(FieldViolation(field, "NATIONAL_ID_APP, KIOSK_QR or SMS_CODE", "CHANNEL_UNKNOWN"))
    return known[channel]


def consent_message(consent: model.Consent, at: datetime, uses: int = 0) -> consent_pb2.Consent:
    """The proto of a consent with its state at a time. `uses` are the reads that its frequency counts by then."""
    limit = consent.terms.frequency
    return consent_pb2.Consent(
        name=f"consents/{consent.id}",
        person=f"persons/{consent.person}",
        terms=terms_out(consent.terms),
        state=consent_pb2.ConsentState.ValueType(_STATE[consent.state(at, uses)]),
        evidence=evidence_message(consent.evidence),
        grant_time=stamp(consent.granted_at),
        expire_time=stamp(consent.expires_at),
        revoke_time=stamp(consent.revoked_at),
        consent_request=f"consentRequests/{consent.request}" if consent.request else "",
        etag=consent.etag,
        erase_time=stamp(consent.erase_at),
        agreements=[
            consent_pb2.Agreement(
                role=consent_pb2.AgreementRole.ValueType(_ROLE[one.role]),
                person=f"persons/{one.person}",
                agree_time=stamp(one.at),
                evidence=evidence_message(one.evidence),
            )
            for one in consent.agreements
        ],
        remaining_reads=None if limit is None else max(limit.reads - uses, 0),
        source=f"organizations/{consent.source}" if consent.source else "",
    )


def evidence_message(evidence: model.Evidence) -> consent_pb2.ConsentEvidence:
    """The proto of evidence; what is kept as evidence is given as its hash only."""
    return consent_pb2.ConsentEvidence(
        channel=consent_pb2.ConsentChannel.ValueType(_CHANNEL[evidence.channel]),
        text_version=evidence.text_version,
        text_sha256=evidence.text_sha256,
        assertion_sha256=evidence.assertion_sha256,
        acr=evidence.acr,
        witness_licence=evidence.witness,
    )


def recipient_message(recipient: Recipient) -> consent_pb2.Recipient:
    """The proto of a recipient."""
    return consent_pb2.Recipient(
        organization=f"organizations/{recipient.organization}",
        first_read_time=stamp(recipient.first_read_at),
        last_read_time=stamp(recipient.last_read_at),
        reads=recipient.reads,
        erase_time=stamp(recipient.erase_at),
        acknowledge_time=stamp(recipient.acknowledged_at),
        retained_under=recipient.retained_under,
    )


def event_message(event: ConsentEvent) -> consent_pb2.ConsentEvent:
    """The proto of an event."""
    return consent_pb2.ConsentEvent(
        type=event.type,
        event_time=stamp(event.at),
        actor=event.actor,
        evidence=None if event.evidence is None else evidence_message(event.evidence),
    )


def request_message(
    request: model.ConsentRequest, at: datetime, consents: Sequence[model.Consent] = ()
) -> consent_pb2.ConsentRequest:
    """The proto of a request with its state at a time, and the consents that came of it."""
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
        channel=consent_pb2.ConsentChannel.ValueType(_CHANNEL[request.channel]),
        consents=[f"consents/{one.id}" for one in consents],
    )
