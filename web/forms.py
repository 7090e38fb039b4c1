"""The search form and its URL: what a person filled in, read from a query string and written back into one.

The query string of a page is that of its JSON twin in the API, so that every state has a permalink. What the values
mean is left to the API, which refuses wrong ones with a sentence that the page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self
from urllib.parse import urlencode

FILTERS = ("sequence", "sex", "age", "since", "until", "source", "finding", "reported")
HITS_A_PAGE = ("12", "24", "48")
LONGEST_VALUE = 8_000  # characters; longer ones are cut, since the API refuses far shorter ones anyway


@dataclass(frozen=True, slots=True)
class SearchForm:
    """One field a URL parameter, as text; an empty text is a parameter that is not given."""

    q: str = ""
    like: str = ""
    k: str = ""
    page: str = ""
    sequence: str = ""
    sex: str = ""
    age: str = ""
    since: str = ""
    until: str = ""
    source: str = ""
    finding: str = ""
    reported: str = ""
    weight: str = ""
    expand: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """The form of a query string; `age_from` and `age_to` of the page's two fields become `age`."""
        values = {field.name: given.get(field.name, "").strip()[:LONGEST_VALUE] for field in fields(cls)}
        youngest, oldest = given.get("age_from", "").strip(), given.get("age_to", "").strip()
        if youngest or oldest:
            values["age"] = f"{youngest}-{oldest}"[:LONGEST_VALUE]
        return cls(**values)

    @property
    def asked(self) -> bool:
        """Whether there is something to look for."""
        return bool(self.q or self.like)

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, getattr(self, name)) for name in FILTERS if getattr(self, name))

    @property
    def ages(self) -> tuple[str, str]:
        """The two fields of an age range.

        >>> SearchForm(age="40-60").ages, SearchForm(age="70-").ages, SearchForm(age="50").ages
        (('40', '60'), ('70', ''), ('50', '50'))
        """
        youngest, dash, oldest = self.age.replace("–", "-").partition("-")
        return youngest.strip(), oldest.strip() if dash else youngest.strip()

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Those that are given, in a fixed order: the same question has the same address."""
        return tuple((field.name, getattr(self, field.name)) for field in fields(self) if getattr(self, field.name))

    def query(self, **changes: str) -> str:
        """The query string with some fields changed; a change other than of the page goes back to the first page.

        >>> SearchForm(q="glioma", page="3").query(sex="F")
        'q=glioma&sex=F'
        """
        if changes and "page" not in changes:
            changes["page"] = ""
        return urlencode(replace(self, **changes).parameters())

    def link(self, path: str, **changes: str) -> str:
        query = self.query(**changes)
        return f"{path}?{query}" if query else path

    def without_filters(self, path: str) -> str:
        return self.link(path, **dict.fromkeys(FILTERS, ""))

    @staticmethod
    def understands(given: Sequence[tuple[str, str]]) -> bool:
        """Whether every parameter is known and given once; a filter that is not applied would mislead.

        >>> SearchForm.understands([("q", "glioma"), ("gender", "F")])
        False
        """
        names = [name for name, _ in given]
        known = {field.name for field in fields(SearchForm)} | {"age_from", "age_to"}
        return set(names) <= known and len(names) == len(set(names))

    @staticmethod
    def is_canonical(given: Sequence[tuple[str, str]]) -> bool:
        """Whether a query string has no blank and no split field in it; others are redirected to their permalink."""
        return all(value.strip() and name not in ("age_from", "age_to") for name, value in given)
