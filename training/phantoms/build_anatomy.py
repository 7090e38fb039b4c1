"""Derives the anatomy maps of the phantoms from the MNI ICBM152 2009a template that lies in nilearn's wheel.

Run `python -m training.phantoms.build_anatomy` to write data/anatomy.npz anew; nothing is downloaded. The template is
skull-stripped and covers the brain only: brain maps are measured from it, while skull, scalp, orbits, face and neck are
shells and solids placed around it, plausible to the eye and no anatomy of anyone. Runtime (`anatomy`) needs no nilearn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.head_shells import Grid, head_labels

OUTPUT = Path(__file__).parent / "data" / "anatomy.npz"
SPACING_MM = 1.5
LOW_MM, HIGH_MM = (-96.0, -129.0, -112.0), (96.0, 102.0, 98.0)  # MNI corners of the grid
LEVELS = 32  # grey levels kept of a probability map: compresses to a fifth
DISTANCE_STEP_MM = 0.5

Map = NDArray[np.float32]


def build() -> dict[str, NDArray[np.generic]]:
    """Derive all maps: uint8, and the affine that turns their voxels into MNI mm."""
    grid = Grid.covering(LOW_MM, HIGH_MM, SPACING_MM)
    t1, grey, white = _template(grid)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0.05, iterations=2))
    grey, white = _grow_cord(grid, brain, grey, white)
    csf = np.clip(brain - grey - white, 0, 1)
    depth = ndimage.distance_transform_edt(brain, sampling=SPACING_MM)
    cerebellum, stem = _hindbrain(grid, brain)
    ventricles = _ventricles(grid, csf, depth)
    inside = ndimage.distance_transform_edt(ventricles > 0.5, sampling=SPACING_MM)
    outside = ndimage.distance_transform_edt(ventricles <= 0.5, sampling=SPACING_MM)
    maps: dict[str, Map] = {"grey": grey, "white": white, "brain": brain.astype(np.float32), "ventricles": ventricles}
    maps |= {"cerebellum": cerebellum, "stem": stem} | _deep_grey(grid, t1, grey, ventricles)
    maps["hippocampus"] = _hippocampus(grid) * (grey > 0.3)
    stored: dict[str, NDArray[np.generic]] = {name: _quantise(value) for name, value in maps.items()}
    stored["ventricle_distance"] = _distance(outside - inside + 32)
    stored["depth"] = _distance(depth)
    stored["head"] = head_labels(grid, brain)
    stored["affine"] = grid.affine
    return stored


def _template(grid: Grid) -> tuple[Map, Map, Map]:
    from nilearn import datasets

    loaded = (
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
    )
    t1, grey, white = (grid.sample(np.asarray(image.dataobj, np.float32), image.affine) for image in loaded)
    return t1 / t1.max(), grey / grey.max(), white / white.max()


def _grow_cord(grid: Grid, brain: NDArray[np.bool_], grey: Map, white: Map) -> tuple[Map, Map]:
    """Carry the cord on below the template's lower edge; `brain` is grown in place."""
    x, y, z = grid.coordinates()
    radius = np.hypot(x, (y + 46 + 0.1 * (z + 66)) * 1.15)
    low = z < -68
    brain[low & (radius < 6.5)] = True
    white = np.where(low & (radius < 6.5), 0.8, white)
    return np.where(low & (radius < 6.5), 0.2, grey).astype(np.float32), white.astype(np.float32)


def _hindbrain(grid: Grid, brain: NDArray[np.bool_]) -> tuple[Map, Map]:
    """Cerebellum, below a tentorium that falls backwards and sideways; brain stem, before the fourth ventricle."""
    x, y, z = grid.coordinates()
    side = np.abs(x)
    tentorium = 1 + 0.42 * (y + 45) - 0.36 * side
    behind = y < -38 - 0.25 * np.maximum(side - 20, 0) + np.maximum(-38 - z, 0) * 0.9
    stem = (side < 17) & (y > -47) & (y < -10) & (z < -8 + (y + 30) * 0.3) & (y < -10 + (z + 10) * 0.35)
    stem |= (side < 10) & (z < -52)
    stem &= ~((side > 11) & (y < -38))
    cerebellum = behind & (z < tentorium) & (z < 4) & ~stem
    soft = [ndimage.gaussian_filter((part & brain).astype(np.float32), 0.7) for part in (cerebellum, stem)]
    return soft[0], soft[1]


def _ventricles(grid: Grid, csf: Map, depth: NDArray[np.float64]) -> Map:
    """CSF of the lateral, third and fourth ventricles: deep, and in the boxes where they lie."""
    x, y, z = grid.coordinates()
    side = np.abs(x)
    body = (side < 28) & (y > -52) & (y < 38) & (z > 2) & (z < 32) & (side < 10 + (36 - z) * 0.75)
    body &= ~((y < -38) & (side < 8)) & ~((y > 22) & (side < 3)) & ~((z > 24) & (side < 4))
    trigone = (side > 14) & (side < 40) & (y > -66) & (y < -26) & (z > -8) & (z < 26)
    temporal = (side > 22) & (side < 44) & (y > -42) & (y < -6) & (z > -24) & (z < 0)
    occipital = (side > 12) & (side < 34) & (y > -84) & (y <= -60) & (z > -6) & (z < 14)
    third = (side < 6) & (y > -34) & (y < 6) & (z > -12) & (z < 10)
    fourth = (side < 12) & (y > -56) & (y < -38) & (z > -44) & (z < -18)
    where = body | trigone | temporal | occipital | third | fourth
    soft = np.clip(csf * 1.35, 0, 1) * where * (depth > 9)
    kept, _ = ndimage.label(soft > 0.3)
    sizes = np.bincount(kept.ravel())
    big = np.isin(kept, np.flatnonzero(sizes > 120)[1:])
    return np.asarray(soft * ndimage.binary_dilation(big, iterations=1), np.float32)


def _deep_grey(grid: Grid, t1: Map, grey: Map, ventricles: Map) -> dict[str, Map]:
    """Thalamus, striatum and pallidum: ellipsoids at their MNI places, where the template's grey matter agrees."""
    x, y, z = grid.coordinates()
    side = np.abs(x)

    def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float], tilt: float = 0.0) -> Map:
        dx, dy, dz = side - centre[0], y - centre[1], z - centre[2]
        dx, dy = dx * np.cos(tilt) - dy * np.sin(tilt), dx * np.sin(tilt) + dy * np.cos(tilt)
        level = (dx / radii[0]) ** 2 + (dy / radii[1]) ** 2 + (dz / radii[2]) ** 2
        return np.asarray(1 / (1 + np.exp(np.minimum(6 * (np.sqrt(level) - 1), 40))), np.float32)

    tissue = 1 - ventricles
    agreed = np.clip(grey * 1.6, 0, 1)
    thalamus = ellipsoid((11.5, -18, 7), (9, 15, 9), -0.35) * tissue
    caudate = np.maximum(ellipsoid((13, 12, 10), (6, 12, 11)), ellipsoid((17, -8, 21), (5, 14, 6), -0.25)) * agreed
    putamen = ellipsoid((26, 3, 2), (7, 19, 12), 0.16) * agreed
    pallidum = ellipsoid((19.5, -4, 0), (5, 9, 6), 0.4) * tissue
    return {
        "thalamus": thalamus,
        "striatum": np.clip(np.maximum(caudate, putamen) * tissue - pallidum, 0, 1).astype(np.float32),
        "pallidum": pallidum * (t1 > 0.05),
    }


def _hippocampus(grid: Grid) -> Map:
    x, y, z = grid.coordinates()
    path = np.array([(22, -10, -21), (26, -15, -20), (29, -23, -15), (30, -31, -9), (26, -37, -3)], np.float32)
    nearest = np.min([np.hypot(np.hypot(np.abs(x) - px, y - py), z - pz) for px, py, pz in path], axis=0)
    return np.asarray(1 / (1 + np.exp(np.minimum(1.2 * (nearest - 6.5), 40))), np.float32)


def _quantise(value: NDArray[np.floating]) -> NDArray[np.uint8]:
    step = 255 // (LEVELS - 1)
    return np.asarray(np.round(np.clip(value, 0, 1) * (LEVELS - 1)) * step, np.uint8)


def _distance(value: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.round(value / DISTANCE_STEP_MM), 0, 255).astype(np.uint8)


def main() -> None:
    """Write the maps."""
    OUTPUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUTPUT, **build())  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
