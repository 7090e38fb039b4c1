"""Whether NeuroBERT knows the words of a sentence that is asked of a scan: any text has a vector, whatever it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search_api.spelling import WORD, lexicon

FEW_KNOWN = 0.5  # of the words that say something; below this the sentence is in another language, or is none
SHOWN = 5


def doubt_about(sentence: str, tokenize: Callable[[str], Sequence[str]]) -> str | None:
    """Why the figures of a sentence mean little; None where nothing speaks against it.

    A word is known where the vocabulary holds it whole. Letters and digits in one, such as T2, are taken as they are.
    """
    words = [word for word in WORD.findall(sentence) if word.casefold() not in lexicon().stop_words]
    words = [word for word in words if word.isalpha()]
    if not words:
        return "It names nothing: its figures say nothing of the scan."
    unknown = [word for word in words if len(tokenize(word)) != 1 or tokenize(word)[0] == "[UNK]"]
    if 1 - len(unknown) / len(words) > FEW_KNOWN or not unknown:
        return None
    told = ", ".join(unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
    return (
        f"The text model does not know these words: {told}. Its figures mean little; write it in English, or otherwise."
    )
