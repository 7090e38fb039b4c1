"""The slice viewer's state: which series, which slice of each plane, which window, and the addresses of the next ones.

Without a script every slice is a link away; with one the same addresses are stepped through in place. Slices are cut
and windowed by the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from search_api.answers import ExaminationSummary, SeriesSummary
from web.gallery import telling_series, thumbnail

# Name, axis of a volume (X Y Z, RAS+), where the first slice lies and the last, and what is on the viewer's left and
# right in radiological convention.
PLANES = (
    ("axial", 2, "inferior", "superior", "RL"),
    ("coronal", 1, "posterior", "anterior", "RL"),
    ("sagittal", 0, "left", "right", "AP"),
)
# The API's windows; the first is shown where none is chosen: bright scalp leaves the brain little of the full range.
WINDOWS = (("soft", "Soft"), ("narrow", "Narrow"), ("full", "Full"))
STEP = 5  # slices that the fast links and the page keys go


@dataclass(frozen=True, slots=True)
class PlaneView:
    """One plane: slice `index` of `count`, its picture, and links one and five slices on."""

    name: str
    index: int
    count: int
    low: str
    high: str
    sides: str
    picture: str
    pattern: str
    back: str | None
    on: str | None
    far_back: str | None
    far_on: str | None


@dataclass(frozen=True, slots=True)
class SeriesTab:
    series: SeriesSummary
    title: str
    picture: str
    link: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class WindowTab:
    name: str
    title: str
    link: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Viewer:
    series: SeriesSummary
    title: str
    geometry: str
    tabs: tuple[SeriesTab, ...]
    windows: tuple[WindowTab, ...]
    planes: tuple[PlaneView, ...]


@dataclass(frozen=True, slots=True)
class _State:
    """What a viewer's address says; `kept` is the search state that is carried along."""

    key: str
    kept: str
    series: str
    window: str
    places: tuple[tuple[str, str], ...]

    def link(self, **changes: str) -> str:
        merged = {"series": self.series, "window": self.window, **dict(self.places), **changes}
        if merged["window"] == WINDOWS[0][0]:
            del merged["window"]
        state = urlencode(merged)
        return f"/case/{self.key}?{self.kept + '&' if self.kept else ''}{state}#viewer"


def viewer_of(
    examination: ExaminationSummary, given: Mapping[str, str], kept: str, preferred: int | None
) -> Viewer | None:
    """The viewer of a case page; `preferred` is the series that is the evidence.

    A slice or series that is not there gives the nearest that is: a shared link should show something.
    """
    by_number = {one.number: one for one in examination.series}
    asked = given.get("series", "")
    number = int(asked) if asked.isdecimal() and len(asked) < 6 else preferred
    chosen = by_number.get(number or -1) or telling_series(examination.series)
    if chosen is None:
        return None
    window = given["window"] if given.get("window") in dict(WINDOWS) else WINDOWS[0][0]
    places = {name: _place(given.get(name, ""), _count(chosen, axis)) for name, axis, *_ in PLANES}
    moved = tuple((name, str(places[name])) for name in places if name in given)
    state = _State(examination.key, kept, str(chosen.number), window, moved)
    return Viewer(
        series=chosen,
        title=title_of_series(chosen),
        geometry=geometry_of(chosen),
        tabs=tuple(_tab(one, one is chosen, state) for one in examination.series),
        windows=tuple(WindowTab(name, title, state.link(window=name), name == window) for name, title in WINDOWS),
        planes=tuple(_plane(plane, chosen, places[plane[0]], state) for plane in PLANES),
    )


def title_of_series(series: SeriesSummary) -> str:
    return series.sequence or "Unknown sequence"


def geometry_of(series: SeriesSummary) -> str:
    """Voxels and their size, for reading."""
    shape = " × ".join(str(length) for length in series.shape)
    spacing = " × ".join(f"{length:.2f}".rstrip("0").rstrip(".") for length in series.spacing)
    return f"{shape} voxels of {spacing} mm"


def _tab(series: SeriesSummary, chosen: bool, state: _State) -> SeriesTab:
    # Slice numbers belong to one series: another one opens at its middle.
    link = replace(state, places=()).link(series=str(series.number))
    return SeriesTab(series, title_of_series(series), thumbnail(state.key, series.number), link, chosen)


def _plane(plane: tuple[str, int, str, str, str], series: SeriesSummary, index: int, state: _State) -> PlaneView:
    name, axis, low, high, sides = plane
    count = _count(series, axis)
    pattern = f"/api/examinations/{state.key}/series/{series.number}/slices/{name}/{{index}}.png?window={state.window}"

    def step(by: int) -> str | None:
        place = min(max(index + by, 0), count - 1)
        return None if place == index else state.link(**{name: str(place)})

    return PlaneView(
        name=name,
        index=index,
        count=count,
        low=low,
        high=high,
        sides=sides,
        picture=pattern.format(index=index),
        pattern=pattern,
        back=step(-1),
        on=step(1),
        far_back=step(-STEP),
        far_on=step(STEP),
    )


def _count(series: SeriesSummary, axis: int) -> int:
    return max(series.shape[axis], 1) if axis < len(series.shape) else 1


def _place(text: str, count: int) -> int:
    """A slice index from a URL, the middle one where none is given."""
    if not text.isdecimal() or len(text) > 5:
        return count // 2
    return min(int(text), count - 1)
