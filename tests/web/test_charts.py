"""Charts: positions, tables and summaries."""

import re

import pytest

from funsearch.web.charts import HEIGHT, WIDTH, Series, areas, lines


def numbers(data: str) -> list[float]:
    return [float(part) for part in re.findall(r"-?\d+\.?\d*", data)]


def test_lines_stay_within_the_chart_and_higher_values_are_further_up() -> None:
    chart = lines("a", "Score", "samples", [Series("line", [(0, -1e9), (50, 0.0), (1e6, 2e9)])], marks=[10.0])
    values = numbers(chart.paths[0].data)
    assert all(0 <= x <= WIDTH for x in values[::2])
    assert all(0 <= y <= HEIGHT for y in values[1::2])
    assert values[1] > values[3] > values[5]
    assert len(chart.marks) == 1
    assert 3 <= len(chart.y_ticks) <= 8
    assert chart.y_ticks[0].label != chart.y_ticks[1].label


def test_a_missing_value_breaks_the_line() -> None:
    chart = lines("a", "Score", "samples", [Series("line", [(0, 1.0), (1, None), (2, 3.0)])])
    assert chart.paths[0].data.count("M") == 2


def test_stacked_shares_reach_the_top() -> None:
    chart = areas("a", "Shares", "samples", [Series("x", [(1, 25.0), (2, 50.0)]), Series("y", [(1, 75.0), (2, 50.0)])])
    assert min(numbers(chart.paths[1].data)[1::2]) == chart.top
    assert max(numbers(chart.paths[0].data)[1::2]) == chart.bottom


def test_empty_charts_and_single_values_can_be_drawn() -> None:
    for series in ([], [Series("line", [])], [Series("line", [(5, 2.0)])], [Series("line", [(0, None)])]):
        chart = lines("a", "Score", "samples", series)
        assert chart.summary
        assert areas("b", "Shares", "samples", series).summary


@pytest.mark.parametrize("scores", [(2.0**60, 2.0**60), (-405.52262362769267, -405.5226236276926), (0.0, 5e-324)])
def test_scores_that_differ_by_rounding_only_can_be_drawn(scores: tuple[float, float]) -> None:
    chart = lines("a", "Score", "samples", [Series("line", list(enumerate(scores)))])
    assert all(0 <= y <= HEIGHT for y in numbers(chart.paths[0].data)[1::2])


def test_table_includes_the_first_and_the_last_value() -> None:
    chart = lines("a", "Score", "samples", [Series("line", [(n, n / 7) for n in range(1000)])])
    assert chart.table[0] == ("samples", "line")
    assert chart.table[1] == ("0", "0")
    assert chart.table[-1] == ("999", "142.714")
    assert len(chart.table) == 11
    assert "142.714" in chart.summary
