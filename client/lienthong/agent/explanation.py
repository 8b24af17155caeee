"""A verdict in words, in English and Vietnamese: what was found, on what it rests, what is still open and until when.

No subject of a certificate is named: those of practitioners may hold a citizen's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lienthong.signing.v1 import verdict_pb2

LANGUAGES = ("en", "vi")
Text = tuple[str, str]
"""English and Vietnamese."""

_INDICATIONS: Mapping[str, Text] = {
    "TOTAL_PASSED": ("The signature is valid.", "Chữ ký hợp lệ."),
    "INDETERMINATE": (
        "It cannot be said whether the signature is valid.",
        "Chưa đủ căn cứ để kết luận chữ ký hợp lệ.",
    ),
    "TOTAL_FAILED": ("The signature is not valid.", "Chữ ký không hợp lệ."),
    "NO_SIGNATURE_FOUND": ("There is no signature.", "Không có chữ ký."),
}
_SUB_INDICATIONS: Mapping[str, Text] = {
    "FORMAT_FAILURE": ("It is not of a form that is accepted.", "Chữ ký không đúng định dạng được chấp nhận."),
    "HASH_FAILURE": ("The document is not the one that was signed.", "Tài liệu đã bị thay đổi sau khi ký."),
    "SIG_CRYPTO_FAILURE": (
        "The signature value does not fit the signer's key.",
        "Giá trị chữ ký không khớp với khóa của người ký.",
    ),
    "REVOKED": ("The signer's certificate was revoked.", "Chứng thư số của người ký đã bị thu hồi."),
    "REVOKED_NO_POE": (
        "The signer's certificate was revoked, and nothing proves that the signature is older.",
        "Chứng thư số đã bị thu hồi và không có bằng chứng chữ ký có trước thời điểm đó.",
    ),
    "REVOKED_CA_NO_POE": (
        "An issuing authority was revoked, and nothing proves that the signature is older.",
        "Chứng thư của tổ chức cấp đã bị thu hồi và không có bằng chứng chữ ký có trước thời điểm đó.",
    ),
    "SIG_CONSTRAINTS_FAILURE": (
        "The signer, or what was signed, is not what the policy asks for.",
        "Người ký hoặc nội dung ký không đáp ứng chính sách.",
    ),
    "CHAIN_CONSTRAINTS_FAILURE": (
        "The certificate may not be used for this.",
        "Chứng thư số không được dùng cho mục đích này.",
    ),
    "CRYPTO_CONSTRAINTS_FAILURE": (
        "An algorithm or a key is too weak.",
        "Thuật toán hoặc độ dài khóa không đủ mạnh.",
    ),
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": (
        "An algorithm was no longer accepted, and nothing proves that the signature is older.",
        "Thuật toán đã hết hạn chấp nhận và không có bằng chứng chữ ký có trước thời điểm đó.",
    ),
    "NO_SIGNING_CERTIFICATE_FOUND": ("The signer's certificate is missing.", "Thiếu chứng thư số của người ký."),
    "NO_CERTIFICATE_CHAIN_FOUND": (
        "The certificate was issued by no authority that is trusted.",
        "Chứng thư số không do tổ chức được tin cậy cấp.",
    ),
    "NO_CERTIFICATE_CHAIN_FOUND_NO_POE": (
        "The authority was no longer trusted, and nothing proves that the signature is older.",
        "Tổ chức cấp không còn được tin cậy và không có bằng chứng chữ ký có trước thời điểm đó.",
    ),
    "OUT_OF_BOUNDS_NO_POE": (
        "The certificate was not valid at the time that is proven.",
        "Chứng thư số không còn hoặc chưa có hiệu lực tại thời điểm được chứng minh.",
    ),
    "NOT_YET_VALID": (
        "The signature is older than the certificate.",
        "Chữ ký có trước ngày chứng thư số bắt đầu có hiệu lực.",
    ),
    "TRY_LATER": (
        "Whether the certificate was revoked is not known now; it will be looked at again.",
        "Chưa kiểm tra được tình trạng thu hồi của chứng thư số; hệ thống sẽ kiểm tra lại.",
    ),
    "SIGNED_DATA_NOT_FOUND": ("What was signed is not in the document.", "Không tìm thấy nội dung đã ký."),
    "SIGNATURE_POLICY_NOT_AVAILABLE": (
        "The signature names a policy that is not known here.",
        "Chính sách ký nêu trong chữ ký không có ở đây.",
    ),
}
_BLOCKS: Mapping[str, Text] = {
    "FORMAT_CHECKING": ("form", "định dạng"),
    "SIGNER_IDENTIFICATION": ("signer", "người ký"),
    "CRYPTOGRAPHIC_VERIFICATION": ("cryptography", "mật mã"),
    "CERTIFICATE_VALIDATION": ("certificate", "chứng thư số"),
    "ACCEPTANCE_VALIDATION": ("policy", "chính sách"),
}
_STATES: Mapping[str, Text] = {
    "OK": ("passed", "đạt"),
    "WARNING": ("passed with a warning", "đạt, có cảnh báo"),
    "NOT_OK": ("not passed", "không đạt"),
    "SKIPPED": ("not reached", "chưa xét"),
}
_SOURCES: Mapping[str, Text] = {
    "RECEIVED": ("when it was received", "lúc tiếp nhận"),
    "TIMESTAMP": ("by a time-stamp", "theo dấu thời gian"),
    "CHECKPOINT": ("by the receipt", "theo biên nhận"),
}
_ROLES: Mapping[str, Text] = {"FACILITY": ("facility", "cơ sở"), "PRACTITIONER": ("practitioner", "người hành nghề")}
_WORDS: Mapping[str, Text] = {
    "acceptable": ("The system accepts the document.", "Hệ thống chấp nhận tài liệu này."),
    "refused": ("The system does not accept the document.", "Hệ thống không chấp nhận tài liệu này."),
    "signature": ("Signature {number} of {count}", "Chữ ký {number}/{count}"),
    "over": ("over {part}", "trên {part}"),
    "whole": ("the whole document", "toàn bộ tài liệu"),
    "role": ("role", "vai trò"),
    "certificate": ("certificate", "chứng thư"),
    "algorithm": ("algorithm", "thuật toán"),
    "claimed": ("claimed time (not trusted)", "thời điểm tự khai (không tin cậy)"),
    "existed": ("existed", "đã tồn tại"),
    "revocation": ("revocation", "thu hồi"),
    "good": (
        "not revoked, {source} of {this}, next due {next}",
        "không bị thu hồi, {source} ngày {this}, kỳ tới {next}",
    ),
    "ended": ("revoked at {at} ({why}), {source} of {this}", "bị thu hồi lúc {at} ({why}), {source} ngày {this}"),
    "unknown": ("not known", "chưa biết"),
    "timestamp": ("time-stamp", "dấu thời gian"),
    "holds": ("holds", "hợp lệ"),
    "fails": ("does not hold ({reason})", "không hợp lệ ({reason})"),
    "open": (
        "Newer revocation data may still change this for {left} (until {until}).",
        "Kết luận có thể thay đổi theo dữ liệu thu hồi mới trong {left} nữa (đến {until}).",
    ),
    "closed": (
        "The time for newer revocation data ended at {until}; it will be judged once more.",
        "Thời gian chờ dữ liệu thu hồi đã hết lúc {until}; hệ thống sẽ đánh giá lại lần cuối.",
    ),
    "conclusive": ("This is conclusive.", "Kết luận này là cuối cùng."),
    "asked": ("The policy asks for", "Chính sách yêu cầu"),
    "policy": ("policy {policy}, trust list {trust}", "chính sách {policy}, danh sách tin cậy {trust}"),
}


def explain(verdict: verdict_pb2.Verdict, *, now: datetime, language: str = "en") -> str:
    """The verdict in words; `now` (aware) is what the countdown of the grace period is counted from. Unknown names are shown as they are."""
    return "\n".join(_Words(LANGUAGES.index(language), now).document(verdict))


class _Words:
    def __init__(self, place: int, now: datetime) -> None:
        self._place = place
        self._now = now

    def document(self, verdict: verdict_pb2.Verdict) -> Iterator[str]:
        indication = _name(verdict_pb2.Indication, verdict.indication)
        yield self._of(_INDICATIONS, indication)
        yield from self._why(verdict)
        yield self._word("acceptable" if verdict.acceptable else "refused")
        if verdict.HasField("grace_period_end"):
            yield self._grace(verdict.grace_period_end.ToDatetime(UTC))
        elif indication == "TOTAL_PASSED":
            yield self._word("conclusive")
        for requirement in verdict.requirements:
            state = self._of(_STATES, _name(verdict_pb2.CheckState, requirement.state))
            yield f"{self._word('asked')} {requirement.reason or 'OK'}: {state}"
        for number, signature in enumerate(verdict.signatures, 1):
            yield ""
            yield from self._signature(signature, number, len(verdict.signatures))
        yield ""
        yield self._word("policy", policy=verdict.policy_version, trust=verdict.trust_list_version)

    def _signature(self, one: verdict_pb2.SignatureVerdict, number: int, count: int) -> Iterator[str]:
        form = _name(verdict_pb2.SignatureFormat, one.format)
        level = _name(verdict_pb2.SignatureLevel, one.level)
        over = self._word("over", part=one.part or self._word("whole"))
        head = self._word("signature", number=number, count=count)
        yield f"{head}: {form}{f' ({level})' if level else ''} {over}"
        yield "  " + self._of(_INDICATIONS, _name(verdict_pb2.Indication, one.indication))
        for line in self._why(one):
            yield "  " + line
        role = self._of(_ROLES, _name(verdict_pb2.SignerRole, one.role))
        facts = {
            "role": " ".join(filter(None, (role, one.practitioner_licence))),
            "certificate": one.signer_certificate_sha256,
            "algorithm": one.signature_algorithm,
            "claimed": _time(one.claimed_signing_time) if one.HasField("claimed_signing_time") else "",
            "existed": self._existed(one),
            "revocation": self._revocation(one),
        }
        for word, value in facts.items():
            if value:
                yield f"  {self._word(word)}: {value}"
        for stamp in one.timestamps:
            said = self._word("holds") if stamp.valid else self._word("fails", reason=stamp.reason)
            yield f"  {self._word('timestamp')}: {_time(stamp.time)} {said}"
        if one.HasField("grace_period_end"):
            yield "  " + self._grace(one.grace_period_end.ToDatetime(UTC))
        for check in one.checks:
            block = self._of(_BLOCKS, _name(verdict_pb2.BuildingBlock, check.block))
            state = self._of(_STATES, _name(verdict_pb2.CheckState, check.state))
            yield f"  - {block}: {state}{f' ({check.reason})' if check.reason else ''}"

    def _why(self, judged: Any) -> Iterator[str]:
        sub = _name(verdict_pb2.SubIndication, judged.sub_indication)
        if sub:
            yield self._of(_SUB_INDICATIONS, sub)
        yield " / ".join(filter(None, (_name(verdict_pb2.Indication, judged.indication), sub, judged.reason)))

    def _existed(self, one: verdict_pb2.SignatureVerdict) -> str:
        if not one.HasField("best_signature_time"):
            return ""
        return f"{_time(one.best_signature_time)} {self._of(_SOURCES, one.best_time_source)}"

    def _revocation(self, one: verdict_pb2.SignatureVerdict) -> str:
        if not one.HasField("revocation"):
            return self._word("unknown")
        known = one.revocation
        dates = {"source": known.source, "this": _time(known.this_update), "next": _time(known.next_update)}
        if known.HasField("revocation_time"):
            why = known.revocation_reason or "-"
            return self._word("ended", at=_time(known.revocation_time), why=why, **dates)
        return self._word("good", **dates)

    def _grace(self, ends: datetime) -> str:
        if ends <= self._now:
            return self._word("closed", until=f"{ends:%Y-%m-%dT%H:%M:%SZ}")
        return self._word("open", left=_duration(ends - self._now), until=f"{ends:%Y-%m-%dT%H:%M:%SZ}")

    def _of(self, table: Mapping[str, Text], name: str) -> str:
        return table[name][self._place] if name in table else name

    def _word(self, name: str, **values: object) -> str:
        return _WORDS[name][self._place].format(**values)


def _name(enum: Any, number: int) -> str:
    """Name of a value without its prefix, empty for UNSPECIFIED, the number for one that is newer than this program."""
    known = {value: name for name, value in enum.items()}
    if number not in known:
        return str(number)
    prefix = known[0].removesuffix("UNSPECIFIED")
    name: str = known[number].removeprefix(prefix)
    return "" if name == "UNSPECIFIED" else name


def _time(stamp: Any) -> str:
    return f"{stamp.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _duration(left: timedelta) -> str:
    minutes = int(left.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60:02} min"
