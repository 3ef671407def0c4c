"""How figures are drawn: panels of scatter plots, rows of points, and one quiet style for both.

The data are rows of ``model``, ``series`` (an entry of the legend), ``x`` and, for panels, ``y``, ``low``, ``high``,
``panel`` and ``kind`` (model or line). What else a chart tells of a model it looks up in the data set `MODELS`, which
`analysis.points.facts` makes, and which all charts share. A point is hollow where the model differs from the published
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from analysis import evidence
from analysis.acceptance import DIFFERS
from analysis.display import COLOURS, GREYS, SHAPES, words
from analysis.evidence import BASELINE, ZERO_SHOT
from analysis.points import LOOKED_UP
from analysis.results import Results

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MODELS = "models"
DIFFERING = f"indexof(datum.acceptance, '{DIFFERS}') == 0"
WIDTH = 740
"""Pixels that a row of the legend may take."""
POINTS = "(datum.value > 0 ? '+' : '') + format(100 * datum.value, '.3~g')"
GROUP_COLOURS = {ZERO_SHOT: "#0072B2", "clip_ft": "#E69F00", "more_data": "#009E73", BASELINE: "#7A7A7A"}


@dataclass(frozen=True, slots=True)
class Series:
    """Names of the series in the order of the legend, with their colours and shapes."""

    names: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, results: Results, *, others: bool = True) -> Series:
        """A colour for each training source of the zero-shot models, a grey for each other group."""
        sources = sorted(set(evidence.zero_shot(results.distinct)["train_source"]))
        rest = sorted(set(results.distinct.loc[results.distinct["family"] != ZERO_SHOT, "group"])) if others else []
        colours = [COLOURS[place % len(COLOURS)] for place in range(len(sources))]
        greys = [GREYS[place % len(GREYS)] for place in range(len(rest))]
        return cls((*sources, *map(words, rest)), (*colours, *greys))

    @classmethod
    def groups(cls, results: Results) -> Series:
        """A colour for each group."""
        there = set(results.distinct["group"])
        known = [group for group in GROUP_COLOURS if group in there]
        rest = sorted(there - set(known))
        colours = [COLOURS[-1 - place % 4] for place in range(len(rest))]
        return cls(tuple(map(words, known + rest)), (*(GROUP_COLOURS[group] for group in known), *colours))

    @property
    def shapes(self) -> tuple[str, ...]:
        """A shape for each series."""
        return tuple(SHAPES[place % len(SHAPES)] for place in range(len(self.names)))


def panels(data: pd.DataFrame, axes: tuple[str, str], series: Series) -> alt.TopLevelMixin:
    """Scatter plots side by side on common axes, with lines, bands and whiskers."""
    names = list(data["panel"].unique())
    columns = 4 if len(names) % 4 == 0 else 3 if len(names) > 2 else 2
    size = {2: (375, 270), 3: (240, 195), 4: (176, 160)}[columns]
    keep = alt.selection_point("keep", fields=["series"], bind="legend")
    x = alt.X("x:Q", title=axes[0], axis=alt.Axis(format=".0%", tickCount=5), scale=_domain(data["x"]))
    # The models set the scale: a band of few lineages may be wider than the panel, and is cut off there.
    reach = data.loc[data["kind"] == "model", ["y", "low", "high"]].clip(0, 1).melt()["value"]
    y = alt.Y("y:Q", title=axes[1], axis=alt.Axis(format=".0%", tickCount=5), scale=_domain(reach))
    colour, shape = legend(series)
    base = alt.Chart().transform_filter(keep)
    fitted = base.transform_filter("datum.kind == 'line'")
    models = base.transform_filter("datum.kind == 'model'")
    layers = [
        fitted.mark_area(opacity=0.13, clip=True).encode(x, alt.Y("low:Q", title=axes[1]), alt.Y2("high:Q"), colour),
        fitted.mark_line(strokeWidth=1.8, clip=True).encode(x, y, colour),
        models.mark_rule(strokeWidth=0.8, opacity=0.45, clip=True).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        *_dots(models, (x, y, colour, shape), _tooltip(axes), size=44),
    ]
    chart = alt.layer(*layers, data=lean(data)).properties(width=size[0], height=size[1]).add_params(keep)
    panel = alt.Facet("panel:N", title=None, sort=names)
    return styled(chart.facet(panel, columns=columns), series)


def strips(data: pd.DataFrame, title: str, series: Series, *, zero: bool, step: int = 9) -> alt.TopLevelMixin:
    """A row of points per label and series, with a tick at the mean."""
    keep = alt.selection_point("keep", fields=["series"], bind="legend")
    colour, shape = legend(series)
    axis = alt.Axis(labelExpr=POINTS, tickCount=8) if zero else alt.Axis(format=".0%", tickCount=8)
    x = alt.X("x:Q", title=title, axis=axis, scale=_domain(data["x"], zero=zero))
    row = alt.Y(
        "row:N", title=None, sort=list(data["row"].unique()), axis=alt.Axis(labelLimit=220, domain=False, ticks=False)
    )
    offset = alt.YOffset(
        "series:N", sort=list(series.names), scale=alt.Scale(domain=list(series.names), paddingOuter=0.35)
    )
    base = alt.Chart().transform_filter(keep)
    layers = [
        *_dots(base, (x, row, offset, colour, shape), _tooltip((title,)), size=30),
        base.mark_tick(color="#222222", thickness=2, height=max(8, step)).encode(
            alt.X("mean(x):Q"), row, offset, alt.Detail("series:N")
        ),
    ]
    if zero:
        rule = alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(color="#888888", strokeDash=[3, 3])
        layers.insert(0, rule.encode(alt.X("zero:Q", title=title)))
    height = alt.Step(max(step * len(series.names), 24), **{"for": "position"})
    return styled(alt.layer(*layers, data=lean(data)).properties(width=640, height=height).add_params(keep), series)


def _dots(
    base: alt.Chart, channels: Sequence[alt.SchemaBase], tooltip: list[alt.Tooltip], *, size: int
) -> list[alt.Chart]:
    """The models as points: filled, and hollow where they differ from the published ones."""
    filled = base.transform_filter(f"!({DIFFERING})").mark_point(
        filled=True, size=size, opacity=0.85, stroke="white", strokeWidth=0.5
    )
    hollow = base.transform_filter(DIFFERING).mark_point(filled=False, size=size, fill="white", strokeWidth=1.6)
    return [each.encode(*channels, tooltip=tooltip) for each in (filled, hollow)]


def legend(series: Series) -> tuple[alt.Color, alt.Shape]:
    """The channels of colour and shape."""
    domain = list(series.names)
    return (
        alt.Color("series:N", title=None, scale=alt.Scale(domain=domain, range=list(series.colours))),
        alt.Shape("series:N", title=None, scale=alt.Scale(domain=domain, range=list(series.shapes))),
    )


def _tooltip(axes: tuple[str, ...]) -> list[alt.Tooltip]:
    facts = [("model", "Model"), ("about", "Group"), ("lineage", "Lineage"), ("acceptance", "Published accuracy")]
    values = [alt.Tooltip(f"{column}:Q", title=title, format=".1%") for column, title in zip("xy", axes, strict=False)]
    return [*(alt.Tooltip(f"{column}:N", title=title) for column, title in facts), *values]


def _domain(values: pd.Series, *, zero: bool = False) -> alt.Scale:
    low, high = float(values.min()), float(values.max())
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    pad = 0.06 * (high - low) or 0.01
    return alt.Scale(domain=[round(low - pad, 4), round(high + pad, 4)], nice=False, zero=False)


def lean(data: pd.DataFrame) -> alt.InlineData:
    """The rows, without their missing values."""
    rows = data.astype(object).to_dict(orient="records")
    return alt.InlineData([{str(key): value for key, value in row.items() if pd.notna(value)} for row in rows])


def _columns(series: Series) -> int:
    """Entries of the legend in a row, so that its rows are as few and as even as they can be."""
    rows = max(1, -(-sum(38 + 6 * len(name) for name in series.names) // WIDTH))
    return -(-len(series.names) // rows)


def styled(chart: alt.LayerChart | alt.FacetChart, series: Series) -> alt.TopLevelMixin:
    """The chart in our style, with the facts of its models looked up."""
    facts = alt.LookupData(data=alt.NamedData(MODELS), key="model", fields=list(LOOKED_UP))
    quiet: alt.TopLevelMixin = (
        chart.transform_lookup(lookup="model", from_=facts)
        .configure(font=FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#ECECEC", domainColor="#999999", tickColor="#999999", labelColor="#444444", titleColor="#444444",
            titleFontWeight="normal", titleFontSize=11, labelFontSize=10.5,
        )
        .configure_header(labelFontSize=12, labelFontWeight=600, labelColor="#222222", labelAnchor="start")
        .configure_legend(
            orient="top", columns=_columns(series), columnPadding=18, labelFontSize=11.5, labelLimit=260, symbolSize=70,
            symbolOpacity=1,
        )
    )  # fmt: skip
    return quiet
