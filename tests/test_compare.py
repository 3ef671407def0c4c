"""Two studies held against each other: planted changes are found with their intervals, and nothing else is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import simulate
from statsmodels.stats.weightstats import DescrStatsW
from test_report import Text

from analysis import display, markdown, prose
from analysis.__main__ import main
from analysis.compare import MOVED, SAME, Comparison, compare
from analysis.ledger import ask
from analysis.results import Results, load
from engine.files import Folder
from engine.predictions import write_models
from studies.measurements import Measurement, write

CHANGE = -0.04


def shifted(folder: Path, *, change: float, spread: float = 0.0, seed: int = 1, of: str = "") -> Path:
    """The simulated results again, with AUROC of the first out set moved by `change`, more or less for each model.

    Only models whose name ends as `of` says are moved.
    """
    simulate(folder, lineages=4)
    store, rng = Folder.of(folder), np.random.default_rng(seed)
    rows = [Measurement(**row) for row in (store / "measurements").read("ood.parquet").to_pylist()]
    noise = {model: spread * rng.normal() for model in sorted({row.model for row in rows})}
    moved = (
        replace(row, value=row.value + change + noise[row.model])
        if row.image_set == "letters" and row.model.endswith(of)
        else row
        for row in rows
    )
    write(store, "ood", moved, {})
    return folder


def held(now: Path, before: Path) -> tuple[Comparison, Results]:
    results, other = load(now), load(before)
    return compare(results, other, (ask(results), ask(other))), results


def row_of(compared: Comparison, **wanted: str) -> pd.Series:
    rows = compared.measurements
    for key, value in wanted.items():
        rows = rows[rows[key] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_study_does_not_differ_from_itself(tmp_path: Path) -> None:
    compared, _ = held(simulate(tmp_path, lineages=3), tmp_path)
    assert compared.design == "paired by model"
    assert (compared.only_now, compared.only_before) == ((), ())
    assert set(compared.findings["outcome"]) == {SAME}
    assert (compared.findings["change"] == 0).all()
    assert set(compared.findings["change_p_adjusted"].dropna()) == {1.0}
    assert compared.told.empty
    assert (compared.measurements["change"] == 0).all()
    assert compared.changed.empty


def test_a_planted_change_is_found_and_nothing_else(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    compared, results = held(shifted(tmp_path / "now", change=CHANGE, spread=0.01), tmp_path / "before")
    changed = compared.changed
    assert set(changed["image_set"]) == {"letters"}
    assert set(changed["metric"]) == {"auroc"}
    row = row_of(compared, study="ood", image_set="letters", method="msp")
    assert row["low"] < CHANGE < row["high"] < 0
    assert row["n"] == len(results.models)
    assert row["now"] - row["before"] == pytest.approx(row["change"])
    letters = compared.findings["subject"].str.contains("letters")
    assert set(compared.findings.loc[~letters, "outcome"]) == {SAME}
    assert MOVED in set(compared.findings.loc[letters, "outcome"])


def test_a_finding_that_changed_is_told_with_its_interval(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    now = shifted(tmp_path / "now", change=-0.1, spread=0.01, of="_intermediate")
    compared, _ = held(now, tmp_path / "before")
    row = next(
        each
        for each in compared.told.itertuples()
        if each.question == "fine_tuning_routes" and "letters" in each.subject
    )
    assert row.change_low < -0.1 < row.change_high < 0
    assert row.change_p_adjusted < 0.05
    assert row.change_method.startswith("jackknife of the difference over lineages, t with ")
    beyond = compared.told["change_p_adjusted"] < 0.05  # others' verdicts turn with that of their claim
    assert compared.told.loc[beyond, "subject"].str.contains("letters").all()
    assert (compared.told.loc[~beyond, "change"] == 0).all()
    assert main(["--results", str(now), "--compare", str(tmp_path / "before"), "--out", str(tmp_path / "out")]) == 0
    said = prose.changed(row)
    assert f"{display.amount(row.change, 'fraction')} points [" in said
    assert "beyond chance, over " in said
    assert said in "".join(Text((tmp_path / "out" / "index.html").read_text()).text)
    assert f"- {markdown.escape(said)}\n" in (tmp_path / "out" / "report.md").read_text()
    table = pd.read_parquet(tmp_path / "out" / "tables" / "compared-findings.parquet")
    stored = table[(table["question"] == row.question) & (table["subject"] == row.subject)].iloc[0]
    assert (stored["change"], stored["change_low"]) == (row.change, row.change_low)


def test_the_interval_of_pairs_is_that_of_statsmodels(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    now = shifted(tmp_path / "now", change=CHANGE, spread=0.01)
    for folder in (tmp_path / "before", now):  # each model a lineage of its own: a plain t interval of the differences
        facts = Folder.of(folder).read("models.parquet").to_pandas()
        write_models(Folder.of(folder), facts.assign(lineage=facts["name"]))
    compared, _ = held(now, tmp_path / "before")
    row = row_of(compared, study="ood", image_set="letters", method="mcm")
    first, second = (load(folder).measurements for folder in (now, tmp_path / "before"))
    values = [
        each[(each["study"] == "ood") & (each["image_set"] == "letters") & (each["method"] == "mcm")]
        .set_index("model")["value"]
        .sort_index()
        for each in (first, second)
    ]
    low, high = DescrStatsW(values[0] - values[1]).tconfint_mean()
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-9)


def test_studies_of_other_models_are_compared_as_independent(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    now = shifted(tmp_path / "now", change=-0.2)
    store = Folder.of(now)
    facts = store.read("models.parquet").to_pandas()
    names = {name: f"again-{name}" for name in facts["name"]}
    write_models(store, facts.assign(name=facts["name"].map(names), parent=facts["parent"].replace(names)))
    for file in (store / "measurements").files():
        rows = [Measurement(**row) for row in (store / "measurements").read(file).to_pylist()]
        write(store, file.removesuffix(".parquet"), [replace(row, model=names[row.model]) for row in rows], {})
    compared, results = held(now, tmp_path / "before")
    assert compared.design == "independent"
    assert len(compared.only_now) == len(compared.only_before) == len(results.models)
    row = row_of(compared, study="ood", image_set="letters", method="msp")
    assert row["low"] < -0.2 < row["high"] < 0
    assert row["n"] == 2 * len(results.models)
    assert row["change"] == pytest.approx(-0.2)


def test_the_page_says_what_changed_as_the_tables_have_it(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    now = shifted(tmp_path / "now", change=CHANGE, spread=0.01)
    out = tmp_path / "out"
    assert main(["--results", str(now), "--compare", str(tmp_path / "before"), "--out", str(out)]) == 0
    text = "".join(Text((out / "index.html").read_text()).text)
    table = pd.read_csv(out / "tables" / "compared-measurements.csv")
    surely = int((table["p_adjusted"] < 0.05).sum())
    assert f"(paired by model), {surely} of {table['p'].notna().sum()} measurements" in text
    row = table[(table["study"] == "ood") & (table["image_set"] == "letters") & (table["method"] == "msp")].iloc[0]
    assert f"\N{MINUS SIGN}{-row['change']:.4f}" in text
    assert main(["--results", str(now), "--out", str(out)]) == 0
    assert not list((out / "tables").glob("compared-*"))
    assert "What changed" not in (out / "index.html").read_text()


def test_the_sentence_changes_with_what_it_is_about(tmp_path: Path) -> None:
    simulate(tmp_path / "before", lineages=4)
    same, _ = held(tmp_path / "before", tmp_path / "before")
    moved, _ = held(shifted(tmp_path / "now", change=0.2), tmp_path / "before")
    said = [prose.changes(each) for each in (same, moved)]
    assert said[0].startswith("The studies share 64 models. Of ")
    counts = [re.search(r", (\d+) of \d+ measurements with an interval", each) for each in said]
    assert [found and int(found[1]) for found in counts] == [0, len(moved.changed)]
    assert len(moved.changed) > 0


def test_a_folder_without_results_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(tmp_path / "now", lineages=1)
    assert main(["--results", str(tmp_path / "now"), "--compare", str(tmp_path / "nowhere")]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "nowhere") in said
    assert len(said.strip().splitlines()) == 1
