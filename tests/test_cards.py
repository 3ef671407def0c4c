"""Cards of models: ranks by hand, the ranks that intervals allow, and the facts of each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import rankdata
from simulated import simulate, with_faults

from analysis import cards, display
from analysis.results import load


def found(values: list[float], errors: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame({"value": values, "std_error": errors}, index=[f"m{place}" for place in range(len(values))])


def test_ranks_by_hand() -> None:
    # 95 % intervals: 0.90 +- 0.0196, 0.88 +- 0.0196 (they overlap), 0.50 +- 0.0196 (apart from both), 0.50 without one.
    ranks = cards.rank(found([0.90, 0.88, 0.50, 0.50], [0.01, 0.01, 0.01, None]), lower=False)
    assert list(ranks["rank"]) == [1, 2, 3, 3]
    assert list(ranks["best"]) == [1, 1, 3, 3]
    assert list(ranks["worst"]) == [2, 2, 4, 4]
    assert list(ranks["of"]) == [4] * 4
    assert ranks["low"].iloc[0] == pytest.approx(0.90 - 1.959964 * 0.01)
    assert pd.isna(ranks["low"].iloc[3])


def test_where_lower_is_better_the_order_is_turned() -> None:
    ranks = cards.rank(found([0.02, 0.10, 0.11], [0.001, 0.01, 0.01]), lower=True)
    assert list(ranks["rank"]) == [1, 2, 3]
    assert list(ranks["best"]) == [1, 2, 2]
    assert list(ranks["worst"]) == [1, 3, 3]


@pytest.mark.parametrize("lower", [False, True])
def test_ranks_are_those_of_scipy(lower: bool) -> None:
    values = [0.3, 0.7, 0.7, 0.1, 0.9, 0.3]
    expected = rankdata([value if lower else -value for value in values], method="min")
    ranks = cards.rank(found(values, [0.02] * 6), lower=lower)
    assert list(ranks["rank"]) == list(expected)
    assert ((ranks["best"] <= ranks["rank"]) & (ranks["rank"] <= ranks["worst"])).all()


def test_every_number_of_the_tables_has_a_standing_and_a_copy_has_none(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=3)
    faults = with_faults(tmp_path)
    results = load(tmp_path)
    rows = cards.standings(results)
    assert faults.copy not in set(rows["model"])
    assert set(rows["model"]) == set(results.distinct.index)
    assert set(rows.loc[rows["better"] == "lower", "table"]) == {"models", "calibration"}
    assert set(rows.loc[rows["better"] == "", "measure"]) == {"pets-conflict shape bias"}
    top = rows[(rows["measure"] == "pets top1") & (rows["rank"] == 1)]["model"].item()
    clean = results.frame(clean=cards.TABLES[0].picks(results)["pets top1"])["clean"]
    assert top == clean.idxmax()


def test_a_card_has_the_facts_and_the_numbers_of_its_model(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=3)
    results = load(tmp_path)
    made = cards.cards(results)
    rows = cards.standings(results)
    model = results.models.index[7]
    card = made["models"][model]  # type: ignore[index]
    facts = dict(zip(made["facts"], card["facts"], strict=True))  # type: ignore[call-overload]
    assert facts["group"] == display.words(results.models.loc[model, "group"])
    assert facts["lineage"] == results.models.loc[model, "lineage"]
    assert facts["parameters in millions"] == "4.2"
    own = rows[rows["model"] == model]
    assert len(made["measures"]) == len(own)  # type: ignore[arg-type]
    for measure, shown, row in zip(made["measures"], card["row"], own.itertuples(), strict=True):  # type: ignore[call-overload]
        assert measure["better"] == row.better
        assert shown[0] == pytest.approx(row.value, abs=5e-6)
        assert shown[3:] == [row.rank, row.best, row.worst]
