"""Phantoms: repeatable, true to the physics of each sequence, and in agreement with their facts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.sequences import MRSequence
from training.phantoms.canvas import MASK_CLASSES
from training.phantoms.cohort import CohortError, plan_cohort, write_cohort
from training.phantoms.contrast import render
from training.phantoms.facts import FINDINGS, INCIDENTAL, Facts, FactsError, Pathology
from training.phantoms.pathology import Phantom, make_phantom
from training.phantoms.scenario import draw_facts

ROOT = Path(__file__).parent.parent
SPACING_MM = 3.0  # coarse, for speed
EIGHT = {"normal", "hydrocephalus", "infarct", "multiple sclerosis", "glioma", "meningioma", "haemorrhage", "atrophy"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@lru_cache(maxsize=32)
def phantom_of(seed: int, *pathologies: Pathology) -> Phantom:
    return make_phantom(seed, pathologies=pathologies, spacing_mm=SPACING_MM, stripped=False)


@lru_cache(maxsize=32)
def phantom_with(pathology: Pathology, stage: str | None = None, trait: str | None = None) -> Phantom:
    """The first seed whose facts have the stage and trait asked for."""
    for seed in range(200):
        item = draw_facts(seed, pathologies=(pathology,)).abnormalities[0]
        if (stage is None or item.stage == stage) and (trait is None or trait in item.traits):
            return phantom_of(seed, pathology)
    raise AssertionError(f"no {stage} {trait} {pathology} in 200 draws")


def test_the_same_seed_gives_the_same_phantom_and_the_same_series() -> None:
    first, again = (make_phantom(5, spacing_mm=SPACING_MM) for _ in range(2))
    assert torch.equal(first.fractions, again.fractions)
    assert first.facts == again.facts
    (voxels, affine), (same, placed) = (render(one, MRSequence.FLAIR, 1) for one in (first, again))
    assert np.array_equal(voxels, same)
    assert np.array_equal(affine, placed)
    assert not np.array_equal(render(first, MRSequence.FLAIR, 2)[0].ravel()[:1000], voxels.ravel()[:1000])


def test_tissue_fractions_sum_to_one() -> None:
    phantom = phantom_of(1, Pathology.HIGH_GRADE_GLIOMA, Pathology.SMALL_VESSEL_DISEASE)
    assert torch.allclose(phantom.fractions.sum(0), torch.ones(len(phantom.inside)), atol=1e-3)
    assert float(phantom.fractions.min()) >= -1e-4


def fluid_of(phantom: Phantom, *, deep: bool) -> float:
    """CSF within 30 mm of the ventricles' middle, or all of the rest."""
    places = torch.stack(torch.unravel_index(phantom.inside, phantom.shape), 1).double() * SPACING_MM
    middle = places.mean(0) + torch.tensor((0.0, 0.0, 12.0))
    near = (places - middle).norm(dim=1) < 30
    return float(phantom.fractions[phantom.tissues.index("csf")][near if deep else ~near].sum())


def test_hydrocephalus_swells_the_ventricles_and_atrophy_widens_the_sulci_too() -> None:
    def person(*pathologies: Pathology) -> Phantom:
        items = draw_facts(1, pathologies=pathologies).abnormalities
        return make_phantom(9, facts=Facts(60, "F", items), spacing_mm=SPACING_MM, stripped=False)

    normal, hydrocephalus, atrophy = person(), person(Pathology.HYDROCEPHALUS), person(Pathology.GLOBAL_ATROPHY)
    assert "effaced sulci" in hydrocephalus.facts.abnormalities[0].traits
    assert fluid_of(hydrocephalus, deep=True) > 1.5 * fluid_of(normal, deep=True)
    assert fluid_of(hydrocephalus, deep=False) < fluid_of(normal, deep=False)
    assert fluid_of(atrophy, deep=True) > 1.2 * fluid_of(normal, deep=True)
    assert fluid_of(atrophy, deep=False) > 1.2 * fluid_of(normal, deep=False)


@pytest.mark.parametrize("side", ["left", "right"])
def test_lesions_lie_on_the_side_that_the_facts_say(side: str) -> None:
    for pathology, mask in (
        (Pathology.HIGH_GRADE_GLIOMA, "tumour"),
        (Pathology.INFARCT, "infarct"),
        (Pathology.HAEMORRHAGE, "blood"),
        (Pathology.SUBDURAL, "blood"),
        (Pathology.MENINGIOMA, "tumour"),
        (Pathology.ABSCESS, "other"),
        (Pathology.VESTIBULAR_SCHWANNOMA, "tumour"),
        (Pathology.CAVERNOMA, "blood"),
        (Pathology.EXTRADURAL, "blood"),
        (Pathology.WATERSHED_INFARCT, "infarct"),
        (Pathology.NEUROGLIAL_CYST, "other"),
    ):
        seed = next(s for s in range(50) if draw_facts(s, pathologies=(pathology,)).abnormalities[0].side == side)
        phantom = phantom_of(seed, pathology)
        voxels = torch.nonzero(phantom.mask(mask)).float().mean(0)
        x = float(voxels[0]) * phantom.affine[0, 0] + phantom.affine[0, 3]
        assert (x < 0) == (side == "left"), f"{pathology} {side} at x = {x:.0f} mm"


@pytest.mark.parametrize("pathology", [item for item in Pathology if item not in INCIDENTAL], ids=str)
def test_labels_and_masks_agree_with_the_facts(pathology: Pathology) -> None:
    phantom = phantom_of(3, pathology)
    item = phantom.facts.abnormalities[0]
    assert phantom.labels["abnormal"]
    if item.finding:
        assert phantom.labels[item.finding]
    assert set(phantom.masks) <= set(MASK_CLASSES)
    shape_only = (Pathology.GLOBAL_ATROPHY, Pathology.HIPPOCAMPAL_ATROPHY)
    assert any(mask.any() for mask in phantom.masks.values()) is (pathology not in shape_only)
    if pathology not in shape_only:
        assert item.volume_ml is not None
        assert item.volume_ml > 0


@pytest.mark.parametrize("pathology", sorted(INCIDENTAL))
def test_incidental_signs_leave_an_examination_normal(pathology: Pathology) -> None:
    phantom = phantom_of(3, pathology)
    assert not any(phantom.labels.values())
    assert phantom.facts.diagnosis == "normal"
    assert not phantom.masks


def test_masks_lie_on_the_grid_of_the_phantom() -> None:
    phantom = phantom_of(3, Pathology.LOW_GRADE_GLIOMA)
    assert phantom.mask("tumour").shape == phantom.shape
    assert not phantom.mask("blood").any()
    with pytest.raises(ValueError, match="Expected one of tumour"):
        phantom.mask("tumor")


def test_stripped_phantoms_show_the_brain_alone() -> None:
    whole, stripped = (make_phantom(4, spacing_mm=SPACING_MM, stripped=cut) for cut in (False, True))
    shares = [float((render(one, MRSequence.T2W, 1)[0] > 0).mean()) for one in (whole, stripped)]
    assert shares[0] > 0.9  # noise in the air
    assert shares[1] < 0.75


def test_a_midline_shift_in_the_facts_is_in_the_brain() -> None:
    item = next(
        facts.abnormalities[0]
        for facts in (draw_facts(seed, pathologies=(Pathology.HIGH_GRADE_GLIOMA,)) for seed in range(100))
        if facts.abnormalities[0].shift_mm > 6 and facts.abnormalities[0].side == "left"
    )
    middle = {}
    for name, items in (("shifted", (item,)), ("straight", ())):
        phantom = make_phantom(8, facts=Facts(60, "M", items), spacing_mm=SPACING_MM, stripped=False)
        thalamus = phantom.fractions[phantom.tissues.index("thalamus")] > 0.5
        places = torch.unravel_index(phantom.inside[thalamus], phantom.shape)[0].double()
        middle[name] = float(places.mean()) * SPACING_MM
    assert middle["shifted"] - middle["straight"] > 2.0


def test_facts_survive_a_way_through_json() -> None:
    facts = draw_facts(5)
    assert Facts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    with pytest.raises(FactsError, match="Expected facts"):
        Facts.from_dict({"age": 3})
    with pytest.raises(FactsError, match="expected one of"):
        draw_facts(1, pathologies=("gout",))  # type: ignore[arg-type]


def test_the_draw_has_normal_and_every_finding() -> None:
    drawn = [draw_facts(seed) for seed in range(1500)]
    normal = sum(not facts.labels["abnormal"] for facts in drawn) / len(drawn)
    assert 0.4 < normal < 0.5
    for name in FINDINGS:
        assert sum(facts.labels[name] for facts in drawn) > 8, name


def test_a_planned_cohort_holds_every_diagnosis_and_second_visits() -> None:
    visits = plan_cohort(48, 3)
    assert len(visits) == 48
    assert {visit.facts.diagnosis for visit in visits} >= EIGHT
    assert sum(visit.session == "ses-2" for visit in visits) >= 2
    assert 0 < sum(not visit.reported for visit in visits) < 20
    assert all(3 <= len(visit.facts.sequences) <= 4 for visit in visits)


def test_a_cohort_is_a_bids_dataset_that_nibabel_reads(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    seen: list[tuple[int, int]] = []
    for name in ("first", "again"):
        write_cohort(
            tmp_path / name, 2, 6, spacing_mm=4.0, processes=1, progress=lambda done, total: seen.append((done, total))
        )
    assert seen == [(1, 2), (2, 2)] * 2
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    for path in files:
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path
    volumes = [path for path in files if path.name.endswith(".nii.gz")]
    assert len(volumes) >= 6
    for path in volumes:
        image = nibabel.load(tmp_path / "first" / path)
        assert image.get_data_dtype() == np.int16
        assert np.isfinite(image.get_fdata()).all()
        assert path.parts[-2] in ("anat", "dwi")
    people, reports = (
        list(csv.DictReader((tmp_path / "first" / name).read_text("utf-8").splitlines(), delimiter="\t"))
        for name in ("participants.tsv", "reports.tsv")
    )
    assert {row["participant_id"] for row in people} == {row["participant_id"] for row in reports}
    assert all(row["impression"] and row["findings"] for row in reports)
    for row in people:
        facts = Facts.from_dict(json.loads((tmp_path / "first" / row["participant_id"] / "facts.json").read_text()))
        assert facts.diagnosis == row["diagnosis"]
    assert json.loads((tmp_path / "first" / "dataset_description.json").read_text())["BIDSVersion"]


def test_a_cohort_is_not_written_over_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(CohortError, match="empty folder"):
        write_cohort(tmp_path, 2, 1)
    with pytest.raises(CohortError, match="at least one"):
        write_cohort(tmp_path / "new", 0, 1)


def test_phantoms_need_neither_nilearn_nor_nibabel() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('nilearn', 'nibabel', 'monai', 'SimpleITK', 'matplotlib')))\n"
        "from encoders.sequences import MRSequence\n"
        "from training.phantoms import make_phantom, render\n"
        "voxels, affine = render(make_phantom(0, spacing_mm=4.0), MRSequence.T1W, 0)\n"
        "sys.exit(0 if voxels.std() > 0 else 3)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def test_lesions_of_the_white_matter_are_faint_or_bright() -> None:
    most = []
    for seed in range(6):
        phantom = phantom_of(seed, Pathology.MULTIPLE_SCLEROSIS)
        most.append(float(phantom.fractions[phantom.tissues.index("plaque")].max()))
    assert max(most) - min(most) > 0.05
    assert min(most) > 0.4


def test_what_is_intracranial_is_the_brain_with_its_fluid_and_less_what_stripping_cut() -> None:
    whole, stripped = (make_phantom(4, spacing_mm=SPACING_MM, stripped=cut) for cut in (False, True))
    assert int(whole.intracranial.sum()) == len(whole.inside)
    assert 0.6 * len(whole.inside) < int(stripped.intracranial.sum()) < len(whole.inside)
    assert whole.intracranial[stripped.intracranial].all()
