"""How absence is worded: pertinent negatives by finding, normal regions, normal impressions; and indications.

`denials` never denies what the facts hold: a sentence that speaks of several things needs all of them absent.
"""

from __future__ import annotations

from training.phantoms.facts import Facts, Pathology

_INTRA_AXIAL = ("glioma", "metastases", "abscess", "cavernoma")
_EXTRA_AXIAL = ("meningioma", "schwannoma", "pituitary_mass", "cyst")
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
        ("No restricted diffusion.", ("haemorrhage", "glioma", "meningioma", "metastases", "abscess"), ()),
        ("No restricted diffusion to suggest acute ischaemia.", ("haemorrhage", "glioma", "metastases", "abscess"), ()),
    ),
    "white_matter_lesions": (
        ("No demyelinating lesion.", (), ()),
        (
            "No lesion of the corpus callosum or infratentorial white matter to suggest demyelination.",
            _INTRA_AXIAL,
            (),
        ),
        (
            "No white matter lesion.",
            ("small_vessel_disease", "infarct", "cyst", *_INTRA_AXIAL),
            ("foci", "oedema"),
        ),
    ),
    "small_vessel_disease": (
        ("No small vessel disease.", (), ()),
        ("No evidence of small vessel ischaemic change.", ("infarct",), ()),
        (
            "Normal signal of the white matter.",
            ("white_matter_lesions", "infarct", "hydrocephalus", "cyst", *_INTRA_AXIAL),
            ("foci", "oedema", "gliotic rim"),
        ),
    ),
    "glioma": (
        ("No intra-axial tumour.", ("metastases",), ()),
        ("No glioma.", (), ()),
        ("No intra-axial mass.", ("haemorrhage", *_INTRA_AXIAL), ()),
        ("No mass lesion.", ("haemorrhage", *_INTRA_AXIAL, *_EXTRA_AXIAL), ()),
        ("No space occupying lesion.", ("haemorrhage", "mass_effect", *_INTRA_AXIAL, *_EXTRA_AXIAL), ()),
    ),
    "meningioma": (
        ("No extra-axial mass.", ("haemorrhage", *_EXTRA_AXIAL), ()),
        ("No meningioma.", (), ()),
        ("No dural-based lesion.", ("haemorrhage", "schwannoma"), ()),
    ),
    "haemorrhage": (
        ("No haemorrhage.", ("cavernoma",), ("haemorrhagic", "microbleeds")),
        ("No intracranial haemorrhage.", ("cavernoma",), ("haemorrhagic", "microbleeds")),
        ("No extra-axial collection.", ("meningioma", "cyst"), ()),
        ("No blood products.", ("cavernoma",), ("haemorrhagic", "microbleeds")),
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
    "metastases": (
        ("No metastases.", (), ()),
        ("No evidence of metastatic disease.", (), ()),
    ),
    "abscess": (
        ("No abscess.", (), ()),
        ("No abscess or empyema.", (), ()),
    ),
    "schwannoma": (
        ("No vestibular schwannoma.", (), ()),
        ("No mass of the cerebellopontine angles.", _EXTRA_AXIAL, ("middle",)),
        ("The internal auditory canals are normal.", (), ()),
    ),
    "pituitary_mass": (
        ("No pituitary mass.", (), ()),
        ("The pituitary gland is normal in size.", (), ()),
        ("The sella and suprasellar cistern are normal.", ("haemorrhage",), ()),
    ),
    "cyst": (
        ("No arachnoid cyst.", (), ()),
        ("No intracranial cyst.", ("infarct",), ("cystic", "gliotic rim")),
    ),
    "cavernoma": (
        ("No cavernoma.", (), ()),
        ("No cavernous malformation.", (), ()),
    ),
}

NORMAL_REGIONS = (
    "The major intracranial flow voids are preserved.",
    "The craniocervical junction is normal.",
    "The orbits are unremarkable.",
    "The mastoid air cells are clear.",
    "The craniocervical alignment is maintained.",
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
    Pathology.WATERSHED_INFARCT: ("Fluctuating weakness, carotid stenosis.", "Collapse with hypotension, weakness."),
    Pathology.ABSCESS: ("Fever and headache.", "New seizure, raised inflammatory markers.", "Sinusitis, drowsiness."),
    Pathology.CAVERNOMA: ("First seizure.", "Headache.", "Family history of cavernomas."),
    Pathology.VESTIBULAR_SCHWANNOMA: ("Unilateral hearing loss.", "Tinnitus and imbalance."),
    Pathology.PITUITARY_ADENOMA: ("Bitemporal hemianopia.", "Raised prolactin.", "Hypopituitarism."),
    Pathology.ARACHNOID_CYST: ("Headache.", "Incidental lesion on CT."),
    Pathology.NEUROGLIAL_CYST: ("Headache.", "Seizure."),
    Pathology.EXTRADURAL: ("Head injury.", "Fall, skull fracture on CT."),
    Pathology.SUBARACHNOID: ("Thunderclap headache.", "Sudden severe headache, neck stiffness."),
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
