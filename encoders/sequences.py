"""Which MR sequence a series is: from a user's words, a BIDS name, a JSON sidecar or a scanner's description.

`parse_sequence` is for what people type and raises on the unknown; `recognise_sequence` is for what files say and
answers None when in doubt. Reading the files is left to whoever holds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

# Milliseconds; the usual borders between weightings of spin-echo and gradient-echo series at 1.5 and 3 T.
SHORT_ECHO_MS = 30.0
LONG_ECHO_MS = 70.0
SHORT_REPETITION_MS = 1200.0
LONG_REPETITION_MS = 2000.0
FLAIR_INVERSION_MS = (1500.0, 3200.0)


class SequenceError(ValueError):
    """Words that name no MR sequence."""


class MRSequence(StrEnum):
    """How a series was made; the value is the name that people see."""

    T1W = "T1w"
    T1W_POST = "T1w post contrast"
    T2W = "T2w"
    FLAIR = "FLAIR"
    DWI = "DWI"
    ADC = "ADC"
    T2STAR = "T2*"
    SWI = "SWI"
    PDW = "PDw"


_SPELLINGS: tuple[tuple[MRSequence, tuple[str, ...]], ...] = (
    (MRSequence.T1W, ("t1", "t1w", "t1weighted", "t1pre", "t1n", "t1native", "mprage", "mp2rage", "spgr", "bravo")),
    (
        MRSequence.T1W_POST,
        ("t1wpostcontrast", "t1postcontrast", "t1post", "t1wpost", "t1c", "t1ce", "t1gd", "t1gad", "t1wgd"),
    ),
    (
        MRSequence.T1W_POST,
        (
            "t1wgad",
            "cet1",
            "cet1w",
            "cegadt1w",
            "postcontrast",
            "postcontrastt1",
            "t1contrast",
            "t1withcontrast",
            "t1km",
        ),
    ),
    (MRSequence.T2W, ("t2", "t2w", "t2weighted", "t2tse", "t2fse")),
    (MRSequence.FLAIR, ("flair", "t2flair", "t2wflair", "fluidattenuatedinversionrecovery")),
    (MRSequence.DWI, ("dwi", "diffusion", "diffusionweighted", "trace", "b1000")),
    (MRSequence.ADC, ("adc", "apparentdiffusioncoefficient", "adcmap")),
    (MRSequence.T2STAR, ("t2*", "t2star", "t2starw", "t2*w", "gre", "t2gre", "hemo", "gradientecho")),
    (MRSequence.SWI, ("swi", "swan", "susceptibilityweighted", "susceptibility", "venobold")),
    (MRSequence.PDW, ("pd", "pdw", "protondensity", "pdweighted")),
)
_WORD_OF = {spelling: sequence for sequence, spellings in _SPELLINGS for spelling in spellings}

_BIDS_SUFFIX = {
    "t1w": MRSequence.T1W,
    "t2w": MRSequence.T2W,
    "flair": MRSequence.FLAIR,
    "dwi": MRSequence.DWI,
    "trace": MRSequence.DWI,
    "adc": MRSequence.ADC,
    "t2starw": MRSequence.T2STAR,
    "swi": MRSequence.SWI,
    "pdw": MRSequence.PDW,
}
# Words of a description in the order in which they decide: "t2 flair" is a FLAIR, "adc dwi" an ADC map.
_DESCRIPTIONS = (
    (MRSequence.ADC, r"\badc\b|apparent diffusion"),
    (MRSequence.DWI, r"\bdwi?\b|\bdiff(usion)?\b|\btracew?\b|\bb ?1000\b|\bresolve\b"),
    (MRSequence.SWI, r"\bswi\b|\bswan\b|\bswip\b|suscept|veno ?bold"),
    (MRSequence.FLAIR, r"flair|dark fluid|\btirm\b(?!.*t1)"),
    (MRSequence.T2STAR, r"t2 ?\*|t2 ?star|\bgre\b|\bhemo\b|\bt2 ?ffe\b|\bmpgr\b|\bfl2d\b(?!.*t1)"),
    (MRSequence.PDW, r"\bpd ?w?\b|proton ?dens"),
    (MRSequence.T2W, r"\bt2 ?w?\b|\bt2 ?(tse|fse|se|blade|propeller|space|cube)\b"),
    (
        MRSequence.T1W,
        r"\bt1 ?w?\b|\bt1[nc]\b|\bt1 ?(ce|gd|km)\b|mp ?2?rage|\bf?spgr\b|\bbravo\b"
        r"|\bt1 ?(tse|se|fse|vibe|space|mpr)\b",
    ),
)
_NOT_A_STRUCTURE = re.compile(
    r"\bbold\b|\bfmri\b|\bperf|\basl\b|\bdsc\b|\bdce\b|\bmra\b|\btof\b|\bangio|locali[sz]er|\bscout\b|survey|spectro"
    r"|field ?map|\bfa\b|\bphase\b|\bmask\b|dseg|segmentation|\bcbv\b|\bcbf\b|\bmtt\b"
)
_CONTRAST = re.compile(
    r"\bpost\b|\bce\b|\bgad\b|\bgd\b|\bkm\b|\+ ?c\b|\bc\+|\bwith contrast\b|contrast enhanced|\bt1 ?(ce|gd|c|km)\b"
    r"|gadolinium"
)
_NO_CONTRAST = re.compile(r"\bpre\b|without (contrast|gad)|\bno contrast\b|\bnon contrast\b|\bnative\b")


def parse_sequence(text: str) -> MRSequence:
    """The MR sequence that a user names, in any case and usual spelling.

    >>> parse_sequence("T1 post").value, parse_sequence("t2star").value, parse_sequence("flair").value
    ('T1w post contrast', 'T2*', 'FLAIR')

    Raises
    ------
    SequenceError
        names the accepted words
    """
    compact = re.sub(r"[\s_\-.,/()+]+", "", text.casefold())
    found = _WORD_OF.get(compact)
    if found is None:
        shown = "".join(character for character in text[:40] if character.isprintable())
        raise SequenceError(f"Expected an MR sequence ({', '.join(MRSequence)}), got '{shown}'")
    return found


def recognise_sequence(name: str, sidecar: Mapping[str, object] | None = None) -> MRSequence | None:
    """The MR sequence of a series from its file name or description and, where given, its JSON sidecar.

    The name decides first (BIDS suffix and `ce-` entity, then words), then the sidecar's descriptions, then its echo,
    repetition and inversion times (BIDS gives seconds). None when nothing tells.

    >>> recognise_sequence("sub-01_ce-GAD_T1w.nii.gz").value, recognise_sequence("AX T2 FLAIR FS").value
    ('T1w post contrast', 'FLAIR')
    """
    fields = sidecar or {}
    stem = re.split(r"[\\/]", name)[-1]
    found = _from_bids(stem)
    if found is None:
        found = _from_words(stem)
    if found is None:
        descriptions = (fields.get(key) for key in ("SeriesDescription", "ProtocolName", "ImageComments"))
        found = next((hit for text in descriptions if isinstance(text, str) and (hit := _from_words(text))), None)
    if found is None:
        found = _from_times(fields)
    if found is MRSequence.T1W and _contrast_was_given(fields):
        return MRSequence.T1W_POST
    return found


def _from_bids(stem: str) -> MRSequence | None:
    bare = re.sub(r"\.(nii(\.gz)?|gz|json|dcm|hdr|img)$", "", stem, flags=re.IGNORECASE)
    bare = re.sub(r"\.nii$", "", bare, flags=re.IGNORECASE)
    *entities, suffix = bare.casefold().split("_")
    found = _BIDS_SUFFIX.get(suffix)
    if found is MRSequence.T1W and any(entity.startswith("ce-") for entity in entities):
        return MRSequence.T1W_POST
    if found is MRSequence.DWI and any(entity in {"desc-adc", "acq-adc"} for entity in entities):
        return MRSequence.ADC
    return found


def _from_words(text: str) -> MRSequence | None:
    bare = re.sub(r"\.(nii(\.gz)?|gz|json|dcm|hdr|img)$", "", text.casefold())
    words = re.sub(r"[\s_\-.,/()]+", " ", bare)
    if _NOT_A_STRUCTURE.search(words):
        return None
    for sequence, pattern in _DESCRIPTIONS:
        if re.search(pattern, words):
            if sequence is MRSequence.T1W and _CONTRAST.search(words) and not _NO_CONTRAST.search(words):
                return MRSequence.T1W_POST
            return sequence
    return None


def _from_times(fields: Mapping[str, object]) -> MRSequence | None:
    echo, repetition, inversion = (
        _milliseconds(fields.get(key)) for key in ("EchoTime", "RepetitionTime", "InversionTime")
    )
    if echo is None or repetition is None:
        return None
    if inversion is not None and echo >= LONG_ECHO_MS and FLAIR_INVERSION_MS[0] <= inversion <= FLAIR_INVERSION_MS[1]:
        return MRSequence.FLAIR
    if inversion is not None and echo < SHORT_ECHO_MS:
        return MRSequence.T1W
    if repetition >= LONG_REPETITION_MS and echo >= LONG_ECHO_MS:
        return MRSequence.T2W
    if repetition >= LONG_REPETITION_MS and echo < SHORT_ECHO_MS:
        return MRSequence.PDW
    if repetition <= SHORT_REPETITION_MS and echo < SHORT_ECHO_MS / 2:
        return MRSequence.T1W
    return None


def _contrast_was_given(fields: Mapping[str, object]) -> bool:
    agent = fields.get("ContrastBolusAgent") or fields.get("ContrastBolusIngredient")
    return isinstance(agent, str) and agent.strip().casefold() not in {"", "none", "no", "n/a"}


def _milliseconds(value: object) -> float | None:
    """A time of a BIDS sidecar, which is in seconds; values above 60 are taken as milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        return None
    return float(value) if value > 60 else float(value) * 1000.0
