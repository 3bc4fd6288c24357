"""The small plot of a finding: the right curve, its input marked, and none where none shows it."""

import math
import re
from typing import Any

import pytest

from bce_conformance.reports.figures.spark import HEIGHT, WIDTH, Spark, called, spark
from bce_conformance.reports.findings import distinct
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]
LINE = "bce-conformance explain torch"


def _plot(document: Document, explain: str) -> Spark | None:
    document["defects"][0]["explain"] = explain
    results = from_document(document)
    finding, group = next(one for one in distinct(results) if one[0].defect)
    return spark(results, finding, group)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"{LINE} --logit=20 --target=1", (20.0, 1.0, "float32", "loss", "1")),
        (
            f"{LINE} --logit=-0x1.8p+4 --target=0x1p-1 --dtype=float16 --quantity=grad_logits",
            (-24.0, 0.5, "float16", "grad_logits", "soft"),
        ),
        (f"{LINE} --logit=20 --target=1 --pos-weight=3", None),
        (f"{LINE} --logits='[1, 2]' --target=1 --quantity=loss", None),
        (f"{LINE} --logit=20 --quantity=loss", None),
        (f"{LINE} --logit=zwanzig --target=1", None),
        (f"{LINE} --logit=20 --target='1", None),
        ("bce-conformance reproduce VAL-1/torch/cpu/float32", None),
        ("", None),
    ],
)
def test_an_explain_line_is_read(line: str, found: tuple[Any, ...] | None) -> None:
    call = called(line)
    told = call and (call.logit, call.target, call.dtype, call.quantity, call.curve)
    assert told == found


def test_the_curve_is_drawn_and_its_input_marked(known: Document) -> None:
    plot = _plot(known, f"{LINE} --logit=20 --target=0 --quantity=grad_logits")
    assert plot is not None
    assert plot.title == "Error of torch: gradient, float32, y = 0"
    (line,) = plot.lines
    points = [tuple(map(float, point.split(","))) for point in line.split(" ")]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert [x for x, _ in points] == sorted({x for x, _ in points})
    wanted = {"backend": "torch", "dtype": "float32", "quantity": "grad_logits", "target": "0"}
    (curve,) = (c for c in known["curves"] if wanted.items() <= c.items())
    worst = max(ulp for x, ulp in curve["points"] if abs(x) <= 1000)
    assert plot.words.startswith(f"Largest {worst:.3g} ULP".replace("-", "−"))
    assert "Circle: about" in plot.words
    place, height = plot.mark
    assert place == pytest.approx((1 + math.log10(2001) / math.log10(100_001)) / 2 * WIDTH, abs=0.1)
    nearest = min(points, key=lambda point: abs(point[0] - place))
    assert height <= nearest[1] + 0.1
    # 4 ULP stands higher than 1 ULP, and both are below what is wrong.
    assert HEIGHT > plot.bounds[0] > plot.bounds[1] > height


def test_the_bounds_of_levels_lie_where_errors_of_their_size_do(known: Document) -> None:
    for curve in known["curves"]:
        if curve["backend"] == "torch":
            curve["points"] = [[0.0, 1.0], [20.0, 2.5]]
    plot = _plot(known, f"{LINE} --logit=20 --target=0 --quantity=grad_logits")
    assert plot is not None
    one, four = plot.bounds
    assert f"140,{one:g}" in plot.lines[0]
    tall = [math.log10(1 + ulp / 0.1) for ulp in (1, 2.5, 4, 8)]
    for height, size in zip((one, plot.mark[1], four), tall, strict=False):
        assert height == pytest.approx(HEIGHT - size / tall[-1] * (HEIGHT - 8), abs=0.06)


@pytest.mark.parametrize(
    "explain",
    [
        f"{LINE} --logit=20 --target=1 --weight=2",
        f"{LINE} --logit=1e5 --target=1",
        f"{LINE} --logit=inf --target=1",
        f"{LINE} --logit=nan --target=1",
        f"{LINE} --logit=20 --target=1 --quantity=hvp_logits",
        f"{LINE} --logit=20 --target=1 --quantity=grad_logits",  # it is right there
        "",
    ],
)
def test_there_is_no_plot_where_no_curve_shows_it(explain: str, known: Document) -> None:
    assert _plot(known, explain) is None


def test_an_infinite_error_is_marked_where_it_is(known: Document) -> None:
    line = f"{LINE} --logit=20 --target=0 --quantity=grad_logits"
    for curve in known["curves"]:
        if curve["backend"] == "torch":
            curve["points"] = [[x, "inf" if x > 10 else ulp] for x, ulp in curve["points"]]
    plot = _plot(known, line)
    assert plot is not None
    assert plot.infinite
    assert all(place > WIDTH / 2 for place in plot.infinite)
    assert "infinitely wrong near x = 20" in plot.words


def test_the_page_has_it_with_words_and_its_link_leads_to_the_curve(
    browser: Reader, known: Document
) -> None:
    defect = known["defects"][0]
    defect["explain"] = f"{LINE} --logit=20 --target=0 --quantity=grad_logits"
    tab = browser.page(render(from_document(known)), f"#finding/{defect['id']}")
    figure = tab.locator(f"[id='finding/{defect['id']}'] figure")
    label = str(figure.locator("svg").get_attribute("aria-label"))
    assert re.match(
        r"Error of torch: gradient, float32, y = 0, over logits .* near x = 20\.", label
    )
    assert "Largest" in figure.inner_text()
    figure.get_by_role("link").click()
    act(tab, "await drawn()")
    chosen = "all('#curves .segments input:checked').map((input) => input.value)"
    assert act(tab, f"return {chosen}")[:3] == ["grad_logits", "0", "float32"]
    assert tab.locator("details.finding[open] .line button").count() == 2
    assert browser.console == []
