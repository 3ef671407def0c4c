"""Reliability curves: how often models are right where they are about as sure, before and after temperature scaling."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis import evidence, points
from analysis.marks import Series, lean, legend, styled
from analysis.results import NotMeasured, Results

BINS = "test-half/bin-"
FEW = 10
"""A bin of fewer images of a model says little, and is not drawn."""
TITLES = {"raw": "Before temperature scaling", "scaled": "After temperature scaling"}


def bins(results: Results, clean: str) -> pd.DataFrame:
    """Bins of every distinct model on a clean set: model, method, subset, ``confidence``, ``accuracy``, ``n``.

    Accuracy and mean confidence are fractions of the n images of the bin.
    """
    rows = results.measurements
    rows = rows[(rows["study"] == "calibration") & (rows["image_set"] == clean) & rows["subset"].str.startswith(BINS)]
    rows = rows[rows["model"].isin(results.distinct.index) & rows["method"].isin(tuple(TITLES))]
    sides = [rows[rows["metric"] == metric] for metric in ("bin_confidence", "bin_accuracy")]
    keys = ["model", "head", "method", "subset"]
    found = sides[0][[*keys, "value"]].merge(sides[1][[*keys, "value", "n"]], on=keys, suffixes=("_x", "_y"))
    if found.empty:
        raise NotMeasured(
            "No reliability curve was measured. Make them with: python -m studies calibration --results R"
        )
    return found.rename(columns={"value_x": "confidence", "value_y": "accuracy"}).sort_values(keys, ignore_index=True)


def together(rows: pd.DataFrame) -> pd.DataFrame:
    """The same bins for all images of a ``series`` and method together: each model counts by its images."""
    summed = rows.assign(**{name: rows[name] * rows["n"] for name in ("confidence", "accuracy")})
    sums = summed.groupby(["series", "method", "subset"])[["confidence", "accuracy", "n"]].sum()
    return sums.div(sums["n"], axis=0)[["confidence", "accuracy"]].reset_index()


def curves(results: Results) -> alt.TopLevelMixin:
    """Accuracy over confidence, a panel before and one after scaling; a thick line per series, a thin one per model."""
    series = Series.of(results)
    found = bins(results, evidence.first_clean(results))
    found["series"] = found["model"].map(points.by_source(results.distinct)["series"])
    drawn = found[found["n"] >= FEW].assign(kind="model")
    whole = together(found).assign(kind="line")
    ends = [(title, end) for title in TITLES.values() for end in (0.0, 1.0)]
    even = pd.DataFrame([{"kind": "even", "panel": title, "x": end, "y": end} for title, end in ends])
    data = pd.concat([drawn, whole]).rename(columns={"confidence": "x", "accuracy": "y"})
    data = data.assign(panel=data["method"].map(TITLES), x=data["x"].round(4), y=data["y"].round(4))
    data = pd.concat(
        [data[["model", "series", "kind", "panel", "x", "y"]], *(even.assign(panel=t) for t in TITLES.values())]
    )
    return styled(_panels(data, series), series)


def _panels(data: pd.DataFrame, series: Series) -> alt.FacetChart:
    keep = alt.selection_point("keep", fields=["series"], bind="legend")
    colour, shape = legend(series)
    share = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("x:Q", title="Confidence", axis=share, scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("y:Q", title="Accuracy", axis=share, scale=alt.Scale(domain=[0, 1]))
    kind = {name: alt.Chart().transform_filter(f"datum.kind == '{name}'") for name in ("even", "model", "line")}
    told = [alt.Tooltip("model:N", title="Model"), alt.Tooltip("about:N", title="Group")]
    values = [alt.Tooltip("x:Q", title="Confidence", format=".1%"), alt.Tooltip("y:Q", title="Accuracy", format=".1%")]
    each, whole = (kind[name].transform_filter(keep) for name in ("model", "line"))
    layers = [
        kind["even"].mark_line(color="#888888", strokeDash=[3, 3], strokeWidth=1).encode(x, y),
        each.mark_line(strokeWidth=0.7, opacity=0.3, clip=True).encode(
            x, y, colour, alt.Detail("model:N"), tooltip=[*told, *values]
        ),
        whole.mark_line(strokeWidth=2.2, clip=True).encode(x, y, colour),
        whole.mark_point(filled=True, size=40, opacity=1, stroke="white", strokeWidth=0.5, clip=True).encode(
            x, y, colour, shape, tooltip=[alt.Tooltip("series:N", title="Series"), *values]
        ),
    ]
    chart = alt.layer(*layers, data=lean(data)).properties(width=330, height=300).add_params(keep)
    return chart.facet(alt.Facet("panel:N", title=None, sort=list(TITLES.values())), columns=2)
