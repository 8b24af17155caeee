"""What stands in a name's field and is no name: titles and roles, newborn markers, placeholders.

Most of these words are names too, with other marks (Bế, Côn, Võ Danh), so they are compared with marks wherever the name was written with any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from services.identity.normalise.syllables import is_family
from services.identity.normalise.tokens import Token, token


class Newborn(Enum):
    """Whose name stands after a newborn marker."""

    NO = "NO"
    OF_MOTHER = "OF_MOTHER"
    OF_FATHER = "OF_FATHER"


class _Words:
    """Words or phrases, found with marks in names that have any, else without."""

    def __init__(self, phrases: Iterable[str]) -> None:
        split = [tuple(token(word) for word in phrase.split()) for phrase in phrases]
        self.marked = frozenset(tuple(one.marked for one in phrase) for phrase in split)
        self.plain = frozenset(tuple(one.plain for one in phrase) for phrase in split)
        self.longest = max(map(len, split))

    def holds(self, tokens: Sequence[Token], marks: bool) -> bool:
        """True when the tokens are one of the phrases."""
        if marks:
            return tuple(one.marked for one in tokens) in self.marked
        return tuple(one.plain for one in tokens) in self.plain

    def before(self, tokens: Sequence[Token], marks: bool) -> int:
        """Length of the longest phrase that the tokens begin with; 0 for none."""
        sizes = range(min(self.longest, len(tokens)), 0, -1)
        return next((size for size in sizes if self.holds(tokens[:size], marks)), 0)


def _starts(*lists: _Words) -> frozenset[str]:
    """The plain words that phrases begin with: what begins otherwise needs no closer look."""
    return frozenset(phrase[0] for words in lists for phrase in words.plain)


_ROLES = _Words(["bn", "bệnh nhân", "người bệnh", "bệnh nhi", "sản phụ", "mr", "mrs", "ms", "bs", "khách hàng"])
_TITLES = _Words(["ông", "bà", "bé", "cụ", "bé trai", "bé gái", "cháu bé", "em bé", "bé nam", "bé nữ"])
# Names as often as titles.
_TITLES_OR_NAMES = _Words(["anh", "chị", "cháu", "em", "cô", "chú", "bác", "thầy", "dì", "cậu", "mẹ", "bố", "trẻ"])
_NEVER_AFTER_A_TITLE = frozenset({"van", "thi"})
_LEFT_AFTER_NAMES = 3

_CHILD = _Words(
    ["bé", "bé trai", "bé gái", "bé nam", "bé nữ", "cháu", "cháu bé", "em bé", "trẻ", "bn", "bệnh nhi", "trai", "gái"]
)
_BORN = _Words(["ss", "sơ sinh", "trẻ sơ sinh", "bé sơ sinh", "cb", "c b", "con bà", "con của bà", "con của"])
_OF_MOTHER = _Words(
    [
        *("cb", "c b", "con bà", "con của bà", "con chị", "con của chị", "con mẹ", "con cô", "con sp", "con sản phụ"),
        *("con bn", "con của", "con của sản phụ", "con của mẹ"),
    ]
)
_OF_FATHER = _Words(["con ông", "con của ông", "con bố", "con cha", "con anh", "con của anh", "con của bố"])
_ALONE = _Words(["con"])
_NEWBORN_STARTS = _starts(_CHILD, _BORN, _OF_MOTHER, _OF_FATHER, _ALONE)
_TITLE_STARTS = _starts(_ROLES, _TITLES, _TITLES_OR_NAMES)

_NOBODY = _Words(
    [
        *(
            "vô danh",
            "không rõ",
            "không tên",
            "không biết",
            "không xác định",
            "không có tên",
            "không khai",
            "không giấy tờ",
        ),
        *(
            "chưa rõ",
            "chưa biết",
            "chưa xác định",
            "chưa có tên",
            "chưa đặt tên",
            "chưa rõ tên",
            "người lạ",
            "nạn nhân",
        ),
        *("unknown", "no name", "anonymous", "john doe", "jane doe"),
    ]
)
# Nobody when nothing else is written.
_NOTHING = _Words(
    ["n a", "na", "null", "none", "test", "noname", "bệnh nhân", "người bệnh", "khách hàng", "trung niên"]
)
# Words that describe somebody whose name is not known.
_DESCRIBING = _Words(
    [
        *(
            "nam",
            "nữ",
            "giới",
            "tính",
            "khoảng",
            "tuổi",
            "bn",
            "bệnh",
            "nhân",
            "cấp",
            "cứu",
            "số",
            "khách",
            "lẻ",
            "test",
        ),
        *(
            "demo",
            "abc",
            "họ",
            "và",
            "tên",
            "trẻ",
            "em",
            "bé",
            "trai",
            "gái",
            "người",
            "già",
            "lớn",
            "male",
            "female",
            "man",
            "woman",
        ),
    ]
)
_NOBODY_STARTS = _starts(_NOBODY, _NOTHING, _DESCRIBING)
_SPECIMEN_MIDDLES = frozenset({"van", "thi"})
_SPECIMEN_LETTERS = frozenset("abcdxnmkt")


def _marks(tokens: Sequence[Token]) -> bool:
    return any(not one.unmarked for one in tokens)


def newborn(tokens: list[Token]) -> tuple[Newborn, list[Token]]:
    """Whether a newborn marker stands in front, and the tokens after it: the mother's or the father's name."""
    if not tokens or tokens[0].plain not in _NEWBORN_STARTS:
        return Newborn.NO, tokens
    marks = _marks(tokens)
    rest, born = tokens, Newborn.NO
    while rest:
        for words, whose in (
            (_OF_FATHER, Newborn.OF_FATHER),
            (_OF_MOTHER, Newborn.OF_MOTHER),
            (_BORN, Newborn.OF_MOTHER),
        ):
            if size := words.before(rest, marks):
                rest, born = rest[size:], whose
                break
        else:
            if _ALONE.before(rest, marks) and len(rest) > 1 and is_family(rest[1]):
                return Newborn.OF_MOTHER, rest[1:]
            size = _CHILD.before(rest, marks)
            if not size:
                break
            rest = rest[size:]
    return (born, rest) if born is not Newborn.NO else (Newborn.NO, tokens)


def without_titles(tokens: list[Token]) -> list[Token]:
    """The tokens without titles in front. A word that is a name too goes only before a family name, with enough left."""
    if not tokens or tokens[0].plain not in _TITLE_STARTS:
        return tokens
    marks = _marks(tokens)
    while len(tokens) > 1:
        size = _ROLES.before(tokens[:-1], marks)
        if not size:
            size = _TITLES.before(tokens[:-1], marks)
            rest = tokens[size:]
            named = is_family(rest[0]) and rest[0].plain not in _NEVER_AFTER_A_TITLE
            if not (named and len(rest) > 1) and not (marks and len(rest) == 1):
                size = 0
        if not size:
            size = _TITLES_OR_NAMES.before(tokens[:-1], marks)
            rest = tokens[size:]
            if len(rest) < _LEFT_AFTER_NAMES or not is_family(rest[0]) or rest[0].plain in _NEVER_AFTER_A_TITLE:
                size = 0
        if not size:
            break
        tokens = tokens[size:]
    return tokens


def placeholder(tokens: Sequence[Token]) -> bool:
    """True when nobody is named: nothing left, single letters, `Vô danh nam 30 tuổi`, `Nguyễn Văn A`."""
    if not tokens:
        return True
    first = tokens[0].plain
    if first not in _NOBODY_STARTS and len(set(first)) > 1:
        return _specimen(tokens)
    if all(len(one.plain) == 1 and one.unmarked for one in tokens):
        return True
    marks = _marks(tokens)
    size = _NOBODY.before(tokens, marks)
    # Võ Danh Tuấn, without marks, begins like vô danh.
    if _NOTHING.holds(tokens, marks) or (size and (marks or _describes(tokens[size:], marks))):
        return True
    if all(_DESCRIBING.holds([one], marks) or len(set(one.plain)) == 1 < len(one.plain) for one in tokens):
        return True
    if any(_NOBODY.holds(tokens[-size:], marks) and _describes(tokens[:-size], marks) for size in (1, 2, 3)):
        return True
    return _specimen(tokens)


def _describes(tokens: Sequence[Token], marks: bool) -> bool:
    return all(_DESCRIBING.holds([one], marks) for one in tokens)


def _specimen(tokens: Sequence[Token]) -> bool:
    """Nguyễn Văn A and Trần Thị B stand in forms for anybody."""
    last = tokens[-1]
    return (
        len(tokens) == 3  # noqa: PLR2004 - family, Văn or Thị, letter
        and tokens[1].plain in _SPECIMEN_MIDDLES
        and len(last.plain) == 1
        and last.unmarked
        and last.plain in _SPECIMEN_LETTERS
    )
