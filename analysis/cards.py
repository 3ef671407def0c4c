"""What is known of each single model: its facts, and where it stands among the others at every number of the tables.

Ranks go with how far they can be trusted: from the number of models whose 95 % interval over images lies wholly above
that of the model, and wholly below it. A model that repeats the weights of another has no rank.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.display import fact, words
from analysis.points import INTERVAL
from analysis.results import NotMeasured, Results
from analysis.tables import TABLES, heading

LOWER_IS_BETTER = frozenset({"ece15", "nll", "brier", "fpr95", "aurc"})
NEITHER_IS_BETTER = frozenset({"shape_bias"})
COLUMNS = ("table", "measure", "better", "model", "value", "low", "high", "rank", "best", "worst", "of")


def standings(results: Results) -> pd.DataFrame:
    """One row per distinct model and number of a table: the columns `COLUMNS`, in the order of the tables.

    ``value`` with its 95 % interval over images (``low``, ``high``; missing where it has no standard error); ``rank``
    among the ``of`` models that have the number, 1 being the best; ``best`` and ``worst`` are the ranks that its
    interval allows. ``better`` is higher, lower, or empty where neither is; then 1 is the highest.
    """
    parts = []
    for table in TABLES:
        for name, wanted in table.picks(results).items():
            try:
                found = results.picked(wanted)
            except NotMeasured:
                continue
            lower, neither = wanted.metric in LOWER_IS_BETTER, wanted.metric in NEITHER_IS_BETTER
            ranked = rank(found[found.index.isin(results.distinct.index)], lower=lower)
            better = "" if neither else "lower" if lower else "higher"
            parts.append(ranked.assign(table=table.name, measure=name, better=better))
    if not parts:
        raise NotMeasured("None of the numbers of the tables was measured.")
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def rank(found: pd.DataFrame, *, lower: bool) -> pd.DataFrame:
    """Rank of each model by ``value``, and the best and worst rank that the intervals allow; 1 is the best."""
    value = found["value"].to_numpy(dtype=float)
    reach = INTERVAL * found["std_error"].to_numpy(dtype=float, na_value=np.nan)
    low, high = (value - reach).clip(0, 1), (value + reach).clip(0, 1)
    sign = -1 if lower else 1
    ends = np.sort(sign * np.stack([np.where(np.isnan(reach), value, end) for end in (low, high)]), axis=0)
    above = ends[0][None, :] > ends[1][:, None]
    ranks = pd.DataFrame({"model": found.index, "value": value, "low": low, "high": high})
    ranks["rank"] = 1 + (sign * value[None, :] > sign * value[:, None]).sum(axis=1)
    return ranks.assign(best=1 + above.sum(axis=1), worst=len(value) - above.sum(axis=0), of=len(value))


def cards(results: Results) -> dict[str, object]:
    """What the page needs to draw the card of any model, each text and number once.

    ``facts`` names the facts of the grid, ``measures`` the numbers; ``models`` has, by name, the texts of the facts,
    and ``[value, low, high, rank, best, worst]`` of each number, or null.
    """
    known = results.models.drop(columns=["name"], errors="ignore")
    known = known.assign(**{name: known[name].map(words) for name in ("group", "family")})
    texts = {name: [_text(value) for value in row] for name, row in zip(known.index, known.to_numpy(), strict=True)}
    try:
        rows = standings(results)
    except NotMeasured:
        rows = pd.DataFrame(columns=list(COLUMNS))
    numbers: dict[str, list[object]] = {str(name): [] for name in known.index}
    measures = []
    titles = {table.name: table.title for table in TABLES}
    for (table, measure, better), each in rows.groupby(["table", "measure", "better"], sort=False):
        measures.append({"table": titles[str(table)], "name": heading(str(measure)), "better": better, "of": len(each)})
        own = each.set_index("model")[["value", "low", "high", "rank", "best", "worst"]].astype(object)
        by_model = dict(zip(own.index, own.to_numpy().tolist(), strict=True))
        for name, row in numbers.items():
            row.append([_short(value) for value in by_model[name]] if name in by_model else None)
    models = {name: {"facts": texts[name], "row": row} for name, row in numbers.items()}
    return {"facts": [fact(str(column)) for column in known.columns], "measures": measures, "models": models}


def _text(value: object) -> str:
    if value is None or value != value or value is pd.NA:
        return ""
    return f"{value:,g}" if isinstance(value, float) else str(value)


def _short(value: float) -> float | int | None:
    if value != value:
        return None
    return round(value, 5) if isinstance(value, float) else int(value)
