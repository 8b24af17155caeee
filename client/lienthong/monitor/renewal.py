"""A receipt that was completed while the quorum of witnesses was missing gets a proof under a checkpoint that has it."""

from __future__ import annotations

from dataclasses import replace

from lienthong.client.tlog.checkpoint import cosignatures, open_checkpoint
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.proof import TlogProof
from lienthong.client.tlog.receipt import Receipt, verify_receipt
from lienthong.monitor.source import GrpcLog


async def renewed(receipt: Receipt, log: GrpcLog, policy: TrustPolicy) -> Receipt | None:
    """The receipt under the newest checkpoint; None while that one lacks the quorum, or when the receipt has no proof yet. Raises ProofMalformed,
    NoteError when the log's answer is not its own, ReceiptError when the renewed receipt does not hold.
    """
    if receipt.tlog_proof is None:
        return None
    index = TlogProof.parse(receipt.tlog_proof).index
    note = await log.checkpoint()
    checkpoint, opened = open_checkpoint(note, policy.logs)
    seen = {one.key for one in cosignatures(opened, policy.witnesses.values())}
    if not policy.satisfied(seen) or checkpoint.size <= index:
        return None
    path = tuple(await log.inclusion(index, checkpoint.size))
    again = replace(receipt, tlog_proof=TlogProof(index, path, note, receipt.entry).encode())
    verify_receipt(again, policy, document=None)
    return again
