"""PAdES-B, or -T with a time-stamp, inside a PDF file (ETSI EN 319 142-1): one signature over the entire file, in an increment of its own.

pyHanko writes the increment; the signature is the same CMS as beside an XML document.
"""

from __future__ import annotations

import io
import logging
from datetime import UTC, datetime

from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.signer import DocumentUnsignable, Signer
from lienthong.agent.signing.timestamping import Stamp

LARGEST_PDF = 16 * 1024 * 1024
"""Longest file that is signed, in bytes: the longest that is verified."""

_FIELD = "Signature1"
_RESERVED = 64 * 1024  # hexadecimal digits: room for the chain and a time-stamp


def sign_pdf(
    content: bytes, signer: Signer, *, signing_time: datetime | None = None, stamp: Stamp | None = None
) -> bytes:
    """The file with a signature. `signing_time` (aware) defaults to the clock and stands in the signature dictionary, as PAdES wants it.

    Raises DocumentUnsignable for what is no PDF file, is encrypted, too long, or signed already.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.fields import SigSeedSubFilter, enumerate_sig_fields
    from pyhanko.sign.general import SigningError as FieldRefused
    from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
    from pyhanko.sign.signers.pdf_byterange import SignatureObject

    # It logs what stands in the file.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    if len(content) > LARGEST_PDF:
        raise DocumentUnsignable(f"longer than {LARGEST_PDF} bytes")
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(content))
        if writer.prev.encrypted:
            raise DocumentUnsignable("the PDF file is encrypted")
        if next(enumerate_sig_fields(writer, filled_status=True), None) is not None:
            raise DocumentUnsignable("the PDF file is signed already")
        steps = PdfCMSEmbedder().write_cms(field_name=_FIELD, writer=writer)
        next(steps)
        at = signing_time or datetime.now(UTC)
        placeholder = SignatureObject(subfilter=SigSeedSubFilter.PADES, timestamp=at, bytes_reserved=_RESERVED)
        steps.send(SigObjSetup(sig_placeholder=placeholder))
        prepared, output = steps.send(SigIOSetup(md_algorithm="sha256", in_place=True))
        file = bytes(output.getbuffer())
        covered = file[: prepared.reserved_region_start] + file[prepared.reserved_region_end :]
        steps.send(sign_detached(covered, signer, stamp=stamp, claims_time=False))
    except (PdfError, FieldRefused, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DocumentUnsignable(f"not a PDF file that can be signed ({type(error).__name__})") from error
    return bytes(output.getbuffer())
