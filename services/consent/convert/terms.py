"""Terms of a consent, proto to model and back."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from lienthong.consent.v1 import consent_pb2
from lienthong.type.v1 import access_context_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model
from services.consent.convert.scalars import PURPOSE, PURPOSE_IN, kinds_in, kinds_out, period_in, period_out


def terms_in(terms: consent_pb2.ConsentTerms, field: str) -> model.Terms:
    """Terms; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if terms.purpose not in PURPOSE_IN:
        wrong.append(FieldViolation(f"{field}.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
    kinds = kinds_in(terms.kinds, f"{field}.kinds", wrong)
    way = terms.grantee.WhichOneof("grantee")
    organization: str | None = None
    if way == "organization":
        collection, _, code = terms.grantee.organization.partition("/")
        if collection != "organizations" or len(code) != 5:
            wrong.append(FieldViolation(f"{field}.grantee.organization", "organizations/{code}", "NAME_INVALID"))
        organization = code
    elif way is None or not terms.grantee.any_treating:
        wrong.append(FieldViolation(f"{field}.grantee", "one facility, or any_treating set", "GRANTEE_MISSING"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    duration = timedelta(seconds=min(max(terms.permission_duration.seconds, 0), 10**9))
    return model.Terms(PURPOSE_IN[terms.purpose], kinds, period_in(terms.data_period), duration, organization)


def terms_out(terms: model.Terms) -> consent_pb2.ConsentTerms:
    """The proto of terms."""
    grantee = (
        consent_pb2.Grantee(any_treating=True)
        if terms.organization is None
        else consent_pb2.Grantee(organization=f"organizations/{terms.organization}")
    )
    return consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PurposeOfUse.ValueType(PURPOSE[terms.purpose]),
        kinds=kinds_out(terms.kinds),
        data_period=period_out(terms.data_period),
        permission_duration=Duration(seconds=int(terms.duration.total_seconds())),
        grantee=grantee,
    )
