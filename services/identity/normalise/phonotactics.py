"""The syllables that Vietnamese spelling allows: onset, rime, and which onsets go with which rimes.

`python -m services.identity.normalise.phonotactics` prints `data/syllables.txt`. Legal is not the same as in use: some combinations
mean nothing in any dictionary, and may be a name all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

_RIMES = {
    "a": "a ac ach ai am an ang anh ao ap at au ay",
    "ă": "ăc ăm ăn ăng ăp ăt",
    "â": "âc âm ân âng âp ât âu ây",
    "e": "e ec em en eng eo ep et",
    "ê": "ê êch êm ên ênh êp êt êu",
    "i": "i ia ich iêc iêm iên iêng iêp iêt iêu im in inh ip it iu",
    "y": "y",
    "o": "o oc oi om on ong op ot",
    "ô": "ô ôc ôi ôm ôn ông ôp ôt",
    "ơ": "ơ ơi ơm ơn ơp ơt",
    "u": "u ua uc ui um un ung uôc uôi uôm uôn uông uôt up ut",
    "ư": "ư ưa ưc ưi ưm ưng ươc ươi ươm ươn ương ươp ươt ươu ưt ưu",
}
_ROUNDED = (
    "oa oac oach oai oam oan oang oanh oap oat oay oăc oăm oăn oăng oăt oe oen oet "
    "uân uâng uât uây uê uêch uên uênh uơ uy uya uych uyên uyêt uyn uynh uyp uyt uyu"
)
_AFTER_Q = (
    "a ac ach ai an ang anh ao at au ay ăc ăm ăn ăng ăp ăt ân âng ât ây e en eo et ê êch ên ênh êt i in it ơ "
    "ôc y ych yên yêt ynh yt"
)
_NO_ONSET_Y = "y yêm yên yêng yêt yêu"
_ONSETS = ["b", "ch", "d", "đ", "h", "kh", "l", "m", "n", "nh", "p", "ph", "r", "s", "t", "th", "tr", "v", "x"]
_LABIAL = frozenset(["b", "m", "p", "ph", "v"])
_FRONT = ("e", "ê", "i")
_Y_ONSETS = frozenset(["h", "k", "l", "m", "s", "t", "th", "tr", "v", "n", "kh", "ch", "d", "b", "ph", "nh"])


def syllables() -> Iterator[str]:
    """Every syllable without its tone, in NFC; all six tones go with each, but two (sắc, nặng) before p, t, c, ch."""
    plain = {vowel: rimes.split() for vowel, rimes in _RIMES.items()}
    for vowel, rimes in plain.items():
        for rime in rimes:
            front = vowel in _FRONT
            yield from (onset + rime for onset in _ONSETS if vowel != "y" or onset in _Y_ONSETS)
            if vowel != "y":
                yield ("k" if front else "c") + rime
                yield ("gh" if front else "g") + rime
                yield ("ngh" if front else "ng") + rime
                # The i of gi is the vowel of gi and gin, and is written once before another.
                if not rime.startswith(("ia", "iê")):
                    yield "g" + rime if rime.startswith("i") else "gi" + rime
                elif rime.startswith("iê"):
                    yield "g" + rime
            if not rime.startswith("iê"):
                yield rime
    yield "ky"
    yield from _NO_ONSET_Y.split()
    for rime in _ROUNDED.split():
        yield rime
        yield from (onset + rime for onset in (*_ONSETS, "ng", "g") if onset not in _LABIAL)
        yield "kh" + rime
    yield from ("voan", "ngoeo", "khoeo", "ngoao", "boong", "xoong", "coong")
    yield from ("qu" + rime for rime in _AFTER_Q.split())


def main() -> None:
    """Prints the list."""
    lines = sorted(set(syllables()))
    sys.stdout.write(
        "# Syllables of Vietnamese spelling without their tones, made from onsets and rimes by services.identity.normalise.phonotactics;\n"
        "# no dictionary and no list of persons went in. All tones go with each; before p, t, c, ch only two.\n"
    )
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
