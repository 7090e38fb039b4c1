"""Words for what lies between brain and skull: meningioma, schwannoma, pituitary mass, cyst, blood around the brain.

Each function gives the choices for one pathology: sentences that say it is there, optional details, impressions.
"""

from __future__ import annotations

from training.phantoms.facts import Abnormality, Facts

Choice = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def meningioma(item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}."]
    if facts.acquired("T1w post contrast"):
        details.append("It enhances homogeneously.")
        details += ["There is a dural tail."] * ("dural tail" in item.traits)
    details += ["There is oedema of the adjacent white matter."] * ("oedema" in item.traits)
    return (
        (
            "There is an extra-axial dural-based mass at the {where}.",
            "A well-defined extra-axial mass of {size} arises from the dura of the {where}.",
            "{where} extra-axial lesion with a broad dural base, near isointense to grey matter.",
        ),
        tuple(details),
        (
            "Meningioma of the {where}.",
            "{side} {site} meningioma.",
            "Dural-based extra-axial mass in keeping with a meningioma of the {where}.",
        ),
    )


def subdural(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "There is a {stage} {side} subdural haematoma over the {site}, up to {size} in depth.",
            "A crescentic extra-axial collection of blood overlies the {side} {site}, in keeping with a {stage} "
            "subdural haematoma.",
            "{side} convexity subdural collection of blood products, {size} deep.",
        ),
        ("Its maximum depth is {size}.",),
        (
            "{stage} {side} subdural haematoma.",
            "{side} subdural haematoma, {stage}.",
            "{side} {stage} subdural haemorrhage.",
        ),
    )


def extradural(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "There is a biconvex {stage} extradural haematoma over the {side} {site}, {size} in depth.",
            "A lens-shaped extra-axial collection of blood lies over the {side} {site}, in keeping with a {stage} "
            "extradural haematoma.",
            "{side} temporoparietal extradural collection of {stage} blood, up to {size} deep.",
        ),
        ("Its maximum depth is {size}.", "It does not cross the sutures."),
        (
            "{stage} {side} extradural haematoma.",
            "{side} extradural haematoma, {stage}.",
            "{stage} {side} epidural haematoma.",
        ),
    )


def subarachnoid(_item: Abnormality, facts: Facts) -> Choice:
    details = ["The FLAIR signal of the CSF is not suppressed."]
    details += ["There is susceptibility in the affected sulci."] * facts.acquired("T2*", "SWI")
    return (
        (
            "There is {degree} subarachnoid blood in {where}.",
            "High FLAIR signal of the CSF in {where}, in keeping with {degree} subarachnoid haemorrhage.",
            "{degree} subarachnoid haemorrhage fills {where}.",
        ),
        tuple(details),
        (
            "{degree} subarachnoid haemorrhage.",
            "Acute subarachnoid haemorrhage in {where}; CT angiography is advised.",
            "Subarachnoid blood, {degree} in amount.",
        ),
    )


def schwannoma(item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}."]
    details += ["It enhances avidly."] * facts.acquired("T1w post contrast")
    details += ["It contains cystic parts."] * ("cystic" in item.traits)
    return (
        (
            "There is an extra-axial mass in the {where} that extends into the internal auditory canal.",
            "A {size} mass of the {side} cerebellopontine angle widens the internal auditory meatus.",
            "{where} mass with an intracanalicular component.",
        ),
        tuple(details),
        (
            "{side} vestibular schwannoma.",
            "Mass of the {where}, in keeping with a vestibular schwannoma.",
            "{side} cerebellopontine angle tumour, likely vestibular schwannoma.",
        ),
    )


def adenoma(item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}."]
    details += ["It enhances less than the normal gland."] * facts.acquired("T1w post contrast")
    details += ["It lifts and compresses the optic chiasm."] * ("chiasm" in item.traits)
    details += ["There is a cystic part."] * ("cystic" in item.traits)
    return (
        (
            "There is a sellar mass with suprasellar extension, separate pituitary tissue not being seen.",
            "A {size} mass arises from an enlarged pituitary fossa and extends upwards.",
            "The sella is expanded by a mass with a waist at the diaphragm.",
        ),
        tuple(details),
        (
            "Pituitary macroadenoma.",
            "Sellar and suprasellar mass in keeping with a pituitary macroadenoma.",
            "Pituitary mass of {size}, most likely a macroadenoma.",
        ),
    )


def arachnoid_cyst(_item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}."]
    details += ["It shows no restricted diffusion."] * facts.acquired("DWI", "ADC")
    return (
        (
            "There is an extra-axial collection of CSF signal in the {where}, displacing the adjacent brain.",
            "A well-defined cyst of {size} that follows CSF on all sequences lies in the {where}.",
            "{where} extra-axial cyst, fully suppressed on FLAIR.",
        ),
        tuple(details),
        (
            "Arachnoid cyst of the {where}.",
            "{side} {site} arachnoid cyst.",
            "Appearances of an arachnoid cyst in the {where}.",
        ),
    )
