import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ablata.reports.plots.bars import LabeledBar, bars
from ablata.reports.plots.curves import axes, band, panel
from ablata.reports.plots.drawing import Scale, element, mark, path, reach, tick_labels, ticks
from ablata.reports.plots.forest import forest
from ablata.reports.run_views import ArmCurves, CurveView, SeriesView
from ablata.reports.view import VERDICTS, ArmView, Estimate, SeedView, StudyView

SVG = "{http://www.w3.org/2000/svg}"


def numbers(image: str) -> list[float]:
    """Every coordinate of the elements of an image; fails if one is no finite number."""
    names = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height")
    found = []
    for node in ElementTree.fromstring(image).iter():
        found += [float(node.attrib[name]) for name in names if name in node.attrib]
        assert "nan" not in node.attrib.get("d", "")
        assert "inf" not in node.attrib.get("d", "")
    assert all(map(math.isfinite, found))
    return found


def words(image: str) -> str:
    return " ".join(
        part for node in ElementTree.fromstring(image).iter() for part in (node.text or "",) if part.strip()
    )


@given(st.floats(-1e15, 1e15), st.floats(1e-9, 1e15), st.integers(1, 12))
@example(450359962737049.75, 0.25, 5)
def test_ticks_are_round_rising_and_within_the_range(low: float, width: float, count: int) -> None:
    high = low + width
    found = ticks(low, high, count)
    slack = 1e-6 * (high - low) + 1e-15 * abs(low)
    assert all(low - slack <= value <= high + slack for value in found)
    assert list(found) == sorted(found)
    assert len(found) <= count + 1


@pytest.mark.parametrize(
    ("low", "high", "count", "labels"),
    [
        (-1.2, 1.3, 5, ("−1.0", "−0.5", "0", "+0.5", "+1.0")),
        (0, 41000, 5, ("0", "+10k", "+20k", "+30k", "+40k")),
        (2.1e6, 9.9e6, 4, ("+4M", "+6M", "+8M")),
        (0, 3e-5, 4, ("0", "+1e-05", "+2e-05", "+3e-05")),
        (7.0, 7.0, 4, ()),
        (math.nan, 1.0, 4, ()),
    ],
)
def test_tick_labels_have_just_the_digits_they_need(
    low: float, high: float, count: int, labels: tuple[str, ...]
) -> None:
    assert tick_labels(ticks(low, high, count), sign=True) == labels


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_a_range_is_never_empty(values: list[float]) -> None:
    finite = [value for value in values if math.isfinite(value) and abs(value) < 1e300]
    low, high = reach(finite)
    assert low < high
    assert all(low <= value <= high for value in finite)


def test_a_scale_holds_values_at_its_ends() -> None:
    scale = Scale(0.0, 2.0, 10.0, 30.0)
    assert [scale(value) for value in (-5.0, 0.0, 1.0, 2.0, 9.0)] == [10.0, 10.0, 20.0, 30.0, 30.0]
    assert Scale(1.0, 1.0, 10.0, 30.0)(1.0) == 20.0


def test_text_and_attributes_are_escaped_and_freed_of_control_characters() -> None:
    node = ElementTree.fromstring(element("text", "<b>&\x00\x1b", class_='"><script>'))
    assert node.text == "<b>&\ufffd\ufffd"
    assert node.attrib["class"] == '"><script>'


def test_a_long_path_does_not_drift() -> None:
    points = [(0.1 * place + 0.04, 3.0) for place in range(1000)]
    start, steps = path(points)[1:].split("l")
    moves = list(map(float, steps.split()))[::2]
    assert float(start.split()[0]) + sum(moves) == pytest.approx(points[-1][0], abs=0.06)


def test_every_verdict_has_a_shape_of_its_own() -> None:
    shapes = {
        ElementTree.fromstring(mark(verdict, 0, 0)).attrib.get("d") or mark(verdict, 0, 0) for verdict in VERDICTS
    }
    assert len(shapes) == len(VERDICTS)


@pytest.mark.parametrize("width", [1024.0, 336.0])
def test_the_forest_shows_every_arm_seed_and_number(example: StudyView, width: float) -> None:
    image = forest(example, width=width)
    numbers(image)
    text = words(image)
    for arm in example.treatments:
        assert arm.name in text
    assert "+1.03 [+0.70, +1.36]" in text
    dots = [
        node for node in ElementTree.fromstring(image).iter(f"{SVG}circle") if node.attrib["class"].startswith("dot")
    ]
    assert len(dots) == sum(seed.difference is not None for arm in example.treatments for seed in arm.seeds)
    assert sum(node.attrib["class"] == "dot open" for node in dots) == 5
    assert "unstable · 2 diverged" in text
    assert "seed 1 diverged" in text


def test_the_same_view_gives_the_same_bytes(example: StudyView) -> None:
    assert forest(example) == forest(replace(example))


def test_an_interval_beyond_the_axis_ends_in_an_arrow(example: StudyView) -> None:
    wild = replace(example.arms[1], effect=Estimate(value=1.0, low=-80.0, high=82.0))
    image = forest(replace(example, arms=(example.arms[0], wild)))
    arrows = [
        node for node in ElementTree.fromstring(image).iter(f"{SVG}path") if node.attrib["class"].startswith("interval")
    ]
    assert len(arrows) == 2
    assert "[−80.00, +82.00]" in words(image)


def test_for_a_loss_better_lies_on_the_left(example: StudyView) -> None:
    assert "← worse" in words(forest(example))
    assert "← better" in words(forest(replace(example, metric=replace(example.metric, higher_is_better=False))))


@pytest.mark.parametrize(
    "effect",
    [
        Estimate(value=math.nan, low=math.nan, high=math.nan),
        Estimate(value=0.0, low=0.0, high=0.0),
        Estimate(value=1e12, low=-1e12, high=math.inf),
        Estimate(value=1e-12),
    ],
)
def test_the_forest_stands_strange_numbers(example: StudyView, effect: Estimate) -> None:
    seeds = (SeedView(seed=0, state="completed", score=math.nan, difference=math.nan),)
    arm = ArmView(name="odd", effect=effect, verdict="undecided", seeds=seeds)
    for width in (1024.0, 336.0):
        numbers(forest(replace(example, arms=(example.arms[0], arm)), width=width))


def test_the_forest_of_no_arm_and_of_thirty(example: StudyView) -> None:
    numbers(forest(replace(example, arms=())))
    many = tuple(replace(example.arms[1 + place % 6], name=f"arm {place}" * 9) for place in range(30))
    numbers(forest(replace(example, arms=(example.arms[0], *many))))


def curve(*series: SeriesView) -> CurveView:
    return CurveView(name="loss", arms=(ArmCurves(arm="a", series=series),))


def test_the_band_is_mean_and_extremes_of_interpolated_seeds() -> None:
    made = band([SeriesView(seed=0, x=(0, 2, 4), y=(0, 2, 4)), SeriesView(seed=1, x=(0, 1, 4), y=(2, 2, 2))])
    assert made.x == (0, 1, 2, 4)
    assert made.mean == (1.0, 1.5, 2.0, 3.0)
    assert made.low == (0, 1, 2, 2)
    assert made.high == (2, 2, 2, 4)


@pytest.mark.parametrize(
    "lost",
    [
        SeriesView(seed=1, x=(0, 1, 2), y=(9.0, math.nan, 9.0)),
        SeriesView(seed=1, x=(0, 1), y=(9.0, 9.0), state="diverged"),
    ],
)
def test_a_diverged_run_is_not_in_the_mean_but_is_drawn_with_a_cross(lost: SeriesView) -> None:
    whole = SeriesView(seed=0, x=(0, 1, 2), y=(1.0, 1.0, 1.0))
    assert band([whole, lost]).mean == (1.0, 1.0, 1.0)
    view = curve(whole, lost)
    assert "seed 1 diverges here" in words(panel(view, view.arms[0], None, ident="c"))


def test_without_a_whole_run_the_finite_parts_are_summarised() -> None:
    assert band([SeriesView(seed=0, x=(0, 1, 2), y=(3.0, 4.0, math.inf))]).mean == (3.0, 4.0)


def test_a_loss_that_exploded_does_not_flatten_the_others() -> None:
    steps = tuple(map(float, range(100)))
    calm = tuple(SeriesView(seed=seed, x=steps, y=tuple(1.0 + 0.01 * seed for _ in steps)) for seed in range(4))
    burst = SeriesView(seed=9, x=steps, y=(*(1.0 for _ in range(99)), 1e9))
    _, (low, high) = axes(curve(*calm, burst))
    assert 0.8 < low < high < 1.3


@pytest.mark.parametrize(
    "series",
    [
        (),
        (SeriesView(seed=0, x=(), y=()),),
        (SeriesView(seed=0, x=(3.0,), y=(7.0,)),),
        (SeriesView(seed=0, x=(0, 1), y=(math.nan,) * 2),),
        (SeriesView(seed=0, x=(0, 1), y=(1e-30, 1e30)), SeriesView(seed=1, x=(5, 6), y=(0.0, 0.0))),
    ],
)
def test_curves_stand_empty_single_and_strange_values(series: tuple[SeriesView, ...]) -> None:
    view = curve(*series)
    numbers(panel(view, view.arms[0], view.arms[0], ident="c"))


def test_lines_are_thinned_and_keep_their_ends() -> None:
    long = SeriesView(seed=0, x=tuple(map(float, range(5000))), y=tuple(map(float, range(5000))))
    made = band([long], points=50)
    assert (len(made.x), made.x[0], made.x[-1]) == (50, 0.0, 4999.0)


def test_bars_are_as_long_as_their_values_and_stand_strange_ones() -> None:
    rows = [
        LabeledBar("a", 1.0, "1 s", True),
        LabeledBar("b", 2.0, "2×"),
        LabeledBar("c", None, "not measured"),
        LabeledBar("d", math.nan, "nan"),
        LabeledBar("e", -1.0, "-1"),
    ]
    image = bars("Time", rows, ident="b", unchanged=1.0)
    numbers(image)
    lengths = [float(node.attrib["width"]) for node in ElementTree.fromstring(image).iter(f"{SVG}rect")]
    assert lengths[1] == pytest.approx(2 * lengths[0])
    assert lengths[2:] == [0.0, 0.0, 0.0]
    numbers(bars("Nothing", [], ident="n"))
