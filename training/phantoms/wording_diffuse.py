"""Words for what is diffuse, vascular or incidental: hydrocephalus, infarcts, white matter disease, atrophy, variants.

Each function gives the choices for one pathology: sentences that say it is there, optional details, impressions.
"""

from __future__ import annotations

from training.phantoms.facts import Abnormality, Facts

Choice = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def hydrocephalus(item: Abnormality, _facts: Facts) -> Choice:
    obstructive = "obstructive" in item.traits
    essential = (
        "The lateral and third ventricles are {adverb} dilated, in keeping with hydrocephalus.",
        "There is {degree} dilatation of the ventricular system out of proportion to the sulci.",
        "{degree} ventriculomegaly with rounding of the frontal horns and temporal horns.",
        "The ventricles are {adverb} enlarged and the temporal horns are dilated.",
        "There is {degree} hydrocephalus.",
    )
    details: tuple[str, ...] = (
        ("The fourth ventricle is normal in size and the level of obstruction is the cerebral aqueduct.",)
        if obstructive
        else ("All four ventricles are enlarged and no obstructing lesion is seen.",)
    )
    if "transependymal oedema" in item.traits:
        details += ("There is a periventricular rim of high FLAIR signal from transependymal oedema.",)
    if "effaced sulci" in item.traits:
        details += ("The sulci over the convexity are crowded at the vertex.",)
    kind = ("obstructive", "Obstructive") if obstructive else ("communicating", "Communicating")
    impression = (
        f"{{degree}} {kind[0]} hydrocephalus.",
        f"{kind[1]} hydrocephalus.",
        f"Appearances of {{degree}} hydrocephalus, likely {kind[0]}.",
        f"Hydrocephalus, {kind[0]} in pattern.",
    )
    return essential, details, impression


def infarct(item: Abnormality, _facts: Facts) -> Choice:
    if item.stage == "acute":
        return (
            (
                "There is restricted diffusion in the {where} in keeping with an acute infarct.",
                "Acute infarct in the {where}, with high DWI signal and corresponding low ADC.",
                "A wedge-shaped area of restricted diffusion in the {where} is consistent with acute ischaemia.",
                "Cortical and subcortical diffusion restriction in the {where}, compatible with recent infarction.",
            ),
            (
                "It measures {size}.",
                "There is corresponding high T2 and FLAIR signal with swelling of the cortex.",
            ),
            (
                "Acute infarct in the {where}.",
                "Acute {side} {site} infarct.",
                "Recent ischaemic stroke involving the {where}.",
                "Acute ischaemic infarction, {where}.",
            ),
        )
    return (
        (
            "There is an old infarct in the {where} with encephalomalacia and surrounding gliosis.",
            "Established cystic encephalomalacia in the {where} in keeping with a chronic infarct.",
            "Mature infarct in the {where}: CSF signal with a gliotic FLAIR rim.",
        ),
        ("It measures {size}.", "There is ex vacuo prominence of the adjacent {side} lateral ventricle."),
        (
            "Old infarct in the {where}.",
            "Chronic {side} {site} infarct.",
            "Established infarction in the {where}.",
        ),
    )


def watershed(item: Abnormality, _facts: Facts) -> Choice:
    if item.stage == "acute":
        return (
            (
                "There is a string of foci of restricted diffusion in the {where}: a watershed infarct.",
                "Multiple small acute infarcts are lined up along the {where}.",
                "Restricted diffusion between the vascular territories, in the {where}.",
            ),
            ("The affected zone measures {size}.", "There is corresponding high FLAIR signal."),
            (
                "Acute {side} watershed infarct.",
                "Acute border zone infarction in the {where}; vessel imaging is advised.",
                "Acute watershed infarction, {where}.",
            ),
        )
    return (
        (
            "There are old infarcts along the {where}.",
            "Chronic gliosis with small cavities between the vascular territories, in the {where}.",
        ),
        ("The affected zone measures {size}.",),
        ("Old {side} watershed infarct.", "Chronic border zone infarction in the {where}."),
    )


def lacune(item: Abnormality, _facts: Facts) -> Choice:
    if item.stage == "acute":
        return (
            (
                "There is a {size} focus of restricted diffusion in the {where}, in keeping with an acute lacune.",
                "Small acute infarct in the {where}, bright on DWI and dark on ADC.",
                "Punctate diffusion restriction in the {where} consistent with acute lacunar infarction.",
            ),
            ("The focus shows subtle high FLAIR signal.",),
            (
                "Acute lacunar infarct in the {where}.",
                "Small acute {side} {site} infarct.",
                "Acute {side} {site} lacune.",
            ),
        )
    return (
        (
            "There is an old lacunar infarct in the {where}.",
            "A {size} cavity of CSF signal in the {where} represents a mature lacune.",
            "Chronic lacunar infarct in the {where} with a thin gliotic rim.",
        ),
        ("It measures {size}.",),
        ("Old lacunar infarct in the {where}.", "Chronic {side} {site} lacunar infarct."),
    )


def multiple_sclerosis(item: Abnormality, facts: Facts) -> Choice:
    places = ", ".join(trait for trait in item.traits if trait != "enhancing")
    details = [f"The distribution is {places}.", "The largest lesion measures {size}."]
    details += ["Lesions of the corpus callosum extend at right angles to the ventricles."] * (
        "callosal" in item.traits
    )
    details += ["There are further lesions of the brain stem and cerebellar peduncles."] * (
        "infratentorial" in item.traits
    )
    if "enhancing" in item.traits and facts.acquired("T1w post contrast"):
        details.append("At least one lesion enhances, in keeping with active demyelination.")
    return (
        (
            "There are {count} ovoid white matter lesions of high T2 and FLAIR signal, in keeping with demyelination.",
            "Multiple FLAIR hyperintense white matter lesions, orientated perpendicular to the lateral ventricles.",
            "Multiple periventricular white matter lesions in keeping with demyelinating plaques.",
            "Numerous T2 bright foci of the periventricular and subcortical white matter, typical of demyelination.",
        ),
        tuple(details),
        (
            "Multiple demyelinating white matter lesions in keeping with multiple sclerosis.",
            "Appearances typical of multiple sclerosis.",
            "White matter lesions fulfilling criteria for dissemination in space, in keeping with multiple sclerosis.",
            "Demyelinating plaques, consistent with multiple sclerosis.",
        ),
    )


def small_vessel(item: Abnormality, facts: Facts) -> Choice:
    grade = {"mild": 1, "moderate": 2, "severe": 3}[item.severity or "moderate"]
    details: tuple[str, ...] = (f"Fazekas grade {grade}.",)
    if "microbleeds" in item.traits and facts.acquired("T2*", "SWI"):
        details += ("A few microbleeds are seen on the susceptibility sequence.",)
    pattern = "confluent" if "confluent" in item.traits else "patchy"
    return (
        (
            "There is {degree} periventricular and deep white matter high T2 and FLAIR signal, in keeping with "
            "chronic small vessel ischaemic change.",
            f"{{degree}} {pattern} white matter hyperintensity in both cerebral hemispheres from small vessel disease.",
            f"{pattern} periventricular FLAIR hyperintensity with caps around the frontal horns, consistent with small "
            "vessel disease.",
            "{degree} leukoaraiosis.",
        ),
        details,
        (
            "{degree} chronic small vessel disease.",
            "{degree} small vessel ischaemic change.",
            "Chronic microangiopathic change of {degree} degree (small vessel disease).",
        ),
    )


def global_atrophy(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "There is {degree} generalised cerebral volume loss with widening of the sulci and ventricles.",
            "{degree} global cerebral atrophy, greater than expected for age.",
            "The sulci and ventricles are {adverb} enlarged in keeping with generalised atrophy.",
        ),
        ("The Sylvian fissures are prominent.",),
        ("{degree} generalised cerebral atrophy.", "{degree} global volume loss (atrophy).", "Generalised atrophy."),
    )


def hippocampal(item: Abnormality, _facts: Facts) -> Choice:
    where = "of both hippocampi" if item.side == "both" else "of the {side} hippocampus"
    return (
        (
            f"There is {{degree}} atrophy {where} with enlargement of the temporal horns.",
            f"{{degree}} volume loss {where}.",
            f"Medial temporal lobe atrophy with {{degree}} loss of height {where}.",
        ),
        (f"Scheltens grade {3 if item.severity == 'moderate' else 4}.",),
        (
            f"{{degree}} atrophy {where}.",
            "Medial temporal atrophy; a neurodegenerative cause should be considered.",
        ),
    )


def foci(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "A few tiny non-specific foci of high FLAIR signal, within normal limits for age.",
            "Occasional punctate foci of T2 hyperintensity, non-specific and of doubtful significance.",
            "Scattered non-specific subcortical foci of high signal, normal for age.",
        ),
        (),
        (
            "Normal study for age.",
            "No significant intracranial abnormality.",
            "A few non-specific foci; otherwise normal appearances of the brain.",
        ),
    )


def sinus(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        ("Mucosal thickening in the {where}.", "Incidental mucosal disease of the {where}."),
        (),
        ("Normal appearances of the brain.", "Incidental sinus disease; no intracranial abnormality identified."),
    )


def perivascular(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        ("Prominent perivascular spaces in the basal ganglia, a normal variant.",),
        (),
        ("Normal study.", "Prominent perivascular spaces only; normal appearances of the brain."),
    )


def asymmetry(_item: Abnormality, _facts: Facts) -> Choice:
    return (
        (
            "The {side} lateral ventricle is slightly larger than the {other}, a normal variant.",
            "Minor developmental asymmetry of the lateral ventricles, the {side} being larger.",
        ),
        (),
        ("No intracranial abnormality identified.", "Normal variant ventricular asymmetry; normal study."),
    )
