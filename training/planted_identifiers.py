"""Reports with identifiers planted into them: what `neurorecall evaluate deidentification` looks for afterwards.

Bodies are reports of phantoms, templates lie in `deidentification/planted_identifiers.toml`, values come from Faker.
Templates and languages are split in two: one half was looked at while the rules were written, the other was not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any

LANGUAGES = {
    "tuned": (
        *("en_US", "de_DE", "es_ES", "pl_PL", "en_IN", "fr_FR", "en_GB", "it_IT", "nl_NL", "tr_TR", "sv_SE", "pt_BR"),
        *("cs_CZ", "ro_RO", "id_ID", "hu_HU", "en_AU", "en_NZ", "fi_FI", "da_DK", "no_NO", "hr_HR", "lt_LT", "sk_SK"),
        *("pt_PT", "vi_VN", "es_MX", "en_CA", "en_IE", "nl_BE", "fr_CA", "de_AT", "es_CO", "sl_SI", "et_EE", "lv_LV"),
    ),
    "kept_back": (
        *("de_CH", "fr_CH", "es_AR", "az_AZ", "ga_IE", "es_CL", "en_PK", "yo_NG", "ha_NG", "zu_ZA", "en_KE", "en_NG"),
        *("en_TH", "fr_DZ"),
    ),
}
_DATES = (
    "%d/%m/%Y",
    "%Y-%m-%d",
    "%d %B %Y",
    "%d.%m.%Y",
    "%B %d, %Y",
    "%d-%b-%y",
    "%b %Y",
    "%m/%d/%y",
    "%Y%m%d",
    "%d %b",
)
_TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%H%M hrs")
_PART = re.compile(r"[^\W_]+")


class FakerMissing(ValueError):
    """The package that draws names and addresses is not installed."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One line with identifiers: its kind, the line, and the parts of its values of which none may remain."""

    kind: str
    line: str
    parts: tuple[str, ...]


def planted_lines(half: str, count: int, seed: int) -> Iterator[Planted]:
    """`count` lines of each template of a half. Raises FakerMissing."""
    source = files("training") / "deidentification" / "planted_identifiers.toml"
    templates = tomllib.loads(source.read_text("utf-8"))[half]
    rng = Random(seed)
    fakers = _fakers(LANGUAGES[half], seed)
    for kind, texts in templates.items():
        for text in texts:
            for _ in range(count):
                yield _fill(kind, text, rng.choice(fakers), rng)


def remains(planted: Planted, scrubbed: str) -> bool:
    """Whether a part of a planted value still stands in the line."""
    left = {word.casefold() for word in _PART.findall(scrubbed)}
    return any(part.casefold() in left for part in planted.parts)


def _fakers(languages: tuple[str, ...], seed: int) -> list[Any]:
    try:
        from faker import Faker
    except ImportError as error:
        raise FakerMissing("Expected the package faker, which draws names and addresses: pip install faker") from error
    found = []
    for language in languages:
        faker = Faker(language)
        faker.seed_instance(seed)
        found.append(faker)
    return found


def _fill(kind: str, template: str, faker: Any, rng: Random) -> Planted:
    values = _values(faker, rng)
    own = {word.casefold() for word in _PART.findall(re.sub(r"\{\w+\}", " ", template))}
    used = [values[name] for name in re.findall(r"\{(\w+)\}", template)]
    line = template.format(**values)
    # A part that the template has as well, or of one or two characters, would tell nothing of the value.
    parts = tuple(part for value in used for part in _telling(kind, value) if part.casefold() not in own)
    return Planted(kind, line, parts)


def _telling(kind: str, value: str) -> list[str]:
    parts = _PART.findall(value)
    if kind == "date":
        return [part for part in parts if not re.fullmatch(r"(?:19|20)\d\d|hrs|[AP]M", part)]
    if kind == "age":
        return parts
    return [part for part in parts if len(part) > 2]


def _values(faker: Any, rng: Random) -> dict[str, str]:
    first, last = faker.first_name(), faker.last_name()
    day, clock = faker.date_object(), faker.time_object()
    town = re.sub(r"\s*[\d(].*", "", faker.city())
    return {
        "name": f"{first} {last}",
        "lower_name": f"{first} {last}".lower(),
        "first": first,
        "last": last,
        "last2": faker.last_name(),
        "FIRST": first.upper(),
        "LAST": last.upper(),
        "initial": first[0],
        "initial2": rng.choice("ABCDEFGHJKLMNPRSTW"),
        "date": day.strftime(rng.choice(_DATES)),
        "time": clock.strftime(rng.choice(_TIMES)),
        "age": str(rng.randint(90, 104)),
        "phone": faker.phone_number(),
        "mail": faker.email(),
        "url": faker.url(),
        "street": faker.street_address().replace("\n", ", "),
        "town": town,
        "postcode": faker.postcode(),
        "mrn": str(rng.randint(10**6, 10**8)),
        "accession": rng.choice(("{}{:07d}", "{}-2019-{:05d}", "{}{:06d}")).format(
            rng.choice(("RXH", "MR", "A", "QE")), rng.randint(10_000, 99_999)
        ),
        "nhs": f"{rng.randint(100, 999)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
        "ssn": f"{rng.randint(100, 899)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        "uid": f"1.2.840.{rng.randint(10**4, 10**6)}.{rng.randint(2, 99)}.{rng.randint(10**6, 10**9)}.4",
        "serial": f"{rng.choice('ABKMS')}{rng.randint(10000, 999999)}",
    }
