"""Words for focal lesions of the brain itself: gliomas, metastases, abscess, haematomas, cavernoma, cavities.

Each function gives the choices for one pathology: sentences that say it is there, optional details, impressions.
"""

from __future__ import annotations

from training.phantoms.facts import Abnormality, Facts

Choice = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def high_grade(item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}.", "There is extensive surrounding vasogenic oedema of high FLAIR signal."]
    if facts.acquired("T1w post contrast"):
        details.append("There is thick irregular rim enhancement around a necrotic centre.")
    details += ["Foci of susceptibility represent intratumoural blood products."] * (
        "haemorrhagic" in item.traits and facts.acquired("T2*", "SWI")
    )
    return (
        (
            "There is a large heterogeneous intra-axial mass in the {where} with central necrosis.",
            "An irregular necrotic intra-axial tumour is centred on the {where}.",
            "{where} mass lesion of mixed signal with a necrotic centre, measuring {size}.",
            "There is a {size} infiltrating intra-axial mass in the {where}.",
        ),
        tuple(details),
        (
            "Intra-axial tumour in the {where}, in keeping with a high grade glioma.",
            "{side} {lobe} high grade glioma.",
            "Necrotic {side} {lobe} mass, most likely glioblastoma.",
            "Appearances favour glioblastoma of the {where}.",
        ),
    )


def low_grade(_item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}.", "There is expansion of the overlying cortex."]
    if facts.acquired("T1w post contrast"):
        details.append("The lesion does not enhance.")
    return (
        (
            "There is an ill-defined intra-axial mass of homogeneous high T2 and FLAIR signal in the {where}.",
            "An expansile T2 hyperintense infiltrating lesion of {size} involves the {where}.",
            "{where} intra-axial tumour with high FLAIR signal, without necrosis.",
        ),
        tuple(details),
        (
            "Intra-axial tumour of the {where}, likely low grade glioma.",
            "{side} {lobe} low grade glioma.",
            "Appearances suggest a diffuse low grade glioma of the {where}.",
        ),
    )


def metastases(_item: Abnormality, facts: Facts) -> Choice:
    details = ["The largest, in the {where}, measures {size}.", "Each is surrounded by vasogenic oedema."]
    if facts.acquired("T1w post contrast"):
        details.append("The lesions enhance, the larger ones in a ring.")
    return (
        (
            "There are {count} intra-axial mass lesions at the grey-white matter junction.",
            "Multiple ({count}) round intra-axial tumours, the largest of {size} in the {where}.",
            "Several intra-axial masses in both hemispheres, the largest in the {where}.",
        ),
        tuple(details),
        (
            "Multiple brain metastases.",
            "Multiple intra-axial tumours in keeping with metastases.",
            "Cerebral metastatic disease, {count} lesions.",
        ),
    )


def haemorrhage(item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}."]
    if facts.acquired("T2*", "SWI"):
        details.append("There is marked blooming on the susceptibility sequence.")
    details += ["There is a thin rim of surrounding oedema."] * ("oedema" in item.traits)
    if item.stage == "subacute" and facts.acquired("T1w"):
        details.append("High T1 signal is in keeping with methaemoglobin.")
    if item.stage == "chronic":
        return (
            (
                "There is an old haemorrhage in the {where} with a haemosiderin rim.",
                "Slit-like cavity lined by haemosiderin in the {where} from previous haemorrhage.",
            ),
            tuple(details),
            ("Old haemorrhage in the {where}.", "Chronic {side} {site} haematoma."),
        )
    return (
        (
            "There is {stage} intraparenchymal haemorrhage in the {where}.",
            "{stage} parenchymal haematoma of {size} in the {where}.",
            "A {size} haematoma is centred on the {where}, of {stage} signal.",
        ),
        tuple(details),
        (
            "{stage} {side} {site} haemorrhage.",
            "{stage} intraparenchymal haematoma in the {where}.",
            "Intracranial haemorrhage in the {where}, {stage}.",
        ),
    )


def post_operative(item: Abnormality, facts: Facts) -> Choice:
    cavity = (
        "There is a resection cavity in the {where} of CSF signal with a gliotic rim.",
        "Post-operative cavity in the {where} following craniotomy, measuring {size}.",
        "Surgical cavity of {size} in the {where} with an overlying craniotomy.",
    )
    if "residual" in item.traits:
        how = "enhancing " if facts.acquired("T1w post contrast") else ""
        essential = tuple(f"{text} There is nodular {how}residual tumour at its margin." for text in cavity)
        return (
            essential,
            ("Surrounding oedema of high FLAIR signal.",),
            (
                "Residual or recurrent glioma at the {where} resection cavity.",
                "Post-operative {side} {lobe} cavity with residual tumour.",
            ),
        )
    return (
        cavity,
        ("The margins of the cavity are smooth.",),
        ("Post-operative appearances of the {where}.", "Stable {side} {lobe} resection cavity."),
    )


def abscess(_item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}.", "There is extensive surrounding vasogenic oedema."]
    if facts.acquired("T1w post contrast"):
        details.append("There is a thin, smooth rim of enhancement.")
    if facts.acquired("DWI", "ADC"):
        details.append("Its centre shows markedly restricted diffusion.")
    return (
        (
            "There is a round intra-axial lesion with a thin smooth wall in the {where}.",
            "A {size} lesion with a T2 dark capsule and fluid contents is seen in the {where}.",
            "{where} lesion with a smooth thin rim around pus-like contents and much oedema.",
        ),
        tuple(details),
        (
            "{side} {lobe} abscess.",
            "Intra-axial lesion of the {where}, in keeping with a pyogenic abscess.",
            "Appearances favour a cerebral abscess of the {where}.",
        ),
    )


def cavernoma(_item: Abnormality, facts: Facts) -> Choice:
    details = ["It measures {size}.", "There is no surrounding oedema."]
    if facts.acquired("T2*", "SWI"):
        details.append("There is marked blooming on the susceptibility sequence.")
    return (
        (
            "There is a popcorn-like lesion of mixed signal with a complete haemosiderin rim in the {where}.",
            "A lobulated lesion with a dark rim of haemosiderin lies in the {where}.",
            "{where} lesion with a bright reticulated core and a dark rim on T2.",
        ),
        tuple(details),
        (
            "Cavernoma of the {where}.",
            "{side} {lobe} cavernous malformation.",
            "Appearances typical of a cavernoma in the {where}.",
        ),
    )


def neuroglial_cyst(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "There is a well-defined cyst of CSF signal in the white matter of the {where}.",
            "A smooth thin-walled intra-axial cyst of {size} is seen in the {where}.",
            "{where} cyst that follows CSF on all sequences, without a solid part.",
        ),
        ("It measures {size}.", "There is no surrounding signal abnormality."),
        (
            "Neuroglial cyst of the {where}.",
            "Benign appearing intra-axial cyst in the {where}, likely neuroglial.",
            "Simple {side} {lobe} cyst.",
        ),
    )
