"""Questions on a simulated grid: they find what was planted, and leave out what is not there, with the reason."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import CLEAN, OUT, PLANTED, SHIFTS, SLOPES, simulate
from statsmodels.stats.multitest import multipletests

import analysis
from analysis import evidence, questions, tables, vision
from analysis.charts import FIGURES
from analysis.findings import Finding, table
from analysis.ledger import Ledger, ask, claim, origin
from analysis.questions import QUESTIONS
from engine.files import Folder
from engine.predictions import write_models
from studies.measurements import Measurement, write


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ask(analysis.load(simulate(tmp_path_factory.mktemp("results"), lineages=5)))


def one(ledger: Ledger, question: str, subject: str, unit: str | None = None) -> Finding:
    found = [each for each in ledger.of(question) if each.subject == subject and unit in (None, each.unit)]
    assert len(found) == 1, [each.subject for each in ledger.of(question)]
    return found[0]


def test_every_question_states_its_expectation_and_where_it_comes_from() -> None:
    for question in QUESTIONS:
        assert claim(question).endswith("."), question
        assert origin(question), question
        assert len(inspect.signature(question).parameters) == 1


def test_slopes_by_training_source_are_the_planted_ones(ledger: Ledger) -> None:
    for out_set in OUT:
        for source, slope in SLOPES.items():
            found = one(ledger, "accuracy_and_ood_detection", f"{source}, {out_set}", "slope")
            assert found.low < slope < found.high
            assert found.estimate == pytest.approx(slope, abs=0.1)
            assert (found.n, found.lineages) == (10, 5)
        assert one(ledger, "accuracy_and_ood_detection", f"within sources, {out_set}").verdict == "supported"


PLANTS = [
    *(("fine_tuning_routes", f"intermediate - direct, {name}", PLANTED["route"]) for name in OUT),
    ("shape_bias_by_group", "zero_shot_clip - standard, pets-conflict", PLANTED["shape_bias"]),
    ("fine_tuning_and_shape_bias", "child - parent, pets-conflict", PLANTED["finetuned_shape_bias"]),
    ("calibration_before_scaling", f"zero_shot_clip - standard, {CLEAN}", PLANTED["raw"]),
    ("fine_tuning_and_calibration", f"child - parent, {CLEAN}", -PLANTED["raw"]),
    ("calibration_after_scaling", f"zero_shot_clip - standard, {CLEAN}", -0.03),
    ("prompt_sets", "top1, prompts 'name' - 'openai80'", PLANTED["prompts"]["name"]),
    ("prompt_sets", "auroc, prompts 'photo' - 'openai80'", -PLANTED["prompts"]["photo"]),
]


@pytest.mark.parametrize(("question", "subject", "planted"), PLANTS)
def test_planted_differences_are_found(ledger: Ledger, question: str, subject: str, planted: float) -> None:
    assert one(ledger, question, subject).estimate == pytest.approx(planted, abs=0.012)


def test_verdicts_say_what_was_planted(ledger: Ledger) -> None:
    verdicts = {
        "fine_tuning_routes": "supported",
        "accuracy_and_ood_detection": "supported",
        "shape_bias_by_group": "supported",
        "fine_tuning_and_shape_bias": "supported",
        "accuracy_under_shift": "supported",
        "fine_tuning_and_calibration": "contradicted",  # planted the other way round
        "temperature_under_shift": "supported",
        "acceptance": "supported",
    }
    for question, verdict in verdicts.items():
        assert ledger.verdict(question) == verdict, question
    assert one(ledger, "factor_robustness", f"color, {CLEAN}").verdict == "supported"
    assert one(ledger, "factor_robustness", f"pose, {CLEAN}").verdict == "supported"
    pattern = one(ledger, "factor_robustness", f"pattern, {CLEAN}")
    assert pattern.verdict == ""  # nothing was expected of it
    assert pattern.estimate == pytest.approx(0, abs=0.01)


def test_p_values_are_adjusted_over_claims_and_within_each(ledger: Ledger) -> None:
    tested = [claim for claim in ledger.claims if claim.p is not None]
    assert len(tested) > 15
    adjusted = multipletests([claim.p for claim in tested], method="holm")[1]
    assert [claim.p_adjusted for claim in tested] == pytest.approx(list(adjusted), abs=1e-12)
    for made in tested:
        own = [each for each in ledger.of(made.question) if each.p_adjusted is not None]
        within = multipletests([each.p for each in own], method="holm")[1] if own else []
        assert [each.p_adjusted for each in own] == pytest.approx([max(p, made.p_adjusted) for p in within])
    asked = [each for each in ledger.findings if each.q is not None]
    rates = multipletests([each.p for each in asked], method="fdr_bh")[1]
    assert [each.q for each in asked] == pytest.approx(list(rates), abs=1e-12)
    frame = table(ledger.findings)
    assert len(frame) == len(ledger.findings)
    assert frame["low"].isna().sum() == sum(each.low is None for each in ledger.findings)


def test_questions_about_size_data_and_resolution_go_by_the_grid(tmp_path: Path) -> None:
    folder = Folder.of(simulate(tmp_path, lineages=5))
    facts = folder.read("models.parquet").to_pandas()
    large, second = facts["name"].str.contains("l.", regex=False), facts["finetune_route"] == "intermediate"
    facts["params_m"] = np.where(large, 40.0, 4.0)
    facts["pretrain_images"] = facts["train_source"].map({"SRC-small": 1e6, "SRC-medium": 1e7})
    facts["train_source"] = facts["train_source"].replace({"SRC-small": "ONE-1M", "SRC-medium": "ONE-10M"})
    facts["image_size"] = np.where(second, 64, 32)
    facts["finetune_route"] = facts["finetune_route"].replace("intermediate", "direct")
    write_models(folder, facts)
    results = analysis.load(tmp_path)
    made = ask(results, (vision.size_and_shape_bias, vision.resolution, vision.data_amount_and_factors))
    bias = results.picked(analysis.pick("shape_bias", "pets-conflict"))["value"]
    tuned = results.models[results.models["parent"] != ""]
    pairs = tuned.assign(bias=bias[tuned.index]).pivot_table("bias", "parent", "image_size")
    found = one(made, "resolution", "shape bias, pets-conflict")
    assert found.estimate == pytest.approx((pairs[64] - pairs[32]).mean(), abs=1e-12)
    assert found.n == len(pairs)
    assert made.verdict("size_and_shape_bias") == "supported"  # no effect of size was planted
    frame = evidence.zero_shot(evidence.factor_frame(results, CLEAN, "color")).dropna(subset="pretrain_images")
    design = np.column_stack([np.log10(frame["pretrain_images"]), frame["overall"], np.ones(len(frame))])
    found = one(made, "data_amount_and_factors", f"color, {CLEAN}")
    assert found.n == len(frame) == 20
    assert found.estimate == pytest.approx(np.linalg.lstsq(design, frame["factor"])[0][0], abs=1e-12)


def test_what_is_not_there_is_left_out_with_the_reason(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=3)
    for name in ("prompts", "shape", "calibration"):
        (tmp_path / "measurements" / f"{name}.parquet").unlink()
    made = ask(analysis.load(tmp_path))
    missing = {each.question: each.reason for each in made.left_out}
    assert "python -m studies prompts" in missing["prompt_sets"]
    assert "No metric 'shape_bias'" in missing["shape_bias_by_group"]
    assert {"calibration_before_scaling", "temperature_under_shift"} <= set(missing)
    assert not made.of("prompt_sets")
    assert one(made, "accuracy_under_shift", SHIFTS[0]).verdict == "supported"


def test_a_cleaned_subset_changes_no_answer_and_stands_in_the_table(tmp_path: Path) -> None:
    before = analysis.load(simulate(tmp_path, lineages=3))
    figure = next(each for each in FIGURES if each.name == "id-and-ood")
    answers, drawn = ask(before), figure.draw(before).to_json()
    folder = Folder.of(tmp_path) / "measurements"
    rows = [Measurement(**each) for each in folder.read("ood.parquet").to_pylist()]
    of_out = [each for each in rows if each.image_set == OUT[0]]
    write(Folder.of(tmp_path), "ood", [*rows, *(replace(each, subset="cleaned", value=0.125) for each in of_out)], {})
    after = analysis.load(tmp_path)
    assert ask(after) == answers
    assert figure.draw(after).to_json() == drawn
    table = _ood_table(after)
    assert set(table[f"{OUT[0]} cleaned"]) == {0.125}
    assert table[list(_ood_table(before))].equals(_ood_table(before))
    assert f"{OUT[1]} cleaned" not in table


def test_one_lineage_alone_decides_nothing(tmp_path: Path) -> None:
    made = ask(analysis.load(simulate(tmp_path, lineages=1)))
    by_source = [each for each in made.of("accuracy_and_ood_detection") if each.unit == "slope"]
    assert all(each.low is None and "1 lineage" in each.note for each in by_source)
    assert one(made, "shape_bias_by_group", "zero_shot_clip - standard, pets-conflict").verdict == "undecided"
    # The fine-tuned models share the three lineages of their parents, one for each source.
    assert one(made, "shape_bias_by_group", "zero_shot_clip - clip_ft, pets-conflict").lineages == 3


def test_questions_go_by_role_and_facts_alone() -> None:
    text = "".join(inspect.getsource(module) for module in (questions, vision, evidence))
    for name in ("digits", "letters", "textures", "imagenet-", "inaturalist"):
        assert name not in text.lower(), name


def _ood_table(results: analysis.Results) -> pd.DataFrame:
    return next(each for each in tables.TABLES if each.name == "ood").make(results)
