"""NIfTI to Volume: what is accepted reads the same however it is stored, what is damaged gets its own code."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, inv_ornt_aff
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from encoders.volume import Volume, VolumeError, VolumeLimits, read_volume

SHAPE = (20, 24, 18)


def smooth_voxels(shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    """A lopsided blob: smooth, and different from each of its mirror images."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    blob = 900 * np.exp(-2 * ((x - 0.2) ** 2 + (y + 0.1) ** 2 + (z - 0.3) ** 2)) + 60 * x + 30 * y + 15 * z
    return np.round(blob + 110).astype(np.int16)


def affine(spacing: tuple[float, float, float] = (1.5, 1.25, 2.0)) -> NDArray[np.float64]:
    matrix = np.diag((*spacing, 1.0))
    matrix[:3, 3] = (-20.0, -31.0, 12.0)
    return matrix


def nifti(
    voxels: NDArray[np.generic] | None = None, kind: type = nib.Nifti1Image, matrix: NDArray[np.float64] | None = None
) -> bytes:
    image = kind(smooth_voxels() if voxels is None else voxels, affine() if matrix is None else matrix)
    return bytes(image.to_bytes())


def patched(offset: int, code: str, *values: float, content: bytes | None = None) -> bytes:
    changed = bytearray(nifti() if content is None else content)
    struct.pack_into(code, changed, offset, *values)
    return bytes(changed)


def flipped_bit(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0x10
    return bytes(changed)


def with_extension(size: int, room: int = 32) -> bytes:
    content = patched(108, "<f", 352.0 + room)
    return content[:348] + b"\1\0\0\0" + struct.pack("<2i", size, 6) + bytes(room - 8) + content[352:]


def bomb() -> bytes:
    return gzip.compress(nifti() + bytes(3 * 1024 * 1024), 9)


def with_spacing(factor: float) -> bytes:
    return nifti(matrix=affine() @ np.diag((factor, factor, factor, 1.0)))


def singular() -> bytes:
    """An sform whose second and third columns are the same."""
    content = bytearray(nifti())
    struct.pack_into("<12f", content, 280, 1.5, 0, 0, -20, 0, 1.2, 1.2, -31, 0, 0, 0, 12)
    return bytes(content)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut in half": (lambda: gzip.compress(nifti())[: len(gzip.compress(nifti())) // 2], "truncated"),
    "last 8 bytes missing": (lambda: gzip.compress(nifti())[:-8], "truncated"),
    "last byte missing": (lambda: gzip.compress(nifti())[:-1], "truncated"),
    "checksum wrong": (lambda: flipped_bit(gzip.compress(nifti()), -8), "checksum"),
    "length wrong": (lambda: flipped_bit(gzip.compress(nifti()), -2), "checksum"),
    "bit flipped in payload": (lambda: flipped_bit(gzip.compress(nifti(), 0), 9000), "checksum"),
    "shorter than the header says": (lambda: nifti()[:-100], "truncated"),
    "header cut": (lambda: nifti()[:200], "truncated"),
    "nothing": (lambda: b"", "empty_file"),
    "nothing, gzipped": (lambda: gzip.compress(b""), "empty_file"),
    "header only": (lambda: nifti()[:352], "no_voxels"),
    "header only, gzipped": (lambda: gzip.compress(nifti()[:352]), "no_voxels"),
    "magic": (lambda: patched(344, "4s", b"xyz\0"), "not_nifti"),  # type: ignore[arg-type]
    "negative axis": (lambda: patched(42, "<h", -20), "bad_dimensions"),
    "seven long axes": (lambda: patched(40, "<8h", 7, *[32767] * 7), "not_3d"),
    "no dimensions": (lambda: patched(40, "<h", 0), "bad_dimensions"),
    "nine dimensions": (lambda: patched(40, "<h", 9), "bad_dimensions"),
    "axis of length 0": (lambda: patched(44, "<h", 0), "bad_dimensions"),
    "offset below 0": (lambda: patched(108, "<f", -100.0), "bad_offset"),
    "offset in the header": (lambda: patched(108, "<f", 40.0), "bad_offset"),
    "offset is NaN": (lambda: patched(108, "<f", float("nan")), "bad_offset"),
    "slope infinite": (lambda: patched(112, "<f", float("inf")), "bad_scaling"),
    "intercept NaN": (lambda: patched(112, "<2f", 1.0, float("nan")), "bad_scaling"),
    "slope overflows": (lambda: patched(112, "<2f", 3e38, 0.0), "non_finite"),
    "half the voxels infinite": (
        lambda: nifti(np.where(np.arange(SHAPE[0])[:, None, None] < 10, np.inf, smooth_voxels()).astype(np.float32)),
        "non_finite",
    ),
    "one voxel NaN": (
        lambda: nifti(np.where(smooth_voxels() == smooth_voxels().max(), np.nan, 1.0).astype(np.float32)),
        "non_finite",
    ),
    "float64 beyond float32": (lambda: nifti(smooth_voxels().astype(np.float64) * 1e303), "non_finite"),
    "three frames": (lambda: nifti(np.stack([smooth_voxels()] * 3, axis=-1)), "four_d"),
    "two-dimensional": (lambda: nifti(smooth_voxels()[:, :, 0]), "not_3d"),
    "single slice": (lambda: nifti(smooth_voxels()[:, :, :1]), "not_3d"),
    "one-dimensional": (lambda: nifti(smooth_voxels()[:, 0, 0]), "not_3d"),
    "five dimensions": (lambda: nifti(np.stack([smooth_voxels()[..., None]] * 3, axis=-1)), "not_3d"),
    "few slices": (lambda: nifti(smooth_voxels()[:, :, :5]), "too_few_slices"),
    "axes in one plane": (singular, "singular_affine"),
    "affine of zeros": (lambda: patched(280, "<12f", *[0.0] * 12), "singular_affine"),
    "affine NaN": (lambda: patched(280, "<f", float("nan")), "singular_affine"),
    "affine 1e30": (
        lambda: patched(280, "<12f", *[1e30, 0, 0, 0, 0, 1e30, 0, 0, 0, 0, 1e30, 0]),
        "implausible_spacing",
    ),
    "pixdim 1e-10": (lambda: patched(80, "<3f", 1e-10, 1e-10, 1e-10), "implausible_spacing"),
    "spacing of metres": (lambda: with_spacing(1000.0), "implausible_spacing"),
    "spacing of micrometres": (lambda: with_spacing(0.001), "implausible_spacing"),
    "origin far away": (lambda: patched(292, "<f", 1e8), "implausible_spacing"),
    "bytes swapped under the header": (
        lambda: nifti()[:352] + smooth_voxels().astype(">i2").tobytes(order="F"),
        "not_brain_mri",
    ),
    "bytes swapped in a big-endian file": (
        lambda: nifti()[:352] + (smooth_voxels() * 7 + 5).astype(">i2").tobytes(order="F"),
        "not_brain_mri",
    ),
    "noise": (lambda: nifti(np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.float32)), "not_brain_mri"),
    "constant": (lambda: nifti(np.zeros(SHAPE, np.int16)), "not_brain_mri"),
    "complex": (lambda: nifti(smooth_voxels().astype(np.complex64)), "complex"),
    "colours": (lambda: patched(70, "<2h", 128, 24), "rgb"),
    "unknown datatype": (lambda: patched(70, "<h", 3), "bad_datatype"),
    "binary datatype": (lambda: patched(70, "<h", 1), "bad_datatype"),
    "extension of 2 GiB": (lambda: with_extension(2**31 - 1), "bad_extension"),
    "extension of 0 bytes": (lambda: with_extension(0), "bad_extension"),
    "extension of -16 bytes": (lambda: with_extension(-16), "bad_extension"),
    "20 MB of extensions": (lambda: patched(108, "<f", 20e6), "too_large"),
    "trailing garbage": (lambda: gzip.compress(nifti()) + b"garbage", "trailing_bytes"),
    "gzip twice": (lambda: gzip.compress(gzip.compress(nifti())), "not_nifti"),
    "axis too long": (lambda: patched(42, "<h", 2048), "too_large"),
    "too many voxels": (lambda: patched(42, "<3h", 1000, 1000, 1000), "too_large"),
    "too many bytes": (lambda: patched(40, "<5h", 4, 512, 512, 500, 900), "too_large"),
    "header of a pair": (lambda: patched(344, "4s", b"ni1\0")[:352], "pair_incomplete"),  # type: ignore[arg-type]
    "PNG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(400), "not_nifti"),
    "PDF": (lambda: b"%PDF-1.7" + bytes(400), "not_nifti"),
    "DICOM": (lambda: bytes(128) + b"DICM" + bytes(400), "not_nifti"),
    "HTML": (lambda: b"<!DOCTYPE html><html>" + b" " * 400, "not_nifti"),
    "text": (lambda: b"T1w of the head\n" * 40, "not_nifti"),
    "four bytes": (lambda: b"\x5c\x01\0\0", "truncated"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_its_code_and_no_path(case: str, tmp_path: Path) -> None:
    make, code = BAD[case]
    path = tmp_path / "private-folder" / "scan.nii.gz"
    path.parent.mkdir()
    path.write_bytes(make())
    with pytest.raises(VolumeError) as raised:
        read_volume(path)
    assert raised.value.code == code, raised.value
    assert str(raised.value).startswith("scan.nii.gz: ")
    assert raised.value.hint
    assert "private-folder" not in f"{raised.value} {raised.value.hint}"


def test_gzip_bomb_stops_at_the_cap() -> None:
    with pytest.raises(VolumeError) as raised:
        read_volume(bomb(), limits=VolumeLimits(max_inflated_bytes=1024 * 1024))
    assert raised.value.code == "too_large"


def test_declared_size_is_refused_before_memory_is_taken() -> None:
    content = gzip.compress(patched(42, "<3h", 1000, 1000, 1000))
    tracemalloc.start()
    with pytest.raises(VolumeError, match="1000"):
        read_volume(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_what_it_looks_like_is_named() -> None:
    with pytest.raises(VolumeError, match="PNG"):
        read_volume(b"\x89PNG\r\n\x1a\n" + bytes(400))


def test_a_missing_file_is_unreadable_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(VolumeError) as raised:
        read_volume(tmp_path / "absent.nii")
    assert raised.value.code == "unreadable"
    assert str(tmp_path) not in str(raised.value)


def test_file_size_limit() -> None:
    with pytest.raises(VolumeError) as raised:
        read_volume(nifti(), limits=VolumeLimits(max_file_bytes=100))
    assert raised.value.code == "too_large"


def test_control_bytes_of_a_name_are_not_repeated() -> None:
    with pytest.raises(VolumeError) as raised:
        read_volume(b"", name="scan\x1b[2J\n.nii")
    assert "\x1b" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_storage_gives_the_same_volume(dtype: str, order: str, kind: type) -> None:
    values = smooth_voxels() // 10
    header = kind.header_class(endianness=order)  # type: ignore[attr-defined]
    header.set_data_dtype(np.dtype(order + dtype))
    image = kind(values.astype(order + dtype), affine(), header)
    volume = read_volume(image.to_bytes(), name="a_T1w.nii")
    np.testing.assert_array_equal(volume.voxels, values.astype(np.float32))
    np.testing.assert_allclose(volume.affine, affine())
    assert volume.voxels.dtype == np.float32
    assert volume.voxels.flags.c_contiguous
    assert volume.sequence is MRSequence.T1W


def test_scaling_is_applied() -> None:
    volume = read_volume(patched(112, "<2f", 0.5, -3.0))
    np.testing.assert_allclose(volume.voxels, smooth_voxels() * 0.5 - 3.0)


def test_scaling_of_wide_integers_is_not_rounded_early() -> None:
    values = smooth_voxels().astype(np.int32) + 2**30
    volume = read_volume(patched(112, "<2f", 1.0, float(-(2**30)), content=nifti(values)))
    np.testing.assert_array_equal(volume.voxels, smooth_voxels())


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_no_slope_means_no_scaling(slope: float) -> None:
    np.testing.assert_array_equal(read_volume(patched(112, "<2f", slope, 7.0)).voxels, smooth_voxels())


def test_gzip_members_and_padding_are_accepted() -> None:
    content = nifti()
    members = gzip.compress(content[:1000]) + gzip.compress(content[1000:]) + bytes(512)
    np.testing.assert_array_equal(read_volume(members).voxels, smooth_voxels())


def test_the_kind_is_sniffed_not_believed(tmp_path: Path) -> None:
    (tmp_path / "plain.nii.gz").write_bytes(nifti())
    (tmp_path / "packed.nii").write_bytes(gzip.compress(nifti()))
    for name in ("plain.nii.gz", "packed.nii"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, smooth_voxels())


def test_a_pair_is_read_from_disk(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(smooth_voxels(), affine()), tmp_path / "pair.img")
    np.testing.assert_array_equal(read_volume(tmp_path / "pair.hdr").voxels, smooth_voxels())


def test_a_header_extension_is_skipped() -> None:
    np.testing.assert_array_equal(read_volume(with_extension(32)).voxels, smooth_voxels())


def test_one_frame_is_squeezed_and_others_are_chosen() -> None:
    np.testing.assert_array_equal(read_volume(nifti(smooth_voxels()[..., None])).voxels, smooth_voxels())
    frames = nifti(np.stack([smooth_voxels(), smooth_voxels() + 50], axis=-1))
    second = read_volume(frames, frame=1)
    np.testing.assert_array_equal(second.voxels, smooth_voxels() + 50)
    assert "1 of 2" in " ".join(second.notes)
    np.testing.assert_array_equal(read_volume(frames, frame="mean").voxels, smooth_voxels() + 25)
    with pytest.raises(VolumeError) as raised:
        read_volume(frames, frame=2)
    assert raised.value.code == "four_d"


def test_notes_tell_what_is_doubtful() -> None:
    assert "12 slices" in " ".join(read_volume(nifti(smooth_voxels()[:, :, :12])).notes)
    assert "bits" in " ".join(read_volume(patched(72, "<h", 32)).notes)
    unplaced = patched(252, "<2h", 0, 0)
    assert "orientation" in " ".join(read_volume(unplaced).notes)
    assert read_volume(nifti()).notes == ()


def test_own_voxels_become_the_same_volume_as_a_file() -> None:
    left_handed = affine() @ np.diag((-1.0, 1.0, 1.0, 1.0))
    made = Volume.from_voxels(smooth_voxels(), left_handed, MRSequence.T2W)
    read = read_volume(nifti(matrix=left_handed))
    np.testing.assert_array_equal(made.voxels, read.voxels)
    np.testing.assert_allclose(made.affine, read.affine, atol=1e-5)
    with pytest.raises(VolumeError, match="NaN"):
        Volume.from_voxels(np.full(SHAPE, np.nan), affine())


def test_the_stated_sequence_wins() -> None:
    assert read_volume(nifti(), name="a_T2w.nii", sequence=MRSequence.FLAIR).sequence is MRSequence.FLAIR
    assert read_volume(nifti(), name="something.nii").sequence is None


@settings(deadline=None, max_examples=48)
@given(axes=st.permutations([0, 1, 2]), flips=st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_any_orientation_of_the_same_volume_is_the_same_volume(axes: list[int], flips: tuple[int, int, int]) -> None:
    orientation = np.array(list(zip(axes, flips, strict=True)))
    turned = np.ascontiguousarray(apply_orientation(smooth_voxels(), orientation))
    volume = read_volume(nifti(turned, matrix=affine() @ inv_ornt_aff(orientation, SHAPE)))
    np.testing.assert_array_equal(volume.voxels, smooth_voxels())
    np.testing.assert_allclose(volume.affine, affine(), atol=1e-5)
    np.testing.assert_allclose(volume.spacing, (1.5, 1.25, 2.0), atol=1e-6)


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_flipped_header_bit_is_read_or_refused_but_never_crashes(position: int, bit: int) -> None:
    content = bytearray(nifti())
    content[position + 36] ^= 1 << bit
    try:
        volume = read_volume(bytes(content), limits=VolumeLimits(max_voxels=10**6))
    except VolumeError as error:
        assert error.code
    else:
        assert np.isfinite(volume.voxels).all()
