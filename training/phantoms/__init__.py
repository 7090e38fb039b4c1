"""Examinations with reports, made out of anatomy maps: people, lesions, series and words from one seed."""

from training.phantoms.contrast import render
from training.phantoms.facts import FINDINGS, Abnormality, Facts, Pathology
from training.phantoms.pathology import Phantom, make_phantom
from training.phantoms.reports import PhantomReport, statements, write_report
from training.phantoms.scenario import draw_facts

__all__ = [
    "FINDINGS",
    "Abnormality",
    "Facts",
    "Pathology",
    "Phantom",
    "PhantomReport",
    "draw_facts",
    "make_phantom",
    "render",
    "statements",
    "write_report",
]
