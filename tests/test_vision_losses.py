"""What the sequence networks are trained by: masks, contrast, and the variations of what they see."""

from __future__ import annotations

import torch

from encoders.vision import lesion_probability, mask_probabilities
from training.vision_losses import augment, contrastive_loss, mask_targets, masks_loss


def test_mask_loss_prefers_the_truth() -> None:
    labels = torch.zeros(2, 8, 8, 8, dtype=torch.uint8)
    labels[0, 2:5, 2:5, 2:5] = 2
    classes = ("infarct", "blood", "tumour")
    right = torch.full((2, 3, 8, 8, 8), -6.0)
    right[0, 1, 2:5, 2:5, 2:5] = 6.0
    missed, wrong = torch.full_like(right, -6.0), right.roll(1, 1)
    assert masks_loss(right, labels, classes) < 0.2 * masks_loss(missed, labels, classes)
    assert masks_loss(right, labels, classes) < 0.2 * masks_loss(wrong, labels, classes)


def test_what_is_intracranial_and_what_is_a_lesion_follows_from_the_labels() -> None:
    labels = torch.tensor([0, 1, 2, 3]).view(1, 4, 1, 1)  # nothing, healthy, dilated ventricle, infarct
    targets = mask_targets(labels, ("intracranial", "ventricles", "infarct", "lesion"))[0, :, :, 0, 0]
    assert targets.tolist() == [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_a_lesion_outside_of_the_skull_does_not_count() -> None:
    logits = torch.tensor([[-9.0, 9.0], [9.0, 9.0]]).view(1, 2, 2, 1, 1)
    outside, inside = mask_probabilities(logits, ("intracranial", "lesion"))[0, 1, :, 0, 0].tolist()
    assert outside < 0.01 < 0.99 < inside
    assert mask_probabilities(logits, ("infarct", "lesion"))[0, 1].min() > 0.99
    assert lesion_probability(logits, ("intracranial", "lesion"))[0, :, 0, 0].tolist() == [outside, inside]
    assert lesion_probability(logits, ("ventricles", "infarct"))[0].min() > 0.99


def test_the_contrast_is_with_reports_that_state_something_else() -> None:
    scans = torch.eye(3)[:2]
    right = contrastive_loss(scans, scans, torch.eye(3)[2:], torch.zeros(2, 1, dtype=torch.bool))
    wrong = contrastive_loss(scans, torch.eye(3)[1:], torch.eye(3)[:1], torch.zeros(2, 1, dtype=torch.bool))
    alike = contrastive_loss(scans[:1], scans[:1], scans[:1], torch.ones(1, 1, dtype=torch.bool))
    assert right < 0.01 < wrong
    assert alike < 1e-6  # its own report by another name is no negative


def test_augmentation_strips_what_is_not_intracranial() -> None:
    voxels = torch.ones(2, 1, 32, 32, 32)
    labels = torch.zeros(2, 16, 16, 16, dtype=torch.uint8)
    labels[0, 4:12, 4:12, 4:12] = 1
    stripped, moved = augment(voxels, labels, torch.Generator().manual_seed(3), strip_share=1.0)
    inside = torch.nn.functional.interpolate((moved > 0)[:, None].float(), scale_factor=2)
    assert stripped[0][inside[0] == 0].max() == 0
    assert (stripped[0][inside[0] > 0] > 0.3).float().mean() > 0.9  # all but the corners
    assert stripped[1].min() > 0.3  # nothing is known of its masks


def test_augmentation_moves_lesions_with_voxels_and_keeps_sides() -> None:
    voxels = torch.ones(4, 1, 32, 32, 32)
    labels = torch.zeros(4, 16, 16, 16, dtype=torch.uint8)
    voxels[:, :, 20:28, 12:20, 18:26] = 2.5
    labels[:, 10:14, 6:10, 9:13] = 1
    moved, moved_labels = augment(voxels, labels, torch.Generator().manual_seed(4))
    for volume, mask in zip(moved, moved_labels, strict=True):
        lesion = mask.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2) == 1
        assert volume[0][lesion].mean() > volume[0][~lesion].mean() + 0.5
        assert torch.nonzero(lesion)[:, 0].float().mean() > 16
