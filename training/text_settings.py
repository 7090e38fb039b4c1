"""The settings of NeuroBERT's training: a TOML file as frozen dataclasses, in which an unknown key is an error.

What the settings of a stage mean stands with the stage.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from training.masked_language import MaskedLanguageConfig
from training.section_matching import SectionMatchingConfig
from training.vocabulary import VocabularyConfig

Settings = TypeVar("Settings")
StageConfig = MaskedLanguageConfig | SectionMatchingConfig
STAGES = ("masked_language", "section_matching")
_TABLES = ("network", "vocabulary", *STAGES)
_AT_LEAST_ONE = {"checkpoint_every", "threads", "layers", "width", "heads", "inner", "size", "batch", "pieces"}
_ANY_SIGN = {"margin"}


class TrainingConfigError(ValueError):
    """A configuration with an unknown key or a value of the wrong kind."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """`start` is where the first weights come from: the general sentence encoder, or chance."""

    start: Literal["general", "scratch"] = "general"
    layers: int = 6
    width: int = 384
    heads: int = 12
    inner: int = 1536
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class NeuroBERTConfig:
    """The stages in their order; 0 steps leave one out."""

    seed: int = 20260101
    kept_back_percent: int = 15
    phantom_reports: int = 2000
    checkpoint_every: int = 100
    threads: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    masked_language: MaskedLanguageConfig = field(default_factory=MaskedLanguageConfig)
    section_matching: SectionMatchingConfig = field(default_factory=SectionMatchingConfig)


def read_config(path: Path) -> NeuroBERTConfig:
    """Read a TOML file. Raises TrainingConfigError for an unknown key or a value of another type."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingConfigError(f"Expected a TOML file, {path.name} cannot be read: {error}") from error
    config = from_table(NeuroBERTConfig, table, "the file's top level")
    for where, settings in (("the file's top level", config), *((name, getattr(config, name)) for name in _TABLES)):
        _check_numbers(settings, where)
    if config.network.width % config.network.heads:
        raise TrainingConfigError(
            f"Expected a width that {config.network.heads} heads divide, got {config.network.width}"
        )
    return config


def from_table(kind: type[Settings], table: dict[str, Any], where: str) -> Settings:
    """A frozen dataclass out of a TOML table; an unknown key is an error."""
    known = typing.get_type_hints(kind)
    if unknown := sorted(set(table) - set(known)):
        raise TrainingConfigError(f"Expected only {', '.join(sorted(known))} in {where}, got {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, value in table.items():
        values[name] = _value(known[name], value, f"{where}, {name}")
    return kind(**values)


def _check_numbers(settings: Any, where: str) -> None:
    """Raise for a number that is negative or not one, and for a count of none where there must be some."""
    for one in dataclasses.fields(settings):
        value, least = getattr(settings, one.name), 1 if one.name in _AT_LEAST_ONE else 0
        if isinstance(value, int | float) and one.name not in _ANY_SIGN and not least <= value < float("inf"):
            raise TrainingConfigError(f"Expected {one.name} of at least {least} in {where}, got {value}")
        if isinstance(value, float) and not math.isfinite(value):
            raise TrainingConfigError(f"Expected a number as {one.name} in {where}, got {value}")


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise TrainingConfigError(f"Expected a table for {where}, got {value!r}")
        return from_table(cast(type[Any], hint), value, where)
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise TrainingConfigError(f"Expected one of {typing.get_args(hint)} for {where}, got {value!r}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and type(value) is hint:
        return value
    raise TrainingConfigError(f"Expected {getattr(hint, '__name__', hint)} for {where}, got {value!r}")
