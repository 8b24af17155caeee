"""Receipts as an integrator verifies them: offline, with public keys only."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lienthong.client.tlog.policy import TrustPolicy, load_policy
from lienthong.client.tlog.receipt import Receipt, ReceiptDocumentMismatch, ReceiptState, verify_receipt

from services.records.formats.document import ContentKind
from services.records.model import log_kind
from services.records.service.receipts import Receipts
from tests.fakes.records_ports import CERTIFICATE
from tests.fakes.records_samples import NOW, accepted, episode, signer


def trust() -> TrustPolicy:
    return load_policy(f"#!promise {signer().verifier_key.encode()}\nquorum none\n")


def test_a_promise_verifies_with_the_clients_own_code() -> None:
    one = accepted(episode(1))
    made = Receipts(signer()).make(one, 17)
    receipt = Receipt(made.entry, made.salt, made.promise, None, made.trace_id)
    report = verify_receipt(receipt, trust(), document=one.incoming.content, now=NOW)
    assert report.state is ReceiptState.PROMISED
    assert report.deadline == NOW + timedelta(seconds=60)
    assert (report.entry.sequence, report.entry.submission) == (17, str(one.id))
    assert report.entry.signer_certificate_sha256 == CERTIFICATE
    assert report.entry.received_at == NOW
    with pytest.raises(ReceiptDocumentMismatch):
        verify_receipt(receipt, trust(), document=one.incoming.content + b" ", now=NOW)


def test_salts_are_fresh_so_equal_documents_have_unlike_commitments() -> None:
    one = accepted(episode(1))
    first, second = (Receipts(signer()).make(one, 1) for _ in range(2))
    assert first.salt != second.salt
    assert first.entry != second.entry


def test_the_public_log_never_names_a_sensitive_kind() -> None:
    assert log_kind((ContentKind.ENCOUNTER_SUMMARY, ContentKind.HIV_CARE)) == "ENCOUNTER_SUMMARY"
    assert log_kind((ContentKind.CHECK_IN,)) == "CHECK_IN"
    assert log_kind((ContentKind.HIV_CARE,)) == "DOCUMENT"
