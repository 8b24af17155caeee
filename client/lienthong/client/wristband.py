"""Aliases on the wristbands of provisional persons, such as `Đèn Hươu`: issued and checked with no network and no library.

A thing, then a plant or an animal, from two lists that are shipped here. No word of them is a Vietnamese family, middle or given name, none
sounds like a diagnosis or an insult, and no two are written alike without marks, so that an alias survives a keyboard without them. An alias
calls a patient in a ward; it is never a name, and nothing is found or compared by it.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable, Collection

_THINGS = """
ghế đèn sách bút thước gương khăn nón túi chén đĩa thìa chum thúng giỏ thuyền buồm chèo xe tàu cầu cửa ngói gạch
cột sân vườn ruộng suối thác sỏi đá nắng chuông sáo kèn bóng lều võng chiếu chăn rèm kệ hộp len vải giấy tem kính
bếp nồi xoong nia cối chày liềm cuốc xẻng cày bừa thớt phích xô gáo hũ phao neo lưới ròng xuồng phà bến thềm gác
tháp chợ kho bãi ao kênh mương đập ghềnh đèo dốc rừng rẫy ghim nút khay quạt nến đuốc thau mâm đũa lốp pin loa đài
khung cọc bảng tẩy bìa tranh cặp mũ vách nhà trại đệm phin tách niêu mẹt sọt vali rìu giũa chiêng nỉ chổi rế gầu
nơm buồng khoang phanh bơm vòi vít vợt lạch giếng tia mây tro củi rơm sắt thép kẽm nhôm thiếc gỗ
"""
_LIVING = """
quýt bưởi chanh ổi xoài mít khế ớt gừng nghệ tỏi khoai vừng bầu mướp rau cải răm rêu tre nứa vạc sếu tôm nai hươu
sóc hến nhím khướu vẹt chích yểng vành hạt quả cành búp nhựa gốc ngọn nếp cốm xôi kẹo mứt bún miến sữa mía sim nho
sậy đay bèo bắp bột nghiến sả hẹ riềng ngót nhót muỗm tếch gòn ráng dớn guột sẻ trôi nục chuồn ngài
"""
THINGS = tuple(_THINGS.split())
LIVING = tuple(_LIVING.split())
_MARKS_APART = str.maketrans("đĐ", "dD")
_SEPARATORS = str.maketrans("-_.", "   ")
_LONGEST = 64


class AliasInvalid(ValueError):
    """The text is no alias of the two lists; the text itself is not repeated."""


class AliasesUsedUp(Exception):
    """Every alias is in use."""


def plain(word: str) -> str:
    """A word in lower case without marks: what two words of the lists never share."""
    parts = unicodedata.normalize("NFD", word.translate(_MARKS_APART).lower())
    return "".join(part for part in parts if not unicodedata.combining(part))


_THING_OF = {plain(word): word for word in THINGS}
_LIVING_OF = {plain(word): word for word in LIVING}


def issue(used: Collection[str] = (), below: Callable[[int], int] = secrets.randbelow) -> str:
    """An alias that is not among `used`; `below(n)` gives a random integer under n. Raises AliasesUsedUp."""
    size = len(THINGS) * len(LIVING)
    start = below(size)
    taken = frozenset(used)
    # From a random place on, so that it ends also where nearly all are taken.
    for step in range(size):
        first, second = divmod((start + step) % size, len(LIVING))
        alias = f"{THINGS[first].capitalize()} {LIVING[second].capitalize()}"
        if alias not in taken:
            return alias
    raise AliasesUsedUp


def parse(text: str) -> str:
    """An alias as it is printed, from one as people write it: either case, with or without marks, with a dash or a space. Raises
    AliasInvalid.
    """
    words = plain(text[:_LONGEST].translate(_SEPARATORS)).split()
    if len(words) != 2 or words[0] not in _THING_OF or words[1] not in _LIVING_OF:
        raise AliasInvalid("not an alias")
    return f"{_THING_OF[words[0]].capitalize()} {_LIVING_OF[words[1]].capitalize()}"
