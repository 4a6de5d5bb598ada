"""What was measured: kept beside what others found, and drawn between two marks of the page."""

from benchmarks.__main__ import kept
from benchmarks.plots import MARKS, PAGE, plots, replaced

STEP = "edit step {} px, N = {}, region {}%, per picture"
VALUES = {
    STEP.format(64, 1, 10): 0.5,
    STEP.format(128, 1, 10): 1.0,
    STEP.format(256, 1, 10): 2.0,
    STEP.format(128, 4, 10): 0.75,
    STEP.format(128, 1, 90): 1.5,
    STEP.format(128, 1, 90) + ", processor": 9.0,
    "leg claim": 3.0,
    "leg claim: database round trips": 5.0,
}


def test_a_step_is_drawn_by_resolution_by_n_and_by_region_and_apply_by_leg() -> None:
    by_size, by_items, by_region, legs = plots(VALUES).split("\n\n")
    assert 'x-axis ["64 px", "128 px", "256 px"]' in by_size
    assert 'y-axis "seconds" 0 --> 2.2' in by_size
    assert "bar [0.5, 1, 2]" in by_size
    assert "bar [1, 0.75]" in by_items
    assert 'x-axis ["10 %", "90 %"]' in by_region
    assert 'x-axis ["claim"]' in legs
    assert plots({}) == ""


def test_the_page_has_a_place_for_them_and_keeps_the_rest() -> None:
    page = PAGE.read_text()
    drawn = replaced(page, "between\n")
    assert "between\n" in drawn
    before, after = page.index(MARKS[0]), page.index(MARKS[1])
    assert drawn.startswith(page[:before])
    assert drawn.endswith(page[after:])
    assert replaced(drawn, page[before + len(MARKS[0]) : after]) == page


def test_figures_of_some_benchmarks_leave_those_of_the_others() -> None:
    last = [{"name": "a", "value": 1.0}, {"name": "b", "value": 2.0}]
    assert kept(last, [{"name": "b", "value": 3.0}]) == [last[0], {"name": "b", "value": 3.0}]
