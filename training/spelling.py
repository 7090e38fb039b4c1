"""American and British spelling of radiology English, word by word, for training text.

Rules on stems, so that compounds ("microhemorrhages", "perilesional edema") are covered. What a user typed is left to
the search's own map; at training and in the encoder both spellings of a word share one word vector
(training.vocabulary).
"""

from __future__ import annotations

import re

# American stem, British stem. Stems are matched anywhere in a lower-case word unless anchored by ^ or $.
_STEMS = (
    ("hemorrhag", "haemorrhag"),
    ("hematom", "haematom"),
    ("hematoc", "haematoc"),
    ("hematol", "haematol"),
    ("hematop", "haematop"),
    ("hematog", "haematog"),
    ("hematur", "haematur"),
    ("hemangi", "haemangi"),
    ("hemosid", "haemosid"),
    ("hemogl", "haemogl"),
    ("hemodyn", "haemodyn"),
    ("hemophil", "haemophil"),
    ("hemoly", "haemoly"),
    ("hemosta", "haemosta"),
    ("hemoptys", "haemoptys"),
    ("hemochrom", "haemochrom"),
    ("methemo", "methaemo"),
    ("edema", "oedema"),
    ("tumor", "tumour"),
    ("ischemi", "ischaemi"),
    ("anemi", "anaemi"),
    ("leukemi", "leukaemi"),
    ("glycemi", "glycaemi"),
    ("septicemi", "septicaemi"),
    ("bacteremi", "bacteraemi"),
    ("hypoxemi", "hypoxaemi"),
    ("natremi", "natraemi"),
    ("lipidemi", "lipidaemi"),
    ("uremi", "uraemi"),
    ("leukoe", "leucoe"),
    ("leukod", "leucod"),
    ("leukoc", "leucoc"),
    ("leukom", "leucom"),
    ("leukoa", "leucoa"),
    ("^gray", "grey"),
    ("centered", "centred"),
    ("centering", "centring"),
    ("center", "centre"),
    ("fiber", "fibre"),
    ("caliber", "calibre"),
    ("centimeter", "centimetre"),
    ("millimeter", "millimetre"),
    ("color", "colour"),
    ("behavior", "behaviour"),
    ("neighbor", "neighbour"),
    ("favor", "favour"),
    ("^labor$", "labour"),
    ("^esophag", "oesophag"),
    ("^fetal", "foetal"),
    ("^fetus", "foetus"),
    ("pediatric", "paediatric"),
    ("orthopedic", "orthopaedic"),
    ("gynecolog", "gynaecolog"),
    ("etiolog", "aetiolog"),
    ("anesthe", "anaesthe"),
    ("diarrhea", "diarrhoea"),
    ("dyspnea", "dyspnoea"),
    ("^apnea", "apnoea"),
    ("celiac", "coeliac"),
    ("^cecum", "caecum"),
    ("^cecal", "caecal"),
    ("^fecal", "faecal"),
    ("labeled", "labelled"),
    ("sulfur", "sulphur"),
    ("sulfate", "sulphate"),
    ("defense", "defence"),
    ("^disk$", "disc"),
    ("^disks$", "discs"),
    ("artifact", "artefact"),
    ("^program$", "programme"),
    ("maneuver", "manoeuvre"),
    ("estrogen", "oestrogen"),
)
_VERB = re.compile(r"([a-z]{3,}[iy])z(e|ed|es|ing|ation|ations)$")
_NOT_VERBS = ("siz", "priz", "seiz", "capsiz", "maiz", "gaiz")
_WORD = re.compile(r"[A-Za-z]+")


_TO_BRITISH = tuple((re.compile(american), british) for american, british in _STEMS)
_TO_AMERICAN = tuple(
    (re.compile(american.replace(american.strip("^$"), british)), american.strip("^$")) for american, british in _STEMS
)


def british_word(word: str) -> str:
    """The British form of a lower-case American word; itself where there is none.

    >>> british_word("microhemorrhages"), british_word("visualized"), british_word("size"), british_word("oedema")
    ('microhaemorrhages', 'visualised', 'size', 'oedema')
    """
    if any(pattern.search(word) for pattern, _ in _TO_AMERICAN):
        return word
    for pattern, british in _TO_BRITISH:
        word = pattern.sub(british, word)
    match = _VERB.fullmatch(word)
    if match and not (match[1] + "z").endswith(_NOT_VERBS):
        word = f"{match[1]}s{match[2]}"
    return word


def american_word(word: str) -> str:
    """The American form of a lower-case British word by its stem (not by "-ise", which has too many false friends).

    >>> american_word("haemorrhagic"), american_word("leucoencephalopathy")
    ('hemorrhagic', 'leukoencephalopathy')
    """
    for pattern, american in _TO_AMERICAN:
        word = pattern.sub(american, word)
    return word


def to_british(text: str) -> str:
    """Every word of a text in British spelling, lower-case where it changed."""
    return _WORD.sub(lambda found: _keep_case(found[0], british_word(found[0].lower())), text)


def to_american(text: str) -> str:
    """Every word of a text in American spelling, lower-case where it changed.

    >>> to_american("Oedema of the grey matter")
    'edema of the gray matter'
    """
    return _WORD.sub(lambda found: _keep_case(found[0], american_word(found[0].lower())), text)


def _keep_case(word: str, swapped: str) -> str:
    return word if swapped == word.lower() else swapped
