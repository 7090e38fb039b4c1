"""How absence is worded: pertinent negatives by finding, normal regions, normal impressions; and indications.

`denials` never denies what the facts hold: a sentence that speaks of several things needs all of them absent.
"""

from __future__ import annotations

from training.phantoms.facts import Facts, Pathology

# finding -> (sentence, further findings that must be absent, traits or stages that must be absent)
_DENIALS: dict[str, tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = {
    "abnormal": (
        ("No intracranial abnormality identified.", (), ()),
        ("Normal appearances of the brain.", (), ()),
        ("Normal study.", (), ()),
    ),
    "hydrocephalus": (
        ("No hydrocephalus.", (), ()),
        ("There is no evidence of hydrocephalus.", (), ()),
        ("The ventricles are of normal size and configuration.", ("atrophy", "mass_effect"), ("chronic", "asymmetric")),
        ("Normal ventricular system.", ("atrophy", "mass_effect"), ("chronic", "asymmetric")),
    ),
    "infarct": (
        ("No infarct.", (), ()),
        ("No acute infarct.", (), ()),
        ("No evidence of acute or chronic infarction.", (), ()),
        ("No restricted diffusion.", ("haemorrhage", "glioma", "meningioma"), ()),
        ("No restricted diffusion to suggest acute ischaemia.", ("haemorrhage", "glioma"), ()),
    ),
    "white_matter_lesions": (
        ("No demyelinating lesion.", (), ()),
        ("No lesion of the corpus callosum or infratentorial white matter to suggest demyelination.", ("glioma",), ()),
        ("No white matter lesion.", ("small_vessel_disease", "infarct", "glioma"), ("foci", "oedema")),
    ),
    "small_vessel_disease": (
        ("No small vessel disease.", (), ()),
        ("No evidence of small vessel ischaemic change.", ("infarct",), ()),
        (
            "Normal signal of the white matter.",
            ("white_matter_lesions", "infarct", "glioma", "hydrocephalus"),
            ("foci", "oedema", "gliotic rim"),
        ),
    ),
    "glioma": (
        ("No intra-axial tumour.", (), ()),
        ("No intra-axial mass.", ("haemorrhage",), ()),
        ("No mass lesion.", ("meningioma", "haemorrhage"), ()),
        ("No space occupying lesion.", ("meningioma", "haemorrhage", "mass_effect"), ()),
    ),
    "meningioma": (
        ("No extra-axial mass.", ("haemorrhage",), ()),
        ("No meningioma.", (), ()),
        ("No dural-based lesion.", ("haemorrhage",), ()),
    ),
    "haemorrhage": (
        ("No haemorrhage.", (), ("haemorrhagic", "microbleeds")),
        ("No intracranial haemorrhage.", (), ("haemorrhagic", "microbleeds")),
        ("No extra-axial collection.", ("meningioma",), ()),
        ("No blood products.", (), ("haemorrhagic", "microbleeds")),
    ),
    "atrophy": (
        ("No atrophy.", (), ()),
        ("Brain volume is normal for age.", ("hydrocephalus",), ()),
        ("The sulci are normal for age.", ("hydrocephalus", "mass_effect"), ("chronic",)),
        ("No significant cerebral volume loss.", ("infarct",), ("gliotic rim",)),
    ),
    "mass_effect": (
        ("No mass effect.", (), ()),
        ("No midline shift.", (), ()),
        ("No mass effect or midline shift.", (), ()),
        ("Midline structures are not displaced.", (), ()),
    ),
}

NORMAL_REGIONS = (
    "The major intracranial flow voids are preserved.",
    "The craniocervical junction is normal.",
    "The orbits are unremarkable.",
    "The pituitary fossa is unremarkable.",
    "The mastoid air cells are clear.",
    "The internal auditory canals are normal.",
)

NORMAL_IMPRESSIONS = (
    "Normal study.",
    "Normal appearances of the brain.",
    "No intracranial abnormality identified.",
    "Normal MRI of the brain.",
    "No significant intracranial abnormality.",
    "Unremarkable MRI head.",
    "No acute intracranial abnormality. Normal brain for age.",
)

INDICATIONS: dict[Pathology | None, tuple[str, ...]] = {
    None: (
        "Headache.",
        "Dizziness.",
        "Migraine, exclude structural cause.",
        "Tinnitus.",
        "Paraesthesia.",
        "First seizure.",
    ),
    Pathology.HYDROCEPHALUS: ("Headache and vomiting.", "Gait disturbance and incontinence.", "Papilloedema."),
    Pathology.INFARCT: ("Sudden weakness.", "Facial droop and slurred speech.", "Aphasia.", "Visual field defect."),
    Pathology.LACUNAR_INFARCT: ("Sudden unilateral weakness.", "Transient sensory loss.", "Dysarthria."),
    Pathology.MULTIPLE_SCLEROSIS: (
        "Optic neuritis.",
        "Sensory symptoms, relapsing.",
        "Known MS, follow-up.",
        "Diplopia.",
    ),
    Pathology.SMALL_VESSEL_DISEASE: ("Cognitive decline.", "Falls.", "Memory loss, hypertension."),
    Pathology.HIGH_GRADE_GLIOMA: ("Headache and confusion.", "New seizure.", "Progressive weakness."),
    Pathology.LOW_GRADE_GLIOMA: ("New seizure.", "Focal seizures."),
    Pathology.METASTASES: ("Known lung cancer, headache.", "Breast cancer, new confusion.", "Staging, melanoma."),
    Pathology.MENINGIOMA: ("Headache.", "Anosmia.", "Incidental lesion on CT.", "Seizure."),
    Pathology.HAEMORRHAGE: ("Sudden headache.", "Sudden weakness, hypertension.", "Collapse."),
    Pathology.SUBDURAL: ("Fall two weeks ago, confusion.", "Head injury, on anticoagulation.", "Drowsiness."),
    Pathology.GLOBAL_ATROPHY: ("Memory loss.", "Cognitive decline, ?cause."),
    Pathology.HIPPOCAMPAL_ATROPHY: ("Memory loss.", "Suspected Alzheimer's disease."),
    Pathology.POST_OPERATIVE: ("Post-operative follow-up.", "Follow-up after resection and radiotherapy."),
}


def denials(finding: str, facts: Facts) -> tuple[str, ...]:
    """Sentences that deny a finding and are true of these facts; none where the finding is present."""
    labels = facts.labels
    diffusion = facts.acquired("DWI", "ADC")
    marks = {trait for item in facts.abnormalities for trait in item.traits}
    marks |= {item.stage for item in facts.abnormalities if item.stage}
    marks |= {word for item in facts.abnormalities for word in item.pathology.split()}
    return tuple(
        sentence
        for sentence, also, spoiled in _DENIALS[finding]
        if not labels[finding]
        and (diffusion or "diffusion" not in sentence)
        and not any(labels[name] for name in also)
        and not marks & set(spoiled)
    )
