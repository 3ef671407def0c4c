"""Findings asked in other ways: each is what its method gives for the same models, and what cannot be asked is said."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from simulated import CLEAN, OUT, PLANTED, SHIFTS, SLOPES, simulate
from statsmodels.tools.sm_exceptions import ConvergenceWarning

import analysis
from analysis import evidence, fits, forest, markdown, otherwise, prose
from analysis.findings import Finding, table
from analysis.ledger import Ledger, ask
from analysis.paired import partial_correlation
from analysis.results import Results
from engine.files import Folder
from engine.predictions import write_models


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A simulated grid whose models differ in size and amount of pre-training."""
    place = simulate(tmp_path_factory.mktemp("results"), lineages=7)
    folder, rng = Folder.of(place), np.random.default_rng(1)
    facts = folder.read("models.parquet").to_pandas()
    write_models(
        folder,
        facts.assign(params_m=rng.uniform(5, 500, len(facts)), pretrain_images=rng.uniform(1, 9, len(facts)) * 1e6),
    )
    return analysis.load(place)


@pytest.fixture(scope="module")
def ledger(results: Results) -> Ledger:
    return otherwise.added(ask(results))


def ways(ledger: Ledger, question: str, subject: str, unit: str) -> dict[str, Finding]:
    return {each.way: each for each in ledger.ways(question) if (each.subject, each.unit) == (subject, unit)}


def of_source(results: Results, source: str) -> pd.DataFrame:
    frame = evidence.zero_shot(evidence.ood_frame(results, OUT[0]))
    return frame[frame["train_source"] == source]


@pytest.mark.parametrize("source", SLOPES)
def test_every_way_finds_the_planted_slope(ledger: Ledger, source: str) -> None:
    made = ways(ledger, "accuracy_and_ood_detection", f"{source}, {OUT[0]}", "slope")
    assert len(made) == 7
    for way, each in made.items():
        assert each.estimate == pytest.approx(SLOPES[source], abs=0.12), way
        assert each.low < each.estimate < each.high
        assert (each.verdict, each.expected, each.p_adjusted, each.q) == ("", "", None, None)


def test_a_way_is_the_method_that_it_says(results: Results, ledger: Ledger) -> None:
    source = "SRC-medium"
    frame = of_source(results, source)
    a, b = frame["clean"], frame["ood"]
    slopes = ways(ledger, "accuracy_and_ood_detection", f"{source}, {OUT[0]}", "slope")
    with warnings.catch_warnings():
        # It takes any variance below 0.01 for one on the boundary, whatever the unit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = sm.MixedLM(b, sm.add_constant(a), groups=frame["lineage"]).fit(reml=True)
    assert slopes["mixed model"].estimate == pytest.approx(theirs.params["clean"], abs=1e-4)
    robust = sm.RLM(b, sm.add_constant(a), M=sm.robust.norms.HuberT()).fit(maxiter=500, tol=1e-12)
    assert slopes["robust line (Huber)"].estimate == pytest.approx(robust.params["clean"], abs=1e-5)
    least = stats.linregress(a, b).slope
    assert slopes["bootstrap over images"].estimate == pytest.approx(least, abs=1e-12)
    assert slopes["error of x taken out"].estimate == pytest.approx(least * a.var() / (a.var() - 0.01**2), rel=1e-9)
    together = ways(ledger, "accuracy_and_ood_detection", f"{source}, {OUT[0]}", "correlation")
    assert together["spearman"].estimate == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert together["kendall"].estimate == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
    logs = frame.assign(size=np.log10(frame["params_m"]), amount=np.log10(frame["pretrain_images"]))
    equal = partial_correlation(logs, "clean", "ood", given=["size", "amount"])
    assert together[otherwise.EQUAL].estimate == pytest.approx(equal.estimate, abs=1e-12)
    assert together[otherwise.EQUAL].low == pytest.approx(equal.low, abs=1e-12)


def test_images_are_as_uncertain_as_their_standard_errors_say(results: Results, ledger: Ledger) -> None:
    """First order: an error e in y moves the slope by e times its leverage, one in x by -slope times that."""
    frame = of_source(results, "SRC-large")
    away = frame["clean"] - frame["clean"].mean()
    slope = stats.linregress(frame["clean"], frame["ood"]).slope
    expected = 0.01 * np.sqrt((1 + slope**2) / (away**2).sum())
    made = ways(ledger, "accuracy_and_ood_detection", f"SRC-large, {OUT[0]}", "slope")
    assert made["bootstrap over images"].std_error == pytest.approx(expected, rel=0.06)
    assert made["bootstrap over lineages and images"].std_error > made["bootstrap over images"].std_error


def test_a_contrast_of_groups_is_asked_again(results: Results, ledger: Ledger) -> None:
    subject = f"zero_shot_clip - standard, {CLEAN}"
    made = ways(ledger, "calibration_after_scaling", subject, "fraction")
    ruled = next(each for each in ledger.of("calibration_after_scaling") if each.subject == subject)
    assert made["bootstrap over images"].estimate == pytest.approx(ruled.estimate, abs=1e-12)
    assert made["mixed model"].estimate == pytest.approx(-0.03, abs=0.01)
    assert made["bootstrap over images"].n == ruled.n
    assert otherwise.RUNS not in made, "not all of these models are zero-shot"


def test_sources_are_asked_with_every_model_for_a_lineage(results: Results, ledger: Ledger) -> None:
    found = next(each for each in ledger.of("training_source_matters") if each.subject.endswith(OUT[0]))
    made = ways(ledger, "training_source_matters", found.subject, "fraction")[otherwise.RUNS]
    frame = evidence.zero_shot(evidence.ood_frame(results, OUT[0]))
    first = evidence.source_family(frame) == found.subject.split(" - ")[0]
    alone = fits.contrast(frame.assign(lineage=frame.index), "ood", first, given="clean")
    assert (made.estimate, made.low, made.high) == pytest.approx((found.estimate, alone.low, alone.high), abs=1e-12)
    assert made.lineages == len(frame) > found.lineages
    assert "pre-training run" in made.method
    tuned = frame.assign(parent="one parent")
    posed = replace(fits.contrast(tuned, "ood", first, given="clean").posed, frame=tuned)
    assert otherwise.ways(posed)[otherwise.RUNS](posed).lineages == 1, "what has one parent is one run"


def test_distances_from_other_lines(results: Results, ledger: Ledger) -> None:
    frame = evidence.shift_frame(results, SHIFTS[0])
    line, members = (frame[frame["group"] == group] for group in ("standard", "zero_shot_clip"))
    fit = stats.linregress(logit(line["clean"]), logit(line["shift"]))
    expected = (members["shift"] - expit(fit.slope * logit(members["clean"]) + fit.intercept)).mean()
    made = ways(ledger, "accuracy_under_shift", SHIFTS[0], "fraction")
    assert made["least-squares line"].estimate == pytest.approx(expected, abs=1e-12)
    assert made["least-squares line, bootstrap over images"].estimate == pytest.approx(expected, abs=1e-12)
    ruled = next(each for each in ledger.of("accuracy_under_shift") if each.subject == SHIFTS[0])
    assert made["robust line, jackknife"].estimate == pytest.approx(ruled.estimate, abs=1e-6)
    for way, each in made.items():
        assert each.low > 0, way
        assert (each.n, each.lineages) == (ruled.n, ruled.lineages), way
    assert PLANTED["shift"] > 0


def test_verdicts_and_numbers_of_the_rule_stay(results: Results, ledger: Ledger) -> None:
    ruled = ask(results)
    assert ledger.findings == ruled.findings
    assert ledger.claims == ruled.claims
    assert not {each.way for each in ruled.findings} - {""}
    assert len(table(ledger.otherwise)) == len(ledger.otherwise) > 150
    keys = [(each.subject, each.unit, each.way, each.formula) for each in ledger.otherwise]
    assert len(set(keys)) == len(keys), "a number that two questions rest on is asked again once"


def test_few_models_are_left_out_with_the_reason(tmp_path: Path) -> None:
    made = otherwise.added(ask(analysis.load(simulate(tmp_path, lineages=2))))
    reasons = {(each.way, each.reason) for each in made.not_otherwise}
    assert ("bootstrap over lineages and images", "No interval: 2 lineages, and it takes 6.") in reasons
    assert ("mixed model", "No interval: 2 lineages, and it takes 3.") in reasons
    assert (otherwise.EQUAL, "The grid does not say 'pretrain_images' of its models.") in reasons
    assert "Mixed model (" in prose.missing([each for each in made.not_otherwise if each.way == "mixed model"])


def test_intervals_that_leave_out_zero_are_counted(ledger: Ledger) -> None:
    question = "training_source_matters"
    found, others = ledger.of(question), ledger.ways(question)
    said = prose.firmness(found, others)
    images = [each for each in others if each.way == "bootstrap over images"]
    apart = sum(each.low > 0 or each.high < 0 for each in images)
    assert f"bootstrap over images {apart} of {len(OUT)}" in said
    moved = [replace(each, low=-1.0, high=1.0) if each in images else each for each in others]
    assert f"bootstrap over images 0 of {len(OUT)}" in prose.firmness(found, moved)
    without = [replace(each, low=None, high=None) if each in images else each for each in others]
    assert "bootstrap over images none has an interval" in prose.firmness(found, without)


def test_the_page_and_markdown_show_each_way_beside_the_rule(ledger: Ledger) -> None:
    question = "training_source_matters"
    others = ledger.ways(question)
    html = forest.again(ledger.of(question), others, [])
    assert html.count("<tr>") == 1 + len(OUT) * 2 + len(others)
    assert html.count("by the rule of this report") == len(OUT) + 1
    assert "Not to be had" not in html
    text = markdown.page("", ledger, [], [])
    assert text.count("clustered by pre-training run |") == sum(each.way == otherwise.RUNS for each in ledger.otherwise)
