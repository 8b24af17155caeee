"""Vietnamese names, brought to forms that can be compared.

Steps, in this order: what cannot be seen goes, NFC, full-width to ASCII (`letters`); TCVN3 and VNI-Windows (`legacy`); lower case; remarks in brackets
off; split, with the markers of Ê Đê and Gia Rai names (H'Hen, Y Bhim) kept apart; raw Telex and VNI put right where that gives a syllable (`keyed`);
titles off the front; newborn markers (`prefixes`), after which stands the mother's name; placeholders; what was written twice once; family name first.

A name is never changed where it is kept: all this is for comparing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from services.identity.normalise.keyed import telex, vni
from services.identity.normalise.legacy import decoded
from services.identity.normalise.letters import written
from services.identity.normalise.prefixes import Newborn, newborn, placeholder, without_titles
from services.identity.normalise.syllables import has_letters, is_clan, is_family, pronounceable
from services.identity.normalise.tokens import Token, token

__all__ = ["MRZ_LENGTH", "Name", "Token", "name", "written"]

MRZ_LENGTH = 39
"""Characters of the name in the machine-readable zone of a passport (ICAO 9303): a name of that length was cut."""

_APOSTROPHES = "'\u2018\u2019\u02bc\u02b9`\u00b4\u2032"
_APOSTROPHE = re.compile(f"[{_APOSTROPHES}]")
# H' before a woman's name and Y before a man's; the sign after it keeps it apart from an abbreviation.
_SIGN = "\x00"
_MARKER = re.compile(rf"(?<!\w)([hy])[{_APOSTROPHES}]\s*(?=\w)")
_REMARK = re.compile(r"[(\[{][^)\]}]*[)\]}]?\s*\Z")
_PIECE = re.compile('([^\\s.,~:;_<>/\\\\|()\\[\\]{}+*="\\-\u2010-\u2015\u2212]+)([.~]?)')
# A tone behind a vowel, a hook, a stroke; a doubled vowel may be foreign.
_TELEX_EVIDENCE = re.compile("[aeiouyăâêôơư].*[sfrxj]|w|dd")
_VNI_EVIDENCE = re.compile("[6-9]")
_MARKERS = frozenset({"h", "i"})
_LETTER_NAMES = frozenset({"a"})
_FEMALE = Token("h", "h")


@dataclass(frozen=True)
class Name:
    """A name to compare: tokens with the family name first, wherever it was written. `marks` tells whether it was written with marks at all;
    `newborn` that it is the mother's, whose child has none yet; `foreign` that it does not look Vietnamese, or was cut by a passport.
    """

    tokens: tuple[Token, ...] = field(repr=False)
    marks: bool = False
    newborn: bool = False
    foreign: bool = False

    @property
    def family(self) -> Token | None:
        """The first syllable; None where there is none."""
        return self.tokens[0] if self.tokens else None

    @property
    def given(self) -> Token | None:
        """The last syllable, by which people are called; None where there is none."""
        return self.tokens[-1] if self.tokens else None

    @property
    def middle(self) -> tuple[Token, ...]:
        """What stands between."""
        return self.tokens[1:-1]

    @property
    def empty(self) -> bool:
        """True for a placeholder, or when nothing is left."""
        return not self.tokens

    @property
    def plain(self) -> tuple[str, ...]:
        """Plain forms in order."""
        return tuple(token.plain for token in self.tokens)


NOBODY = Name(())
"""No name, or a placeholder."""


def name(text: str | None) -> Name:
    """The comparable form of a name; empty for None and for placeholders."""
    if not text:
        return NOBODY
    kept = written(text)
    cut = len(kept) == MRZ_LENGTH and kept.isascii() and kept.isupper()
    pieces = _pieces(decoded(kept))
    tokens = _repaired(pieces) or [_token(letters, dotted) for letters, dotted in pieces]
    born, tokens = newborn(tokens)
    tokens = without_titles(tokens)
    if placeholder(tokens) or born is Newborn.OF_FATHER:
        return Name((), newborn=born is not Newborn.NO)
    tokens = _family_first(_once(tokens))
    foreign = cut or "<" in kept or _foreign(tokens)
    if cut and foreign:
        tokens[-1] = token(tokens[-1].plain, True)
    marks = any(not one.unmarked for one in tokens)
    return Name(tuple(tokens), marks, born is not Newborn.NO, foreign)


def _pieces(text: str) -> list[tuple[str, bool]]:
    """The words in lower case without numbers, each with whether it was cut short by a dot or a tilde."""
    lowered = text.lower()
    if _REMARK.search(lowered):
        lowered = _REMARK.sub("", lowered) or lowered
    if _APOSTROPHE.search(lowered):
        lowered = _APOSTROPHE.sub("", _MARKER.sub(rf"\1{_SIGN} ", lowered))
    pieces: list[tuple[str, bool]] = []
    found = _PIECE.findall(lowered)
    for at, (piece, end) in enumerate(found):
        letters = piece if piece.isalpha() else _letters(piece)
        if not letters:
            continue
        # A dot after the whole name ends it; it shortens nothing that could be spoken.
        dotted = bool(end) and not (at == len(found) - 1 and pronounceable(token(letters)))
        pieces.append((letters, dotted))
    if (
        len(pieces) > 2
        and all(dotted for _, dotted in pieces[:-1])
        and not any(_unspeakable(letters) for letters, _ in pieces)
    ):  # noqa: PLR2004 - two dots
        # Nguyễn.Văn.An: dots for blanks.
        return [(letters, False) for letters, _ in pieces]
    return pieces


def _letters(piece: str) -> str:
    """Letters, marks, digits among them, and the marker's sign; nothing for a number."""
    kept = "".join(one for one in piece if one.isalnum() or one == _SIGN or unicodedata.combining(one))
    return kept if any(one.isalpha() for one in kept) else ""


def _repaired(pieces: list[tuple[str, bool]]) -> list[Token] | None:
    """The tokens with what was typed with the input method off put right; None where nothing was. Only a name that is Vietnamese then is one that
    was typed so: every word a syllable, or most and a family name in front.
    """
    odd = [at for at, (letters, _) in enumerate(pieces) if _unspeakable(letters)]
    if not odd:
        return None
    digits = [at for at in odd if not pieces[at][0].isalpha() and _SIGN not in pieces[at][0]]
    numbered = len(digits) > 1 or any(_VNI_EVIDENCE.search(pieces[at][0]) for at in digits)
    ascii_name = all(letters.isascii() for letters, _ in pieces)
    tokens = [_token(letters, dotted) for letters, dotted in pieces]
    if placeholder(tokens):
        return None
    typed = False
    for at in odd:
        letters, dotted = pieces[at]
        if dotted:
            continue
        if at in digits:
            right = vni(letters) if numbered and ascii_name else None
            bare = "".join(one for one in letters if one.isalpha())
            tokens[at] = token(right, repaired=True) if right else token(bare)
            typed = typed or right is not None
        elif right := telex(letters):
            tokens[at] = token(right, repaired=True)
            typed = typed or bool(_TELEX_EVIDENCE.search(letters))
    spoken = sum(map(pronounceable, tokens))
    right_name = spoken == len(tokens) or (is_family(tokens[0]) and 2 * spoken > len(tokens))
    if typed and right_name:
        return tokens
    return [_token(letters, dotted) for letters, dotted in pieces]


def _token(letters: str, dotted: bool) -> Token:
    """The token of a piece, without digits; a marker is no abbreviation."""
    if letters.isalpha():
        return token(letters, dotted)
    bare = "".join(one for one in letters if one.isalpha() or unicodedata.combining(one))
    return Token(bare, bare.replace("y", "i")) if _SIGN in letters else token(bare, dotted)


def _unspeakable(letters: str) -> bool:
    return not letters.isalpha() or not pronounceable(token(letters))


def _once(tokens: list[Token]) -> list[Token]:
    """The tokens of a name that was written twice, once: the half with marks."""
    half, odd = divmod(len(tokens), 2)
    if odd or half < 2 or tokens[0].plain != tokens[half].plain:  # noqa: PLR2004 - family, given
        return tokens
    if [one.plain for one in tokens[:half]] != [one.plain for one in tokens[half:]]:
        return tokens
    return tokens[:half] if any(not one.unmarked for one in tokens[:half]) else tokens[half:]


def _family_first(tokens: list[Token]) -> list[Token]:
    """The tokens with a clan name that stands last moved to the front, markers apart, and the one-letter names of the Hmong taken for names."""
    if len(tokens) > 2 and has_letters(tokens[0]):  # noqa: PLR2004 - family, letter, given
        return [Token(one.marked, one.plain) if one.plain in _LETTER_NAMES and one.short else one for one in tokens]
    if is_family(tokens[0]):
        return tokens
    # Without its apostrophe a woman's marker runs into the name: Hhen.
    tokens = [
        part
        for one in tokens
        for part in ((_FEMALE, Token(one.marked[1:], one.plain[1:])) if one.plain.startswith("hh") else (one,))
    ]
    marker = next((at for at, one in enumerate(tokens[:-1]) if one.plain in _MARKERS and one.unmarked), None)
    if marker is None:
        return tokens
    tokens[marker] = Token(tokens[marker].marked, tokens[marker].plain)
    clan = next((at for at in range(2, len(tokens)) if is_clan(tokens[at])), None)
    return tokens if marker or clan is None else [*tokens[clan:], *tokens[:clan]]


def _foreign(tokens: list[Token]) -> bool:
    if is_family(tokens[0]) or is_clan(tokens[0]) or tokens[0].plain in _MARKERS:
        return False
    whole = [one for one in tokens if not one.short]
    return 2 * sum(map(pronounceable, whole)) < len(whole)
