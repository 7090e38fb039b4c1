"""What every tissue is to a scanner: relaxation times, proton density, diffusion, uptake of contrast; at 1.5 T.

Rounded from the ranges that textbooks and reviews give; `contrast` varies them from phantom to phantom, so that the
middle of a range matters less than the order of the tissues. Times in ms, diffusion in 1e-3 mm2/s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tissue:
    """T1, T2, T2* (ms), proton density (water 1), apparent diffusion (1e-3 mm2/s), contrast uptake (0 to about 1)."""

    t1: float
    t2: float
    t2_star: float
    density: float
    diffusion: float
    uptake: float = 0.0


TISSUES: dict[str, Tissue] = {
    # Healthy brain
    "csf": Tissue(4000, 1600, 900, 1.0, 3.0),
    "grey": Tissue(1120, 98, 66, 0.83, 0.84, 0.03),
    "white": Tissue(650, 76, 58, 0.70, 0.74, 0.02),
    "thalamus": Tissue(900, 86, 54, 0.78, 0.80, 0.03),
    "striatum": Tissue(1010, 88, 50, 0.80, 0.78, 0.03),
    "pallidum": Tissue(790, 66, 30, 0.75, 0.80, 0.03),
    "stem": Tissue(740, 80, 56, 0.73, 0.76, 0.02),
    "gland": Tissue(900, 88, 60, 0.82, 0.9, 0.6),
    "vein": Tissue(1600, 45, 9, 0.85, 1.6, 1.1),
    "artery": Tissue(1600, 25, 22, 0.50, 1.8, 1.0),
    "choroid": Tissue(1200, 150, 60, 0.86, 1.5, 0.55),
    # Lesions
    "plaque": Tissue(1150, 150, 105, 0.86, 1.05),
    "active_plaque": Tissue(1300, 180, 115, 0.88, 1.0, 0.35),
    "white_matter_hyperintensity": Tissue(980, 135, 92, 0.82, 1.05),
    "transependymal": Tissue(1150, 165, 110, 0.87, 1.3),
    "oedema": Tissue(1250, 165, 110, 0.88, 1.4),
    "gliosis": Tissue(1150, 155, 100, 0.86, 1.25),
    "cavity": Tissue(3850, 1300, 800, 0.99, 2.7),
    "acute_infarct": Tissue(1150, 128, 88, 0.86, 0.40),
    "enhancing_tumour": Tissue(1250, 122, 74, 0.86, 1.05, 0.42),
    "necrosis": Tissue(2300, 420, 260, 0.95, 2.1),
    "low_grade_tumour": Tissue(1550, 210, 150, 0.92, 1.4),
    "meningioma": Tissue(1080, 104, 72, 0.83, 0.82, 0.75),
    "blood_acute": Tissue(1050, 44, 9, 0.84, 0.60),
    "blood_subacute": Tissue(380, 150, 26, 0.88, 0.85),
    "haemosiderin": Tissue(950, 30, 6, 0.70, 0.7),
    "chronic_subdural": Tissue(1150, 230, 150, 0.94, 1.7),
    "subarachnoid_blood": Tissue(950, 320, 22, 0.97, 1.9),
    "pus": Tissue(1700, 260, 160, 0.95, 0.50),
    "capsule": Tissue(900, 66, 42, 0.80, 0.85, 0.6),
    "schwannoma": Tissue(1280, 150, 95, 0.90, 1.25, 0.6),
    "adenoma": Tissue(1120, 104, 70, 0.85, 0.95, 0.42),
    "cyst_fluid": Tissue(3700, 1300, 800, 0.99, 2.85),
    # Around the brain, by the labels of head_shells
    "air": Tissue(1000, 1, 0.5, 0.0, 0.0),
    "bone": Tissue(300, 8, 2, 0.10, 0.2),
    "marrow": Tissue(330, 58, 18, 0.62, 0.3, 0.05),
    "fat": Tissue(260, 84, 45, 0.95, 0.1),
    "muscle": Tissue(900, 42, 28, 0.76, 1.4, 0.2),
    "skin": Tissue(550, 45, 25, 0.70, 0.8, 0.1),
    "vitreous": Tissue(3800, 1300, 800, 1.0, 2.9),
    "lens": Tissue(900, 32, 20, 0.65, 0.9),
    "mucosa": Tissue(1150, 140, 60, 0.88, 1.6, 0.6),
    "dura": Tissue(900, 40, 20, 0.55, 0.8, 0.4),
}
