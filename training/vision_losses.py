"""What the sequence networks are trained by: lesion masks first, findings beside them, then texts.

Supervising the masks is what makes phantoms carry over to real scans; the rest leans on it. Examples come from
`vision_examples`, the loop is `training.vision`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.vision import INTRACRANIAL, LESION, VENTRICLES

EMPTY_WEIGHT = 8.0  # of the mean over all voxels, nearly all of which are empty and soon easy
LESION_WEIGHT = 0.5  # of the mean over lesion voxels alone: without it, predicting nothing is a trap
JOINT_LESION_WEIGHT = 0.1  # the same while texts are learned besides, which did better with less
POSITIVE_WEIGHT = 3.0  # most findings are present in a tenth of the examples
SMOOTH = 8.0  # voxels
TEMPERATURE = 0.1  # of the contrastive term
SHADING, SHADING_KNOTS = 0.25, (3, 3, 3)  # SD of the logarithm at the most, and how quickly it varies


def mask_loss(logits: Tensor, target: Tensor, lesion_weight: float = LESION_WEIGHT) -> Tensor:
    """Cross-entropy of empty and of filled voxels, weighed apart, and overlap of each class that is there.

    Parameters
    ----------
    logits : (B, C, d, h, w)
    target : (B, C, d, h, w) 0 or 1
    """
    logits = logits.float()
    voxels = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    of_lesions = (voxels * target).sum(dim=(0, 2, 3, 4)) / target.sum(dim=(0, 2, 3, 4)).clamp(min=SMOOTH)
    of_empty = (voxels * (1 - target)).mean()
    classes_there = (target.amax(dim=(0, 2, 3, 4)) > 0).sum().clamp(min=1)
    shares = torch.sigmoid(logits)
    overlap = (shares * target).sum(dim=(2, 3, 4))
    total = shares.sum(dim=(2, 3, 4)) + target.sum(dim=(2, 3, 4))
    there = target.amax(dim=(2, 3, 4))
    dice = 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)
    overlap_term = (dice * there).sum() / there.sum().clamp(min=1)
    return EMPTY_WEIGHT * of_empty + lesion_weight * of_lesions.sum() / classes_there + overlap_term


def mask_targets(labels: Tensor, classes: Sequence[str]) -> Tensor:
    """What each mask should be, (B, C, d, h, w) of 0 and 1, for labels (B, d, h, w): 0 for none, else 1 + class."""
    healthy = [0, *(number for number, name in enumerate(classes, 1) if name in (INTRACRANIAL, VENTRICLES))]
    targets = []
    for number, name in enumerate(classes, 1):
        if name == INTRACRANIAL:
            targets.append(labels > 0)
        elif name == LESION:
            targets.append(~torch.isin(labels, torch.tensor(healthy).to(labels)))
        else:
            targets.append(labels == number)
    return torch.stack(targets, 1).float()


def masks_loss(logits: Tensor, labels: Tensor, classes: Sequence[str], lesion_weight: float = LESION_WEIGHT) -> Tensor:
    """`mask_loss` of the classes, and as much again of INTRACRANIAL and of LESION where these are among them.

    What is bright may be oedema, an infarct or a tumour; that it is no healthy brain is the easier thing to learn.
    """
    target = mask_targets(labels, classes)
    apart = [row for row, name in enumerate(classes) if name in (INTRACRANIAL, LESION)]
    groups = [[row] for row in apart]
    groups.append([row for row in range(len(classes)) if row not in apart])
    return torch.stack([mask_loss(logits[:, rows], target[:, rows], lesion_weight) for rows in groups]).sum()


def findings_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of findings (B, F); the rare positives weigh more."""
    weight = torch.full((logits.shape[1],), POSITIVE_WEIGHT, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), present, pos_weight=weight)


def text_loss(embeddings: Tensor, reports: Tensor, sentences: Tensor, sentence_share: float) -> Tensor:
    """Squared distance (B, D) to the report's centred vector, and a share of it to that of one sentence of it."""
    to_report = (embeddings.float() - reports).square().sum(dim=1).mean()
    to_sentence = (embeddings.float() - sentences).square().sum(dim=1).mean()
    return (1 - sentence_share) * to_report + sentence_share * to_sentence


def contrastive_loss(embeddings: Tensor, own: Tensor, others: Tensor, alike: Tensor) -> Tensor:
    """Cross-entropy of a scan's own report among reports of other phantoms (InfoNCE, van den Oord et al. 2018).

    Parameters
    ----------
    embeddings, own : (B, D)
    others : (M, D) vectors of other reports
    alike : (B, M) True where the other report states the same findings and so is no negative
    """
    scans = F.normalize(embeddings.float(), dim=1)
    right = (scans * F.normalize(own, dim=1)).sum(dim=1, keepdim=True)
    wrong = (scans @ F.normalize(others, dim=1).T).masked_fill(alike, -1e4)
    logits = torch.cat((right, wrong), dim=1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def augment(
    voxels: Tensor, labels: Tensor, generator: torch.Generator, strip_share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Vary contrast, brightness, shading, noise, place and field of view; never left against right.

    Parameters
    ----------
    voxels : (B, 1, D, H, W) 0 to 3, median of the brain 1
    labels : (B, d, h, w) at half resolution
    strip_share : how many lose all that has no label, which is to say all that is not intracranial
    """
    batch = len(voxels)

    def draw(low: float, high: float) -> Tensor:
        drawn = low + (high - low) * torch.rand(batch, generator=generator)
        return drawn.view(-1, 1, 1, 1, 1).to(voxels.device)

    knots = torch.randn((batch, 1, *SHADING_KNOTS), generator=generator).to(voxels.device) * draw(0, SHADING)
    shading = F.interpolate(knots, size=voxels.shape[2:], mode="trilinear", align_corners=True).exp()
    voxels = voxels.clamp(min=1e-4).pow(draw(0.75, 1.3)) * draw(0.9, 1.12) * shading
    noise = torch.randn(voxels.shape, generator=generator).to(voxels.device)
    voxels = (voxels + noise * draw(-0.06, 0.06).clamp(min=0)).clamp(0, 3)
    moved, moved_labels = [], []
    for index in range(batch):
        shift = torch.randint(-2, 3, (3,), generator=generator).tolist()
        volume = torch.roll(voxels[index, 0], [2 * step for step in shift], (0, 1, 2))
        mask = torch.roll(labels[index], shift, (0, 1, 2))
        if float(torch.rand(1, generator=generator)) < 0.1:
            cut = int(torch.randint(4, 14, (1,), generator=generator))
            volume[:, :, : 2 * cut] = 0
            mask[:, :, :cut] = 0
        if strip_share and bool(mask.any()) and float(torch.rand(1, generator=generator)) < strip_share:
            volume = _stripped(volume, mask > 0)
        moved.append(volume)
        moved_labels.append(mask)
    return torch.stack(moved)[:, None], torch.stack(moved_labels)


def _stripped(volume: Tensor, inside: Tensor) -> Tensor:
    """A volume (D, H, W) with nothing left outside of a mask (d, h, w)."""
    fine = F.interpolate(inside[None, None].float(), size=volume.shape, mode="trilinear", align_corners=False)
    return volume * (fine[0, 0] > 0.5)
