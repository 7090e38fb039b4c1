"""Any NIfTI file to a `Volume`: voxels X Y Z in RAS+ order, float32, checked.

The bytes and the header's claims are checked in `nifti`, the affine's formula is nibabel's. Resampling and intensity
are left to `preprocess`. A volume is never mirrored: left and right are what the affine says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders.nifti import NiftiHeader, VolumeError, VolumeLimits, read_stored
from encoders.sequences import MRSequence, recognise_sequence

__all__ = ["Volume", "VolumeError", "VolumeLimits", "read_volume"]

SPACING_MM = (0.2, 10.0)
MAX_ORIGIN_MM = 10_000.0
MIN_SKEW = 0.05  # volume of the cell that unit voxel axes span; 1 for right angles, 0 for axes in one plane
FEW_SLICES = 16
# Neighbouring voxels of any real series agree; swapped bytes and pure noise do not. Real scans measure above 0.6.
MIN_NEIGHBOUR_CORRELATION = 0.15
SWAPPED_MARGIN = 0.03  # by which neighbours agree better once the bytes are swapped; never above 0 on real scans
NAME_LENGTH = 80
Frame = int | Literal["mean"] | None  # which volume of a 4-D file
COPY_BLOCK = 16  # planes copied at a time, so that the transposition stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels (X, Y, Z) float32, RAS+ and C-contiguous, with the affine (4, 4) from voxels to millimetres."""

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    sequence: MRSequence | None
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxels in mm along X, Y, Z."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @classmethod
    def from_voxels(
        cls, voxels: NDArray[np.generic], affine: NDArray[np.float64], sequence: MRSequence | None = None
    ) -> Volume:
        """A volume of voxels in any orientation that a program made itself; only their finiteness is checked."""
        ordered, moved = _to_ras(voxels, np.asarray(affine, np.float64), 1.0, 0.0)
        _check_finite(ordered)
        return cls(ordered, moved, sequence)


def read_volume(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str = "",
    sequence: MRSequence | None = None,
    frame: Frame = None,
    limits: VolumeLimits | None = None,
) -> Volume:
    """Read one NIfTI file, given by its path or its bytes.

    Parameters
    ----------
    name : what messages call the file, and what tells the MR sequence when `sequence` is None; the path's last part
        when empty
    frame : which volume of a 4-D file: its number from 0, or "mean"

    Raises
    ------
    VolumeError
        with `code` and `hint`; the message never holds a path
    """
    bounds = limits or VolumeLimits()
    path = None if isinstance(source, bytes) else Path(source)
    called = name or (path.name if path else "")
    shown = "".join(character for character in called if character.isprintable())[:NAME_LENGTH] or "The file"
    try:
        content = source if isinstance(source, bytes) else _content(Path(source), bounds)
        header, stored = read_stored(content, bounds)
        start = stored[: header.size].tobytes()
        if header.paired:
            stored = _pair_voxels(path, header, bounds)
        affine, notes = _affine(start, header)
        raw = np.frombuffer(stored, header.dtype, header.data_bytes // header.dtype.itemsize, header.offset)
        stored_frame = _frames(raw, header, frame)
        voxels, affine = _to_ras(stored_frame, affine, header.slope, header.intercept)
        _check_voxels(voxels, stored_frame)
    except VolumeError as error:
        raise VolumeError(error.code, f"{shown}: {error}", error.hint) from error
    notes += _notes(header, frame, voxels.shape)
    return Volume(voxels, affine, sequence or recognise_sequence(called), notes)


def _content(path: Path, limits: VolumeLimits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_file_bytes:
            raise VolumeError(
                "too_large", f"{size} bytes; allowed are {limits.max_file_bytes}.", "Send one series of usual size."
            )
        return path.read_bytes()
    except OSError as error:
        raise VolumeError(
            "unreadable", f"it cannot be read ({error.strerror}).", "Check that it exists and may be read."
        ) from None


def _pair_voxels(path: Path | None, header: NiftiHeader, limits: VolumeLimits) -> NDArray[np.uint8]:
    """The voxels of a `.hdr`/`.img` pair; only a file on disk has a neighbour to look for."""
    stem = None if path is None else path.name.removesuffix(".gz").removesuffix(".hdr")
    image = (
        None
        if path is None
        else next((p for p in (path.with_name(f"{stem}.img"), path.with_name(f"{stem}.img.gz")) if p.is_file()), None)
    )
    if image is None:
        raise VolumeError(
            "pair_incomplete", "this is the header of a pair; its .img is missing.", "Send one .nii or .nii.gz file."
        )
    content = _content(image, limits)
    if content[:2] == b"\x1f\x8b":
        raise VolumeError("pair_incomplete", "the .img of this pair is compressed.", "Send one .nii or .nii.gz file.")
    if len(content) < header.offset + header.data_bytes:
        raise VolumeError(
            "truncated",
            f"expected {header.data_bytes} bytes of voxels, found {len(content) - header.offset}.",
            "Copy the files again.",
        )
    return np.frombuffer(content, np.uint8)


def _affine(start: bytes, header: NiftiHeader) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The affine of the header (sform, else qform, else spacing alone), refused where it places no real volume."""
    nibabel = import_module("nibabel")
    kind = nibabel.Nifti1Header if header.size == 348 else nibabel.Nifti2Header
    fields = kind(start, endianness=header.endianness, check=False)
    with np.errstate(all="ignore"):
        try:
            affine = np.array(fields.get_best_affine(), np.float64)
        except (nibabel.spatialimages.HeaderDataError, ValueError) as error:
            raise VolumeError("singular_affine", "the affine cannot be computed from the header.", _CONVERT) from error
        spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        pixdim = np.abs(np.asarray(fields["pixdim"][1:4], np.float64))
        cell = (
            abs(float(np.linalg.det(affine[:3, :3] / spacing))) if np.isfinite(affine).all() and spacing.all() else 0.0
        )
    stated = pixdim[np.isfinite(pixdim) & (pixdim > 0)]
    if not np.isfinite(affine).all() or not spacing.all():
        raise VolumeError("singular_affine", "the affine is singular or not finite.", _CONVERT)
    plausible = [SPACING_MM[0] <= value <= SPACING_MM[1] for value in (*spacing, *stated)]
    if not all(plausible) or np.abs(affine[:3, 3]).max() > MAX_ORIGIN_MM:
        found = " × ".join(f"{value:.3g}" for value in spacing)
        raise VolumeError(
            "implausible_spacing",
            f"voxels of {found} mm; expected {SPACING_MM[0]:g} to {SPACING_MM[1]:g} mm.",
            _CONVERT,
        )
    if not cell >= MIN_SKEW:
        raise VolumeError("singular_affine", "the axes of the affine lie in one plane.", _CONVERT)
    placed = int(fields["sform_code"]) > 0 or int(fields["qform_code"]) > 0
    return affine, () if placed else ("The header gives no orientation; X was taken as left to right.",)


_CONVERT = "Convert the series again, with its orientation."


def parse_frame(text: str) -> Frame:
    """Which volume of a 4-D file a user means: a number from 0, `mean`, or nothing. Raises VolumeError."""
    words = text.strip().lower()
    if not words:
        return None
    if words == "mean":
        return "mean"
    if not words.isdecimal() or len(words) > 6:
        raise VolumeError("bad_frame", "Expected a volume's number from 0, or mean, as frame.", "Write 0 or mean.")
    return int(words)


def _frames(raw: NDArray[np.generic], header: NiftiHeader, frame: Frame) -> NDArray[np.generic]:
    """The one frame (X, Y, Z) that is wanted, still as stored."""
    stored = raw.reshape((*header.shape, header.frames), order="F")
    if header.frames == 1:
        return stored[..., 0]
    if frame is None:
        raise VolumeError(
            "four_d",
            f"the file holds {header.frames} volumes; one is needed.",
            f"Say which: frame 0 to {header.frames - 1}, or mean.",
        )
    if frame == "mean":
        total = np.zeros(header.shape, np.float64, order="F")
        for index in range(header.frames):
            total += stored[..., index].astype(np.float64)
        return total / header.frames
    if not 0 <= frame < header.frames:
        raise VolumeError(
            "four_d", f"frame {frame} does not exist.", f"Say which: frame 0 to {header.frames - 1}, or mean."
        )
    return stored[..., frame]


def _to_ras(
    stored: NDArray[np.generic], affine: NDArray[np.float64], slope: float, intercept: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Reorder and flip whole axes to the nearest RAS+ and convert, in one pass over the voxels."""
    orientations = import_module("nibabel.orientations")
    orientation = orientations.io_orientation(affine)
    moved: NDArray[np.generic] = orientations.apply_orientation(stored, orientation)
    voxels = np.empty(moved.shape, np.float32)
    scaled = slope != 1.0 or intercept != 0.0
    wide = scaled and (moved.dtype.itemsize > 2)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, moved.shape[0], COPY_BLOCK):
            block = slice(first, first + COPY_BLOCK)
            part = moved[block]
            if wide:
                voxels[block] = part.astype(np.float64) * slope + intercept
                continue
            voxels[block] = part
            if scaled:
                voxels[block] = voxels[block] * np.float32(slope) + np.float32(intercept)
    return voxels, np.asarray(affine @ orientations.inv_ornt_aff(orientation, stored.shape), np.float64)


def _check_voxels(voxels: NDArray[np.float32], stored: NDArray[np.generic]) -> None:
    low, high = _check_finite(voxels)
    if low == high:
        raise VolumeError("not_brain_mri", f"every voxel has the value {low:g}.", "Send a series that shows a brain.")
    correlation = _neighbour_correlation(stored)
    if correlation < MIN_NEIGHBOUR_CORRELATION:
        raise VolumeError(
            "not_brain_mri", f"the voxels are noise (neighbours correlate {correlation:.2f}).", _BYTE_ORDER
        )
    if stored.dtype.kind in "iu" and stored.dtype.itemsize > 1:
        swapped = _neighbour_correlation(stored, swap=True)
        if swapped > correlation + SWAPPED_MARGIN:
            raise VolumeError("not_brain_mri", "the voxels look as if their bytes were swapped.", _BYTE_ORDER)


def _check_finite(voxels: NDArray[np.float32]) -> tuple[float, float]:
    """Lowest and highest value."""
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = voxels.size - int(np.isfinite(voxels).sum())
        raise VolumeError(
            "non_finite", f"{wrong} of {voxels.size} voxels are NaN or infinite.", "Export the series again."
        )
    return low, high


_BYTE_ORDER = "Check the byte order, or convert the series again."


def _neighbour_correlation(stored: NDArray[np.generic], *, swap: bool = False) -> float:
    """Highest correlation of voxels with their next along an axis, in the middle of the volume.

    Values are clipped to the middle 98 % first, so that a few bright voxels do not decide.
    """
    block = stored[tuple(slice(n // 4, n // 4 + max(min(n // 2, 48), 4)) for n in stored.shape)]
    middle = (block.byteswap() if swap else block).astype(np.float64)
    low, high = np.percentile(middle, (1, 99))
    if low == high:
        return 1.0
    middle = np.clip(middle, low, high)
    middle -= middle.mean()
    products = (
        (middle[1:] * middle[:-1]).mean(),
        (middle[:, 1:] * middle[:, :-1]).mean(),
        (middle[:, :, 1:] * middle[:, :, :-1]).mean(),
    )
    return float(max(products) / max(float(middle.var()), 1e-30))


def _notes(header: NiftiHeader, frame: Frame, shape: tuple[int, ...]) -> tuple[str, ...]:
    notes: list[str] = []
    if header.frames > 1:
        notes.append(
            f"The mean of {header.frames} volumes was used."
            if frame == "mean"
            else f"Volume {frame} of {header.frames} was used."
        )
    if min(shape) < FEW_SLICES:
        notes.append(f"Only {min(shape)} slices on one axis.")
    if not header.bitpix_agrees:
        notes.append("The header's bits per voxel disagree with its data type; the data type was used.")
    return tuple(notes)
