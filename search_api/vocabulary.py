"""The words that the indexed reports use, towards which misspellings are corrected.

Whether a word stands in any report is asked of the word index itself; candidates for a correction come from a spread
sample of the reports, which holds every word that is common enough to be meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from indexer.case_store import CaseStore
from indexer.case_words import tokens_of
from indexer.cases import CaseFilter
from search_api.word_groups import WordGroup

_SAMPLE = 1_000  # reports


class ReportWords(Collection[str]):
    """A collection of words: iterates over the sample, contains whatever any report contains."""

    def __init__(self, store: CaseStore) -> None:
        ids = store.matching(CaseFilter(reported=True))
        sampled = store.examinations(ids[:: max(1, len(ids) // _SAMPLE)].tolist())
        texts = (one.report.text for one in sampled.values() if one.report is not None)
        self._store = store
        self._reports = Counter(word for text in texts for word in set(tokens_of(text)))

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and (word in self._reports or bool(self._store.search_words([word], 1)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def commonness(self, group: WordGroup) -> int:
        """In how many of the sampled reports a word stands, in any of its forms, about."""
        return sum(min(self._reports[token] for word in form for token in tokens_of(word)) for form in group.forms)
