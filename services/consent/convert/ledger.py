"""Lines of the ledger to their proto."""

from __future__ import annotations

from lienthong.consent.v1 import access_ledger_service_pb2
from lienthong.type.v1 import access_context_pb2

from services.consent import model
from services.consent.anchors import Anchored
from services.consent.convert.scalars import BASIS, PURPOSE, classes_out, effect_out, kinds_out, stamp


def access_message(line: model.Access) -> access_ledger_service_pb2.Access:
    """The proto of a ledger line."""
    return access_ledger_service_pb2.Access(
        name=f"accesses/{line.id}",
        person=f"persons/{line.person}",
        sequence=line.sequence,
        access_time=stamp(line.at),
        organization=f"organizations/{line.organization}" if line.organization else "",
        practitioner_licence=line.licence,
        principal_kind=line.principal_kind,
        purpose=access_context_pb2.PurposeOfUse.ValueType(PURPOSE[line.purpose]),
        legal_basis=access_context_pb2.LegalBasis.ValueType(BASIS[line.basis]),
        kinds=kinds_out(line.kinds),
        method=line.method,
        decision=f"decisions/{line.decision}",
        effect=effect_out(line.effect),
        trace_id=line.trace_id,
        previous_hash=line.previous_hash,
        hash=line.hash,
        acting_person=f"persons/{line.acting_person}" if line.acting_person else "",
        resources=line.resources,
        emergency_access=f"emergencyAccesses/{line.emergency}" if line.emergency else "",
        sensitive_classes=classes_out(frozenset(line.classes)),
    )


def line_message(line: model.Access) -> access_ledger_service_pb2.LedgerLine:
    """The proto of a line as it is hashed."""
    return access_ledger_service_pb2.LedgerLine(
        person=f"persons/{line.person}", sequence=line.sequence, canonical=line.canonical()
    )


def anchor_message(anchored: Anchored) -> access_ledger_service_pb2.LedgerAnchor:
    """The proto of an anchored head."""
    leaf = anchored.leaf
    return access_ledger_service_pb2.LedgerAnchor(
        person=f"persons/{leaf.head.person}",
        sequence=leaf.head.sequence,
        head_hash=leaf.head.hash,
        salt=leaf.salt,
        leaf_index=leaf.leaf_index,
        tree_size=anchored.tree_size,
        path=leaf.path,
        log_entry=anchored.entry,
        tlog_proof=anchored.tlog_proof,
        anchor_time=stamp(anchored.anchored_at),
    )
