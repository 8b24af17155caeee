"""Evidence packages made of real parts: a signed document, OpenSSL's OCSP answers and time-stamps, a log with witness-free
checkpoints, the records role's own builder and seal.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from lienthong.agent.signing.cms import sign_detached
from lienthong.client.batch import make_batch
from lienthong.client.evidence import EvidenceTrust
from lienthong.client.tlog.checkpoint import Checkpoint, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, inclusion_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.proof import TlogProof
from lienthong.signing.v1 import verdict_pb2

from deploy.local.pki import Pki, SigningPair
from services.chassis.clock import FrozenClock
from services.records.convert.intake import answer_message
from services.records.convert.package import AsicPackage
from services.records.convert.peers import verdict_in
from services.records.formats.asic import MANIFEST, SIGNATURE, Member, build_container
from services.records.model import Accepted, DocumentEntry, StoredContent, SubmissionRecord, SubmissionState
from services.records.proof import (
    EvidenceKind,
    EvidencePiece,
    Occasion,
    PackageContents,
    RecordedVerdict,
    TimestampedCheckpoint,
)
from services.records.sealing import PemSigner, seal_with
from services.records.signatures import BatchPlace, DetachedSignature, SignatureForm
from tests.fakes.records_samples import accepted, answers, episode, signer
from tests.fixtures.debian import openssl

ORIGIN = "log.lienthong.vn/2026"
MINUTE = timedelta(minutes=1)
TSA_SETTINGS = """[tsa]
default_tsa = local
[local]
serial = {folder}/serial
signer_cert = {folder}/tsa.crt
signer_key = {folder}/tsa.key
certs = {folder}/tsa.crt
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class World:
    """Keys, authorities and a log; makes packages and says whom to trust."""

    pki: Pki
    log: NoteSigner = field(default_factory=lambda: NoteSigner(ORIGIN, Ed25519PrivateKey.generate()))

    def __post_init__(self) -> None:
        self.folder = self.pki.public_authorities()
        (self.folder / "tsa.conf").write_text(TSA_SETTINGS.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        starts = datetime.now(UTC) - timedelta(days=1)
        self.facility: SigningPair = self.pki.signer("01001", algorithm="p256", starts=starts)
        self.signer = PemSigner(self.facility.private_key, self.facility.certificate)
        self.pki.publish(1, {})
        self.seal = seal_with(PemSigner(self.pki.seal().private_key, self.pki.seal().certificate), lambda: self.now)
        # Certificates are made for the machine's own time.
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.clock = FrozenClock(self.now)

    @property
    def trust(self) -> EvidenceTrust:
        seal = x509.load_pem_x509_certificates(self.pki.seal().certificate.read_bytes())[0]
        return EvidenceTrust(
            TrustPolicy(logs=(self.log.verifier_key,), promise_keys=(signer().verifier_key,)),
            (self.pki.signing_root.certificate,),
            (self.pki.time_root.certificate,),
            (seal,),
        )

    @property
    def signer_serial(self) -> int:
        """Serial number of the facility's certificate."""
        return x509.load_der_x509_certificate(self.signer.certificate).serial_number

    def revoked_at(self, piece: EvidencePiece) -> datetime:
        """When a list says that the facility's certificate was revoked."""
        entry = x509.load_der_x509_crl(piece.content).get_revoked_certificate_by_serial_number(self.signer_serial)
        assert entry is not None
        return entry.revocation_date_utc

    def openssl(self, *arguments: str) -> bytes:
        """Output file of a command; `{out}` stands for its path."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            command = [openssl(), *(argument.replace("{out}", str(out)) for argument in arguments)]
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=60)
            return out.read_bytes()

    def ocsp_answer(self, certificate: bytes, issuer: bytes) -> bytes:
        """By `openssl ocsp`, as a delegated responder gives it."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            x509.load_der_x509_certificate(certificate),
            x509.load_der_x509_certificate(issuer),
            hashes.SHA256(),
        )
        with tempfile.NamedTemporaryFile() as request:
            request.write(builder.build().public_bytes(Encoding.DER))
            request.flush()
            responder = ["-index", "index.txt", "-CA", "issuer.crt", "-rsigner", "ocsp.crt", "-rkey", "ocsp.key"]
            return self.openssl(
                "ocsp", *responder, "-reqin", request.name, "-respout", "{out}", "-nmin", "60", "-noverify"
            )

    def timestamp(self, data: bytes, digest: str = "sha256") -> bytes:
        """A token by `openssl ts`."""
        imprint = hashlib.new(digest, data).hexdigest()
        with tempfile.NamedTemporaryFile() as query:
            query.write(self.openssl("ts", "-query", "-digest", imprint, f"-{digest}", "-cert", "-out", "{out}"))
            query.flush()
            return self.openssl(
                "ts", "-reply", "-config", "tsa.conf", "-queryfile", query.name, "-token_out", "-out", "{out}"
            )

    def signed(self, forms: Sequence[SignatureForm], seed: int = 5) -> Accepted:
        """A document with CMS signatures beside it, over itself, its part XML13 or its batch."""
        document = accepted(episode(seed, referral_to="79001"), received_at=self.now)
        content = document.incoming.content
        carried = []
        for form in forms:
            if form is SignatureForm.BATCH:
                manifest, paths = make_batch("01001", [b"another", content, b"third"])
                place = BatchPlace(manifest.encode(), 1, paths[1])
                signature = sign_detached(manifest.encode().encode(), self.signer, signing_time=self.now)
                carried.append(DetachedSignature(form, signature, batch=place))
            elif form is SignatureForm.XADES_DETACHED:
                part = next(one for one in document.parsed.parts if one.name == "XML13")
                carried.append(
                    DetachedSignature(SignatureForm.CMS_DETACHED, sign_detached(part.content, self.signer), "XML13")
                )
            else:
                carried.append(DetachedSignature(form, sign_detached(content, self.signer, signing_time=self.now)))
        return replace(document, incoming=replace(document.incoming, signatures=tuple(carried)))

    def pieces(self, *, by_ocsp: bool = False) -> dict[str, EvidencePiece]:
        """Chain and revocation evidence of the signer, `chain` first to last, `revocation`."""
        issuer = self.pki.signing_authority.der
        if by_ocsp:
            revocation = (EvidenceKind.OCSP_RESPONSE, self.ocsp_answer(self.signer.certificate, issuer))
        else:
            revocation = (EvidenceKind.REVOCATION_LIST, (self.folder / "issuer.crl").read_bytes())
        found = {
            "signer": (EvidenceKind.CERTIFICATE, self.signer.certificate),
            "issuer": (EvidenceKind.CERTIFICATE, issuer),
            "root": (EvidenceKind.CERTIFICATE, self.pki.signing_root.der),
            "revocation": revocation,
        }
        return {name: EvidencePiece(sha256(content), kind, content) for name, (kind, content) in found.items()}

    def verdict(self, document: Accepted, pieces: dict[str, EvidencePiece]) -> verdict_pb2.Verdict:
        """What signing would say of the document's signatures, with this evidence."""
        message = verdict_pb2.Verdict(indication=verdict_pb2.INDICATION_TOTAL_PASSED, acceptable=True)
        message.control_time.FromDatetime(self.now)
        chain = [pieces[name].sha256 for name in ("signer", "issuer", "root")]
        for carried in document.incoming.signatures:
            one = message.signatures.add(
                format=verdict_pb2.SignatureFormat.Value(f"SIGNATURE_FORMAT_{carried.form.value}"),
                role=verdict_pb2.SIGNER_ROLE_FACILITY,
                indication=verdict_pb2.INDICATION_TOTAL_PASSED,
                scope=verdict_pb2.SIGNATURE_SCOPE_FULL,
                signer_certificate_sha256=chain[0],
                chain_sha256=chain,
                best_time_source="RECEIVED",
                part=carried.part,
                evidence_sha256=[*chain, pieces["revocation"].sha256],
            )
            one.best_signature_time.FromDatetime(self.now)
            self._revocation(one.revocation, pieces["revocation"])
        return message

    def _revocation(self, message: verdict_pb2.Revocation, piece: EvidencePiece) -> None:
        message.evidence_sha256 = piece.sha256
        if piece.kind is EvidenceKind.REVOCATION_LIST:
            listing = x509.load_der_x509_crl(piece.content)
            message.source = "CRL"
            times = listing.last_update_utc, listing.next_update_utc
        else:
            answer = ocsp.load_der_ocsp_response(piece.content)
            message.source = "OCSP"
            times = answer.this_update_utc, answer.next_update_utc
        assert times[0] is not None
        assert times[1] is not None
        message.this_update.FromDatetime(times[0])
        message.next_update.FromDatetime(times[1])

    def contents(
        self,
        document: Accepted,
        verdict: verdict_pb2.Verdict,
        pieces: Sequence[EvidencePiece],
        *,
        later: Sequence[RecordedVerdict] = (),
        stamped: bool = True,
    ) -> PackageContents:
        """A package's contents, with the document's entry logged third of four and the checkpoint time-stamped."""
        document = replace(document, verdict=verdict_in(verdict), verified_at=self.now)
        (done,) = answers(self.clock).finish([(document, 1)])
        entry = answer_message(done.answer).receipt.entry
        proof, checkpoint = self.logged(entry)
        record = SubmissionRecord(document.id, done.answer, SubmissionState.LOGGED, (), proof)
        stored = StoredContent(document.incoming.content, document.incoming.signatures, record)
        incoming = document.incoming
        index = DocumentEntry(
            id=document.id,
            person=document.filing.person,
            facility=incoming.facility,
            format="XML130",
            kinds=document.parsed.kinds,
            care_start=document.care[0],
            care_end=document.care[1],
            sha256=incoming.sha256,
            size=len(incoming.content),
            received_at=incoming.received_at,
            held=False,
        )
        token = self.timestamp(checkpoint.encode())
        stamp = TimestampedCheckpoint(checkpoint, token, proof) if stamped else None
        return PackageContents(index, stored, tuple(later), tuple(pieces), stamp)

    def logged(self, entry: bytes) -> tuple[str, str]:
        """Proof of an entry in a log of four, and the checkpoint."""
        edge, nodes = CompactRange(), dict[Node, bytes]()
        for one in (b"first", b"second", entry, b"fourth"):
            nodes.update(edge.append(leaf_hash(one)))
        note = sign_checkpoint(Checkpoint(ORIGIN, edge.size, edge.root()), self.log)
        return TlogProof(2, tuple(inclusion_path(2, edge.size, nodes)), note, entry).encode(), note

    def build(self, contents: PackageContents) -> bytes:
        return AsicPackage(self.seal).build(contents)

    def sealed(self, members: dict[str, bytes]) -> bytes:
        """These files under a seal that is right: what a fraudulent operator could make."""
        kept = {name: content for name, content in members.items() if name not in (MANIFEST, SIGNATURE)}
        return build_container([Member(name, "", content) for name, content in kept.items()], self.seal)

    def package(
        self, *forms: SignatureForm, by_ocsp: bool = False, stamped: bool = True, later: Sequence[RecordedVerdict] = ()
    ) -> bytes:
        document = self.signed(forms or (SignatureForm.CMS_DETACHED,))
        pieces = self.pieces(by_ocsp=by_ocsp)
        verdict = self.verdict(document, pieces)
        return self.build(self.contents(document, verdict, tuple(pieces.values()), stamped=stamped, later=later))


def recorded(number: int, occasion: Occasion, at: datetime, verdict: verdict_pb2.Verdict) -> RecordedVerdict:
    return RecordedVerdict(number, occasion, at, verdict.SerializeToString())
