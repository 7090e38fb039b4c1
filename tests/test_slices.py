"""Slices: the right way round, with square pixels, windowed, and kept within a number of bytes."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from encoders.volume import Volume
from search_api.slices import BoundedCache, Picture, Plane, SliceMissing, Window, draw, make_picture


def volume(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    """A grey box with one bright block: right, anterior, superior."""
    voxels = np.zeros((40, 60, 50), np.float32)
    voxels[4:36, 4:56, 4:46] = 400.0
    voxels[28:34, 46:54, 36:44] = 1000.0
    return Volume(voxels, np.diag((*spacing, 1.0)), None)


def drawn(picture: Picture, plane: Plane, number: int | None, width: int | None = None) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(draw(picture, plane, number, Window.FULL, width))))


def brightest(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Where the bright block lies: share of the height from the top, share of the width from the left."""
    rows, columns = np.nonzero(pixels > 220)
    return float(rows.mean() / pixels.shape[0]), float(columns.mean() / pixels.shape[1])


def test_the_patients_right_is_on_the_viewers_left() -> None:
    picture = make_picture(volume())
    down, across = brightest(drawn(picture, Plane.AXIAL, 40))
    assert down < 0.3, "anterior is up"
    assert across < 0.3, "right is on the viewer's left"
    down, across = brightest(drawn(picture, Plane.CORONAL, 50))
    assert down < 0.3, "superior is up"
    assert across < 0.3, "right is on the viewer's left"
    down, across = brightest(drawn(picture, Plane.SAGITTAL, 30))
    assert down < 0.3, "superior is up"
    assert across < 0.3, "anterior is on the viewer's left"


def test_slices_are_counted_from_left_posterior_and_inferior() -> None:
    picture = make_picture(volume())
    for plane, inside, outside in ((Plane.SAGITTAL, 30, 10), (Plane.CORONAL, 50, 10), (Plane.AXIAL, 40, 10)):
        assert (drawn(picture, plane, inside) > 220).any()
        assert not (drawn(picture, plane, outside) > 220).any()


def test_pixels_are_square_whatever_the_voxels() -> None:
    picture = make_picture(volume((1.0, 1.0, 3.0)))
    assert drawn(picture, Plane.AXIAL, 20).shape == (60, 40)
    assert drawn(picture, Plane.CORONAL, 20).shape == (150, 40)
    assert drawn(picture, Plane.SAGITTAL, 20).shape == (150, 60)
    assert drawn(picture, Plane.SAGITTAL, 20, width=120).shape == (300, 120)
    assert max(drawn(picture, Plane.CORONAL, 20, width=1024).shape) == 1024


def test_windows_differ_and_spread_the_tissue() -> None:
    generator = np.random.default_rng(3)
    noisy = volume().voxels + generator.normal(0, 40, volume().voxels.shape).astype(np.float32)
    picture = make_picture(Volume(noisy, np.eye(4), None))
    deviations = [
        float(np.asarray(Image.open(io.BytesIO(draw(picture, Plane.AXIAL, 20, window))))[10:-10, 10:-10].std())
        for window in (Window.FULL, Window.SOFT, Window.NARROW)
    ]
    assert deviations == sorted(deviations)
    assert deviations[2] > 2 * deviations[0]


def test_a_slice_that_is_not_there_is_refused() -> None:
    picture = make_picture(volume())
    for number in (-1, 50, 10**9):
        with pytest.raises(SliceMissing, match="0 to 49"):
            draw(picture, Plane.AXIAL, number, Window.FULL)


def test_the_key_slice_is_the_middle_of_what_is_bright() -> None:
    middles = make_picture(volume()).key_slices
    assert all(abs(found - wanted) <= 4 for found, wanted in zip(middles, (20, 30, 25), strict=True))
    assert drawn(make_picture(volume()), Plane.AXIAL, None).max() > 0


@pytest.mark.parametrize("value", [0.0, -5.0, 7.0])
def test_a_flat_volume_gives_a_picture(value: float) -> None:
    flat = Volume(np.full((12, 12, 12), value, np.float32), np.eye(4), None)
    assert drawn(make_picture(flat), Plane.AXIAL, None).shape == (32, 32)


@dataclass(frozen=True, slots=True)
class Kept:
    size_bytes: int


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = BoundedCache[Kept](100)
    made: list[str] = []

    def asked(key: str, size: int) -> None:
        def make() -> Kept:
            made.append(key)
            return Kept(size)

        cache.get(key, make)

    asked("a", 40), asked("b", 40), asked("a", 40), asked("c", 40), asked("a", 40), asked("b", 40)
    assert made == ["a", "b", "c", "b"]
    asked("huge", 1_000), asked("huge", 1_000)
    assert made[-2:] == ["huge", "huge"]
    assert cache.size_bytes <= 100


def test_several_threads_make_a_thing_once_and_share_its_failure() -> None:
    cache = BoundedCache[Kept](100)
    entered, release, made = threading.Event(), threading.Event(), []

    def make() -> Kept:
        made.append(1)
        entered.set()
        assert release.wait(10)
        if len(made) == 1:
            raise OSError("gone")
        return Kept(1)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, "k", make)
        assert entered.wait(10)
        others = [pool.submit(cache.get, "k", make) for _ in range(3)]
        release.set()
        failures = [isinstance(one.exception(), OSError) for one in (first, *others)]
    assert failures[0]
    assert cache.get("k", make) == Kept(1)
    assert len(made) <= 1 + failures.count(False) + 1
