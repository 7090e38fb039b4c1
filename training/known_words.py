"""The word lists that de-identification tells names by: `python -m training.known_words`.

`known_words.txt.gz` holds words that are written small: of SCOWL's English lists, of the shared text (open licences
only) and of its terms. `names.txt.gz` holds names of the United States' census of 1990, the most frequent first. A word
that is a name, and that no text of the field writes small, is not taken for a known word. How the lists are used is
left to `indexer.known_words`.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from training.command_options import tell
from training.text_data import TextCollection, read_text_collection, split

DATA = Path(__file__).parent.parent / "indexer" / "data"
KEPT_BACK_PERCENT = 15  # as for NeuroBERT: what is measured on kept-back text must not know its words
LARGEST_LIST = 70  # SCOWL's size of a usual large dictionary
RARE_LIST, RARE_LETTERS = 80, 7  # and of rare words: of these only long ones, which no name is spelt like
COMMON_LIST = 10  # and of the thousand words that everybody writes
SURNAMES, FIRST_NAMES = 12_000, 3_000  # by frequency: some 72 % and 95 % of the people counted
SHORTEST = 3  # letters
OFTEN = 3  # small spellings in the field's text that make a name a word as well
_LISTS = re.compile(r"(?:english|american|british|british_z)-(?:words|contractions)\.(\d\d)")
_WORD = re.compile(r"[^\W\d_]+")


class WordListError(ValueError):
    """A folder that does not hold the lists."""


def main() -> None:
    """Write both lists anew."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scowl", type=Path, required=True, help="SCOWL's lists, such as /usr/share/dict/scowl")
    parser.add_argument("--census", type=Path, required=True, help="folder of dist.all.last and dist.*male.first")
    parser.add_argument("--text", type=Path, required=True, help="folder of the shared text")
    parser.add_argument("--out", type=Path, default=DATA)
    options = parser.parse_args()
    names = without_short_words(census_names(options.census), options.scowl)
    words = known_words(options.scowl, read_text_collection(options.text), names)
    _write(options.out / "known_words.txt.gz", sorted(words))
    _write(options.out / "names.txt.gz", names)
    tell(f"{len(words)} words, {len(names)} names.")


def known_words(scowl: Path, text: TextCollection, names: Iterable[str]) -> set[str]:
    """Words in lower case. Raises WordListError where the folder holds no lists."""
    sizes = {word: size for size, word in sorted(_scowl(scowl), reverse=True)}
    if not sizes:
        raise WordListError("Expected SCOWL's lists, such as english-words.35, in the folder; found none")
    field = _small_words(text)
    drop = {name for name in names if sizes.get(name, LARGEST_LIST) > COMMON_LIST and field[name] < OFTEN}
    return {word for word in (*sizes, *field) if len(word) > 1} - drop


def census_names(folder: Path) -> list[str]:
    """First names and surnames in lower case, the most frequent first. Raises WordListError."""
    shares: dict[str, float] = {}
    for file, most in (
        ("dist.all.last", SURNAMES),
        ("dist.female.first", FIRST_NAMES),
        ("dist.male.first", FIRST_NAMES),
    ):
        path = folder / file
        if not path.is_file():
            raise WordListError(f"Expected {file} in the folder, it is missing")
        for line in path.read_text("ascii").splitlines()[:most]:
            name, share, *_ = line.split()
            shares[name.lower()] = max(shares.get(name.lower(), 0.0), float(share))
    return [name for name in sorted(shares, key=lambda name: (-shares[name], name)) if len(name) > 1]


def without_short_words(names: Iterable[str], scowl: Path) -> list[str]:
    """Without the words of two or three letters that everybody writes: Her, An, So."""
    common = {word for size, word in _scowl(scowl) if size <= COMMON_LIST and len(word) <= SHORTEST}
    return [name for name in names if name not in common]


def _scowl(folder: Path) -> Iterable[tuple[int, str]]:
    for path in folder.iterdir():
        found = _LISTS.fullmatch(path.name)
        size = int(found[1]) if found else RARE_LIST + 1
        if size <= RARE_LIST:
            shortest = 2 if size <= LARGEST_LIST else RARE_LETTERS
            words = path.read_text("latin-1").split()
            yield from ((size, word) for word in words if word.isalpha() and word.islower() and len(word) >= shortest)


def _small_words(text: TextCollection) -> Counter[str]:
    """How often words are written small in texts and terms of open licences that are not kept back."""
    counted: Counter[str] = Counter()
    for records in (text.corpus, text.general):
        usable, _ = split(records, KEPT_BACK_PERCENT)
        for record in usable:
            if record.restrict == "open":
                counted.update(word for word in _WORD.findall(record.text) if word.islower())
                counted.update(_short_forms(record.text))
    for term in text.terms:
        for name in term.names:
            counted.update(word for word in _WORD.findall(name) if word.islower())
        counted.update(word for word in _WORD.findall(term.definition) if word.islower())
    return counted


def _short_forms(text: str) -> Iterable[str]:
    """Words in capitals, in lower case, of lines that have small letters as well: CADASIL, MPRAGE."""
    for line in text.splitlines():
        if sum(letter.islower() for letter in line) > len(line) / 2:
            yield from (word.lower() for word in _WORD.findall(line) if word.isupper() and len(word) > 1)


def _write(path: Path, words: Iterable[str]) -> None:
    # Without a time in the gzip header the same words give the same file.
    path.write_bytes(gzip.compress("\n".join(words).encode("utf-8"), mtime=0))


if __name__ == "__main__":
    main()
