"""Published numbers, met through the functions that the studies use.

The per-image records and the answers lie in the folder that REFERENCE_DATA names; without it these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import clean_set

from engine.predictions import Head, Predictions
from studies import detection, estimates, factors, metrics, outcomes, reliability, temperature

ROOT = Path(__file__).parents[1]
DATA = (ROOT / os.environ.get("REFERENCE_DATA", "../shared/reference/data")).resolve()
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no reference data in {DATA}; set REFERENCE_DATA")

CUES = "style-transfer-512-nomask-experiment_"


def there(folder: str, prefix: str = "") -> list[str]:
    """Names of the tables in a folder of the reference data, less a prefix."""
    return sorted(file.stem.removeprefix(prefix) for file in (DATA / folder).glob(f"{prefix}*.csv"))


IMAGENETX_MODELS = there("imagenetx/model_predictions")
OBSERVERS = there("cue-conflict", CUES)
RECORDS = there("netcal")


def answers(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / "reference_answers" / f"{name}.csv")


def imagenetx(model: str) -> Predictions:
    """The published decisions of a model on the annotated images, as predictions over 1,000 classes."""
    top = pd.read_csv(DATA / "imagenetx" / "imagenet_x_val_top_factor.csv").set_index("file_name")
    multi = pd.read_csv(DATA / "imagenetx" / "imagenet_x_val_multi_factor.csv").set_index("file_name").loc[top.index]
    decided = pd.read_csv(DATA / "imagenetx" / "model_predictions" / f"{model}.csv").set_index("file_name")
    names = [name for name in top.columns if name not in ("class", "is_prototype")]
    shown = top[names].to_numpy(dtype=bool)
    images = pd.DataFrame(
        {
            "top_factor": [names[row.argmax()] if row.any() else None for row in shown],
            "factors": [
                [name for name, there in zip(names, row, strict=True) if there] for row in multi[names].to_numpy()
            ],
            "prototype": top["is_prototype"].to_numpy() == 1,
        }
    )
    logits = np.zeros((len(top), 1000), dtype=np.float32)
    logits[np.arange(len(top)), decided.loc[top.index, "predicted_class"]] = 1
    head = Head("learned", "learned", np.eye(1, dtype=np.float32), np.zeros(1, np.float32), 1.0)
    return Predictions(clean_set(1000), head, images, logits[:, :1], logits, top["class"].to_numpy(dtype=np.int64))


SAME = 1e-12
"""float64 arithmetic in another order of summation."""


@pytest.mark.parametrize("model", IMAGENETX_MODELS)
def test_imagenetx_accuracies_and_error_ratios(model: str) -> None:
    images = factors.annotated(imagenetx(model))
    published = answers("imagenetx_factor_accuracy_error_ratio")
    published = published[published["model"] == model].set_index("factor")
    assert len(images.correct) == 46_110
    assert estimates.share(images.correct).value == pytest.approx(published["overall_accuracy"].iloc[0], abs=1e-12)
    compared = published.index.intersection(list(images.top))
    assert len(compared) >= 10
    for factor in compared:
        found = estimates.share(images.correct[images.top[factor]])
        assert (found.n, found.value) == (published.loc[factor, "n"], published.loc[factor, "accuracy"])
        ratio = estimates.error_ratio(images.correct, images.top[factor])
        assert ratio.value == pytest.approx(published.loc[factor, "error_ratio"], abs=SAME)


def test_imagenetx_counts_under_both_labellings() -> None:
    images = factors.annotated(imagenetx("ResNet50"))
    top = {"pose": 15064, "background": 14751, "pattern": 5972, "color": 6150, "smaller": 1450, "larger": 150}
    multi = {"pose": 39974, "background": 35537, "pattern": 15478, "subcategory": 3604, "texture": 879, "larger": 390}
    assert {name: int(images.top[name].sum()) for name in top} == top
    assert {name: int(images.multi[name].sum()) for name in multi} == multi


@pytest.mark.parametrize("model", IMAGENETX_MODELS)
def test_imagenet_calibration_and_failure_detection(model: str) -> None:
    decided = pd.read_csv(DATA / "imagenetx" / "model_predictions" / f"{model}.csv").set_index("file_name")
    labels = pd.read_csv(DATA / "imagenetx" / "filename_label.csv").set_index("file_name")["label"]
    correct = (decided["predicted_class"] == labels.loc[decided.index]).to_numpy()
    confidence = decided["predicted_probability"].to_numpy()
    want = answers("imagenetx_predictions_calibration").set_index("model").loc[model]
    assert correct.mean() == want["top1"]
    for bins in (10, 15, 20):
        assert reliability.ece(confidence, correct, bins=bins) == pytest.approx(
            want[f"ece{bins}_right_closed"], abs=SAME
        )
    assert reliability.ece_equal_mass(confidence, correct) == pytest.approx(want["ece15_equal_mass"], abs=SAME)
    assert reliability.mce(confidence, correct) == pytest.approx(want["mce15"], abs=SAME)
    assert reliability.brier_top_label(confidence, correct) == pytest.approx(want["brier_top_label"], abs=SAME)
    # The answer takes tied images in the order of the file; so does a confidence that falls with the rank.
    ranked = np.argsort(np.argsort(-confidence, kind="stable"), kind="stable")
    assert reliability.aurc(1 - ranked / len(ranked), correct) == pytest.approx(want["aurc"], abs=SAME)
    orders = [np.random.default_rng(seed).permutation(len(ranked)) for seed in range(20)]
    risks = [~correct[order][np.argsort(-confidence[order], kind="stable")] for order in orders]
    each = [float((risk.cumsum() / np.arange(1, len(risk) + 1)).mean()) for risk in risks]
    # Ours is the mean over all orders of the ties; twenty of them are known to a part in a million.
    assert reliability.aurc(confidence, correct) == pytest.approx(np.mean(each), abs=5 * np.std(each) / 20**0.5 + SAME)
    right, wrong = confidence[correct], confidence[~correct]
    assert detection.auroc(right, wrong) == pytest.approx(want["failure_auroc"], abs=1e-12)
    assert detection.fpr_at_95(right, wrong) == pytest.approx(want["failure_fpr_at_95tpr_positive_class"], abs=1e-12)
    other_way = want["failure_fpr_at_95tpr_negative_as_positive"]
    assert detection.fpr_at_95_out(right, wrong) == pytest.approx(other_way, abs=1e-12)
    assert detection.aupr_in(right, wrong) == pytest.approx(want["failure_ap_pos"], abs=1e-12)


@pytest.mark.parametrize("record", RECORDS)
def test_calibration_of_a_record(record: str) -> None:
    table = pd.read_csv(DATA / "netcal" / f"{record}.csv")
    logits, labels = np.log(table.filter(regex=r"^p\d+$").to_numpy()), table["label"].to_numpy()
    want = answers("netcal_records_calibration").set_index(["record", "split", "temperature_name"])
    half = want.loc[record, "test_rows_5000_9999"]
    fitted = temperature.temperature(logits[:5000], labels[:5000])
    assert fitted == pytest.approx(half.loc["T_fit_on_rows_0_4999", "T"], abs=1e-6)
    for name, scale in (("T=1", 1.0), ("T_fit_on_rows_0_4999", fitted)):
        found = outcomes.outcomes(logits[5000:], labels[5000:], temperature=scale)
        assert found.correct.mean() == half.loc[name, "top1"]
        for metric, column in (("ece15", "ece15"), ("nll", "nll"), ("brier", "brier_sum"), ("mce15", "mce15")):
            assert outcomes.METRICS[metric](found).value == pytest.approx(half.loc[name, column], abs=1e-6)
        assert outcomes.ece_equal_mass(found).value == pytest.approx(half.loc[name, "ece15_equal_mass"], abs=1e-6)


def cues(observer: str) -> tuple[metrics.Ints, metrics.Ints, metrics.Ints, list[str]]:
    """Decisions, shapes, textures as numbers, and the classes; a decision for no class is a number of its own."""
    table = pd.read_csv(DATA / "cue-conflict" / f"{CUES}{observer}.csv")
    texture = table["imagename"].str.extract(r"-([a-z]+)\d+\.png$")[0]
    classes = sorted(table["category"].unique())
    numbered = [
        pd.Index(classes).get_indexer(column) for column in (table["object_response"], table["category"], texture)
    ]
    assert (numbered[1] >= 0).all()
    assert (numbered[2] >= 0).all()
    return numbered[0], numbered[1], numbered[2], classes


@pytest.mark.parametrize("observer", OBSERVERS)
def test_shape_bias_of_nets_and_people(observer: str) -> None:
    decisions, shapes, textures, classes = cues(observer)
    want = answers("shape_bias").set_index("model").loc[observer]
    found = estimates.shape_bias(decisions, shapes, textures)
    assert (len(decisions), found.n) == (want["n_images"], want["shape_hits"] + want["texture_hits"])
    assert found.value == want["shape_bias"]
    hit = estimates.cue_accuracy(decisions, shapes, textures)
    assert (hit.n, hit.value) == (want["n_conflict"], want["cue_accuracy_conflict"])
    by_class = answers("shape_bias_per_category").set_index(["model", "category"])["shape_bias"]
    for number, name in enumerate(classes):
        rows = shapes == number
        assert metrics.shape_bias(decisions[rows], shapes[rows], textures[rows]) == by_class[observer, name]
