"""Floor 0: volumes and texts to vectors. Knows nothing of disks, questions or people.

Names are imported on first use, so that a process that only reads volumes does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encoders.bundle import Bundle, Encoder, EncodingError, SeriesEncoding, load
    from encoders.calibration import Calibration, CalibrationError, Measured, OperatingPoint, parse_operating_point
    from encoders.catalogue import FindingsError
    from encoders.findings import Finding, FindingScore
    from encoders.manifest import BundleError
    from encoders.preprocess import NetworkInput, Preprocessing
    from encoders.sequences import MRSequence, SequenceError, parse_sequence, recognise_sequence
    from encoders.text import NeuroBERT
    from encoders.volume import Volume, VolumeError, VolumeLimits, read_volume

_HOMES = {
    "bundle": ("Bundle", "Encoder", "EncodingError", "SeriesEncoding", "load"),
    "calibration": ("Calibration", "CalibrationError", "Measured", "OperatingPoint", "parse_operating_point"),
    "catalogue": ("FindingsError",),
    "findings": ("Finding", "FindingScore"),
    "manifest": ("BundleError",),
    # `preprocess` is both a module and its function; the package's attribute is the module, as Python sets it.
    "preprocess": ("NetworkInput", "Preprocessing"),
    "sequences": ("MRSequence", "SequenceError", "parse_sequence", "recognise_sequence"),
    "text": ("NeuroBERT",),
    "volume": ("Volume", "VolumeError", "VolumeLimits", "read_volume"),
}

__all__ = [
    "Bundle",
    "BundleError",
    "Calibration",
    "CalibrationError",
    "Encoder",
    "EncodingError",
    "Finding",
    "FindingScore",
    "FindingsError",
    "MRSequence",
    "Measured",
    "NetworkInput",
    "NeuroBERT",
    "OperatingPoint",
    "Preprocessing",
    "SequenceError",
    "SeriesEncoding",
    "Volume",
    "VolumeError",
    "VolumeLimits",
    "load",
    "parse_operating_point",
    "parse_sequence",
    "read_volume",
    "recognise_sequence",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"encoders.{module}"), name)
    raise AttributeError(f"module 'encoders' has no attribute '{name}'")
