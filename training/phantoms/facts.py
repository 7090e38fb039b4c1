"""What is true of a phantom examination: the person, each abnormality, and the labels that follow from them.

Facts are drawn before any voxel exists (`scenario`), completed by measurement once lesions are painted (`pathology`),
and are the only thing that reports are written from. Nothing here knows voxels or words of reports.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FINDINGS = (
    "abnormal",
    "hydrocephalus",
    "infarct",
    "white_matter_lesions",
    "small_vessel_disease",
    "glioma",
    "meningioma",
    "haemorrhage",
    "atrophy",
    "mass_effect",
    "metastases",
    "abscess",
    "schwannoma",
    "pituitary_mass",
    "cyst",
    "cavernoma",
)


class FactsError(ValueError):
    """Facts that cannot be read, or a pathology that is not known."""


class Pathology(StrEnum):
    """A cause of abnormal appearances; those of INCIDENTAL leave an examination normal."""

    HYDROCEPHALUS = "hydrocephalus"
    INFARCT = "infarct"
    LACUNAR_INFARCT = "lacunar infarct"
    MULTIPLE_SCLEROSIS = "multiple sclerosis"
    SMALL_VESSEL_DISEASE = "small vessel disease"
    HIGH_GRADE_GLIOMA = "high grade glioma"
    LOW_GRADE_GLIOMA = "low grade glioma"
    METASTASES = "metastases"
    MENINGIOMA = "meningioma"
    HAEMORRHAGE = "haemorrhage"
    SUBDURAL = "subdural haematoma"
    GLOBAL_ATROPHY = "global atrophy"
    HIPPOCAMPAL_ATROPHY = "hippocampal atrophy"
    POST_OPERATIVE = "post-operative cavity"
    ABSCESS = "brain abscess"
    CAVERNOMA = "cavernoma"
    VESTIBULAR_SCHWANNOMA = "vestibular schwannoma"
    PITUITARY_ADENOMA = "pituitary macroadenoma"
    ARACHNOID_CYST = "arachnoid cyst"
    NEUROGLIAL_CYST = "neuroglial cyst"
    EXTRADURAL = "extradural haematoma"
    SUBARACHNOID = "subarachnoid haemorrhage"
    WATERSHED_INFARCT = "watershed infarct"
    NONSPECIFIC_FOCI = "non-specific white matter foci"
    SINUS_DISEASE = "sinus mucosal thickening"
    PERIVASCULAR_SPACES = "prominent perivascular spaces"
    VENTRICULAR_ASYMMETRY = "asymmetric lateral ventricles"


INCIDENTAL = frozenset(
    (
        Pathology.NONSPECIFIC_FOCI,
        Pathology.SINUS_DISEASE,
        Pathology.PERIVASCULAR_SPACES,
        Pathology.VENTRICULAR_ASYMMETRY,
    )
)

# In the order in which a case with several is named: the first that is present is the diagnosis.
DIAGNOSES = (
    (Pathology.HIGH_GRADE_GLIOMA, "glioma"),
    (Pathology.LOW_GRADE_GLIOMA, "glioma"),
    (Pathology.POST_OPERATIVE, "glioma"),
    (Pathology.METASTASES, "metastases"),
    (Pathology.ABSCESS, "abscess"),
    (Pathology.MENINGIOMA, "meningioma"),
    (Pathology.VESTIBULAR_SCHWANNOMA, "vestibular schwannoma"),
    (Pathology.PITUITARY_ADENOMA, "pituitary adenoma"),
    (Pathology.EXTRADURAL, "extradural haematoma"),
    (Pathology.SUBARACHNOID, "subarachnoid haemorrhage"),
    (Pathology.HAEMORRHAGE, "haemorrhage"),
    (Pathology.SUBDURAL, "subdural haematoma"),
    (Pathology.HYDROCEPHALUS, "hydrocephalus"),
    (Pathology.INFARCT, "infarct"),
    (Pathology.LACUNAR_INFARCT, "infarct"),
    (Pathology.WATERSHED_INFARCT, "infarct"),
    (Pathology.MULTIPLE_SCLEROSIS, "multiple sclerosis"),
    (Pathology.GLOBAL_ATROPHY, "atrophy"),
    (Pathology.HIPPOCAMPAL_ATROPHY, "atrophy"),
    (Pathology.CAVERNOMA, "cavernoma"),
    (Pathology.ARACHNOID_CYST, "arachnoid cyst"),
    (Pathology.NEUROGLIAL_CYST, "cyst"),
    (Pathology.SMALL_VESSEL_DISEASE, "small vessel disease"),
)

FINDING_OF = {
    Pathology.HYDROCEPHALUS: "hydrocephalus",
    Pathology.INFARCT: "infarct",
    Pathology.LACUNAR_INFARCT: "infarct",
    Pathology.MULTIPLE_SCLEROSIS: "white_matter_lesions",
    Pathology.SMALL_VESSEL_DISEASE: "small_vessel_disease",
    Pathology.HIGH_GRADE_GLIOMA: "glioma",
    Pathology.LOW_GRADE_GLIOMA: "glioma",
    Pathology.METASTASES: "metastases",
    Pathology.MENINGIOMA: "meningioma",
    Pathology.HAEMORRHAGE: "haemorrhage",
    Pathology.SUBDURAL: "haemorrhage",
    Pathology.GLOBAL_ATROPHY: "atrophy",
    Pathology.HIPPOCAMPAL_ATROPHY: "atrophy",
    Pathology.ABSCESS: "abscess",
    Pathology.CAVERNOMA: "cavernoma",
    Pathology.VESTIBULAR_SCHWANNOMA: "schwannoma",
    Pathology.PITUITARY_ADENOMA: "pituitary_mass",
    Pathology.ARACHNOID_CYST: "cyst",
    Pathology.NEUROGLIAL_CYST: "cyst",
    Pathology.EXTRADURAL: "haemorrhage",
    Pathology.SUBARACHNOID: "haemorrhage",
    Pathology.WATERSHED_INFARCT: "infarct",
}


# What else is true of an examination with it, by the names of the bundle's catalogue; no network is trained for these.
_FURTHER = {
    Pathology.LACUNAR_INFARCT: "lacunar_infarct",
    Pathology.SUBDURAL: "subdural_collection",
    Pathology.EXTRADURAL: "extradural_haematoma",
    Pathology.SUBARACHNOID: "subarachnoid_haemorrhage",
    Pathology.HIPPOCAMPAL_ATROPHY: "hippocampal_atrophy",
}


@dataclass(frozen=True, slots=True)
class Abnormality:
    """One abnormality. Lengths in mm, volumes in ml; None where it does not apply or was not measured.

    side is left, right, both or midline; stage is acute, subacute or chronic; severity is mild, moderate or severe.
    Traits say what it looks like ("necrosis", "enhancing", "oedema", "periventricular"); effects what it does to the
    brain around it ("midline shift", "sulcal effacement", "ventricular effacement", "fourth ventricle compression").
    """

    pathology: Pathology
    side: str
    site: str
    size_mm: float | None = None
    volume_ml: float | None = None
    count: int = 1
    stage: str | None = None
    severity: str | None = None
    traits: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    shift_mm: float = 0.0

    @property
    def incidental(self) -> bool:
        return self.pathology in INCIDENTAL

    @property
    def finding(self) -> str | None:
        """The finding's name of FINDINGS that this abnormality makes true, besides abnormal and mass_effect."""
        if self.pathology is Pathology.POST_OPERATIVE:
            return "glioma" if "residual" in self.traits else None
        return FINDING_OF.get(self.pathology)

    @property
    def further(self) -> frozenset[str]:
        """Names of the bundle's catalogue, beyond FINDINGS, that this abnormality makes true."""
        names = {
            _FURTHER.get(self.pathology, ""),
            f"{self.stage}_infarct" if self.finding == "infarct" and self.stage in ("acute", "chronic") else "",
            "midline_shift" if "midline shift" in self.effects else "",
        }
        return frozenset(names - {""})


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report may say. Sequences are MR sequence names; empty until an examination was acquired."""

    age: int
    sex: str
    abnormalities: tuple[Abnormality, ...] = ()
    sequences: tuple[str, ...] = ()
    comparison: str | None = None

    @property
    def labels(self) -> dict[str, bool]:
        """Truth of each of FINDINGS."""
        present = {item.finding for item in self.abnormalities}
        labels = {name: name in present for name in FINDINGS}
        labels["abnormal"] = any(not item.incidental for item in self.abnormalities)
        labels["mass_effect"] = any(item.effects for item in self.abnormalities)
        return labels

    @property
    def findings(self) -> frozenset[str]:
        """Names of the bundle's catalogue that are true: those of FINDINGS, and further ones."""
        true = {name for name, there in self.labels.items() if there}
        return frozenset(true.union(*(item.further for item in self.abnormalities)))

    @property
    def one_sided(self) -> dict[str, str]:
        """The findings that lie on the left or on the right and nowhere else, with their side."""
        sides = {
            name: {item.side for item in self.abnormalities if name in (item.finding, *item.further)}
            for name in self.findings
        }
        return {name: found.pop() for name, found in sides.items() if found in ({"left"}, {"right"})}

    @property
    def diagnosis(self) -> str:
        present = {item.pathology for item in self.abnormalities}
        return next((name for pathology, name in DIAGNOSES if pathology in present), "normal")

    def acquired(self, *names: str) -> bool:
        """Whether any of these MR sequences was acquired; while none is named yet, all are taken to be."""
        return not self.sequences or any(name in self.sequences for name in names)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for facts.json, with labels and diagnosis beside what they follow from."""
        data = dataclasses.asdict(self)
        return data | {"labels": self.labels, "diagnosis": self.diagnosis}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facts:
        """Read what `to_dict` gave, also after a way through JSON.

        Raises
        ------
        FactsError
            When a field is missing or a pathology is not known.
        """
        try:
            abnormalities = tuple(
                Abnormality(
                    **{
                        **item,
                        "pathology": Pathology(item["pathology"]),
                        "traits": tuple(item["traits"]),
                        "effects": tuple(item["effects"]),
                    }
                )
                for item in data["abnormalities"]
            )
            return cls(data["age"], data["sex"], abnormalities, tuple(data["sequences"]), data.get("comparison"))
        except (KeyError, TypeError, ValueError) as error:
            raise FactsError(f"Expected facts as written by Facts.to_dict, got {sorted(data)}: {error}") from error
