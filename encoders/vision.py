"""The 3-D network of one kind of MR sequence: network input to an embedding, findings and lesion masks.

A residual network over four levels, half resolution to a sixteenth. The mask head works at half resolution; what it
sees (how much of each class, on which side, how surely) goes into the pooled features beside those of the deep levels,
so that a small lesion is not averaged away. Training is left to `training.vision`, files to `bundle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP = 8  # channels that share a normalisation
SIDES = (2, 2, 2)  # left-right, back-front, down-up: how finely the masks' places enter the features
RARE = -3.0  # logit that the masks start from: lesions are rare
INTRACRANIAL = "intracranial"  # the mask class of all that lies inside the skull; where there is one it comes first
VENTRICLES = "ventricles"  # the mask class of dilated ventricles, which are no lesion
LESION = "lesion"  # the mask class of any lesion at all; where there is one it comes last
FAINT = 1e-4  # share of a mask below which its logarithm says nothing


class VisionConfigError(ValueError):
    """A network's configuration that cannot be used."""


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Shape of a network: channels of each level, size of the embedding, names of findings and of mask classes.

    `refined` is whether the masks are looked at once more at their own resolution; the first bundles' are not.
    """

    findings: tuple[str, ...]
    mask_classes: tuple[str, ...]
    channels: tuple[int, ...] = (16, 32, 64, 112)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    embedding_dim: int = 384
    refined: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        unknown = set(data) - set(cls.__dataclass_fields__)
        missing = {"findings", "mask_classes"} - set(data)
        if unknown or missing:
            raise VisionConfigError(
                f"Unknown settings {sorted(unknown)}, missing settings {sorted(missing)} of a network"
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**values)


class VisionOutput(NamedTuple):
    """embedding (B, dim), not normalised; logits of findings (B, F), masks (B, C, D/2, H/2, W/2); features (B, P)."""

    embedding: Tensor
    findings: Tensor
    masks: Tensor
    features: Tensor


def mask_probabilities(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """Probabilities (B, C, d, h, w) of the mask classes; a lesion counts only as far as its place is intracranial."""
    shares = torch.sigmoid(logits.float())
    if INTRACRANIAL not in classes:
        return shares
    inside = classes.index(INTRACRANIAL)
    around = shares[:, inside : inside + 1]
    return torch.cat((shares[:, :inside], around, shares[:, inside + 1 :] * around), dim=1)


def surest_by_side(probabilities: Tensor) -> Tensor:
    """Probability of the surest place of each class in the left and the right half, (B, C, 2), of (B, C, d, h, w)."""
    surest: Tensor = F.adaptive_max_pool3d(F.avg_pool3d(probabilities, 2), (SIDES[0], 1, 1)).flatten(2)
    return surest


def lesion_probability(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """How likely any lesion is at each place, (B, d, h, w): the class LESION, or the likeliest where there is none."""
    shares = mask_probabilities(logits, classes)
    rows = [row for row, name in enumerate(classes) if name not in (INTRACRANIAL, VENTRICLES)]
    return shares[:, classes.index(LESION)] if LESION in classes else shares[:, rows].amax(dim=1)


class SequenceNetwork(nn.Module):
    """Network input (B, 1, D, H, W), each side divisible by 16, to a `VisionOutput`."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        if len(config.channels) != len(config.blocks) or any(count % GROUP for count in config.channels):
            raise VisionConfigError(
                f"Expected as many blocks as levels and channels divisible by {GROUP}, "
                f"got {config.channels}, {config.blocks}"
            )
        self.config = config
        first, *_ = config.channels
        self.stem = nn.Conv3d(8, first, 3, padding=1, bias=False)
        self.levels = nn.ModuleList()
        previous = first
        for level, (count, blocks) in enumerate(zip(config.channels, config.blocks, strict=True)):
            stride = 1 if level == 0 else 2
            parts = [
                _Block(previous if index == 0 else count, count, stride if index == 0 else 1) for index in range(blocks)
            ]
            self.levels.append(nn.Sequential(*parts))
            previous = count
        self.laterals = nn.ModuleList(nn.Conv3d(count, first, 1) for count in config.channels)
        if config.refined:
            self.refine_norm = nn.GroupNorm(first // GROUP, first)
            self.refine = nn.Conv3d(first, first, 3, padding=1, bias=False)
        self.mask_norm = nn.GroupNorm(first // GROUP, first)
        self.mask_head = nn.Conv3d(first, len(config.mask_classes), 3, padding=1)
        if self.mask_head.bias is not None:
            nn.init.constant_(self.mask_head.bias, RARE)
        self.embedding_head = nn.Linear(self.feature_count, config.embedding_dim)
        self.findings_head = nn.Linear(self.feature_count, len(config.findings))

    @property
    def feature_count(self) -> int:
        """Length of the pooled features: mean and maximum of the deepest level, maximum of the one above, the masks."""
        places = SIDES[0] * SIDES[1] * SIDES[2]
        return (
            2 * self.config.channels[-1]
            + self.config.channels[-2]
            + len(self.config.mask_classes) * (places + SIDES[0])
        )

    def forward(self, voxels: Tensor) -> VisionOutput:
        levels, masks = self.look(voxels)
        features = self.pool(
            levels[-1].float(), levels[-2].float(), mask_probabilities(masks, self.config.mask_classes)
        )
        return VisionOutput(self.embedding_head(features), self.findings_head(features), masks, features)

    def look(self, voxels: Tensor) -> tuple[list[Tensor], Tensor]:
        """The feature maps of every level, and the logits of the lesion masks."""
        levels = self._levels(voxels)
        return levels, self._masks(levels)

    def _levels(self, voxels: Tensor) -> list[Tensor]:
        batch, _, depth, height, width = voxels.shape
        # Each 2 × 2 × 2 cell becomes eight channels: half the resolution without losing a voxel.
        cells = voxels.reshape(batch, depth // 2, 2, height // 2, 2, width // 2, 2).permute(0, 2, 4, 6, 1, 3, 5)
        current = cells.reshape(batch, 8, depth // 2, height // 2, width // 2)
        current = self.stem(current.contiguous(memory_format=torch.channels_last_3d))
        levels = []
        for level in self.levels:
            current = level(current)
            levels.append(current)
        return levels

    def _masks(self, levels: list[Tensor]) -> Tensor:
        """Top-down sum of all levels at the first level's resolution, then logits."""
        merged = self.laterals[-1](levels[-1])
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            merged = F.interpolate(merged, scale_factor=2.0, mode="nearest") + lateral(level)
        if self.config.refined:
            # What is bright here is a lesion only in view of what lies around it, which a sum of levels cannot say.
            merged = merged + self.refine(F.relu(self.refine_norm(merged)))
        logits: Tensor = self.mask_head(F.relu(self.mask_norm(merged)))
        return logits

    def pool(self, deep: Tensor, above: Tensor, probabilities: Tensor) -> Tensor:
        """Features (B, P) of the two deepest levels and of the masks' probabilities."""
        volumes = F.adaptive_avg_pool3d(probabilities, SIDES).flatten(1)
        surest = surest_by_side(probabilities).flatten(1)
        return torch.cat(
            (
                deep.mean(dim=(2, 3, 4)),
                deep.amax(dim=(2, 3, 4)) / 4,
                above.amax(dim=(2, 3, 4)) / 4,
                torch.log(volumes / FAINT + 1) / 4,
                surest,
            ),
            dim=1,
        )


class _Block(nn.Module):
    """Two convolutions with a shortcut; the first carries the stride."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(after // GROUP, after)
        self.second = nn.Conv3d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(after // GROUP, after)
        self.shortcut = nn.Identity() if before == after and stride == 1 else nn.Conv3d(before, after, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)), inplace=True)
        inner = self.second_norm(self.second(inner))
        skipped = self.shortcut(F.avg_pool3d(x, 2) if self.stride == 2 else x)
        return F.relu(inner + skipped, inplace=True)
