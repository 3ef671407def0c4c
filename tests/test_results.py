"""Picks: one number per model, or a sentence that says which key is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import analysis
from analysis.results import image_counts
from engine.files import Folder
from engine.image_sets import ImageSet
from engine.predictions import IncompleteRecord, write_images, write_models
from studies.measurements import Measurement, write


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> analysis.Results:
    """Two models on one clean and one out set; the zero-shot one has two heads."""
    folder = Folder.of(tmp_path_factory.mktemp("results"))
    facts = {
        "name": ["clip.wit", "net.1k"],
        "family": ["zero_shot_clip", "classifier"],
        "group": ["zero_shot_clip", "standard"],
    }
    write_models(
        folder,
        pd.DataFrame({**facts, "lineage": ["clip", None], "train_source": ["WIT", "1K"], "parent": [float("nan")] * 2}),
    )
    for name, role in (("clean", "clean"), ("far", "out")):
        labels = ("cat", "dog") if role == "clean" else ()
        image_set = ImageSet(name, role, "clean", labels, tuple((number,) for number in range(len(labels))))  # type: ignore[arg-type]
        write_images(
            folder, image_set, pa.table({"image_id": ["a", "b"], "error": pa.array([None, "torn"], pa.string())})
        )

    def row(
        study: str, model: str, where: str, metric: str, method: str, value: float, head: str = "learned"
    ) -> Measurement:
        return Measurement(study, model, head, where, "all", metric, method, value, 0.01, 2)

    shift = [
        row("shift", "clip.wit", "clean", "top1", "full", 0.8, "openai80"),
        row("shift", "net.1k", "clean", "top1", "full", 0.7),
    ]
    ood = [
        row("ood", "clip.wit", "far", "auroc", "mcm", 0.9, "openai80"),
        row("ood", "clip.wit", "far", "auroc", "msp", 0.6, "openai80"),
        row("ood", "net.1k", "far", "auroc", "msp", 0.5),
    ]
    prompts = [
        row("prompts", "clip.wit", "clean", "top1", "full", 0.8, "openai80"),
        row("prompts", "clip.wit", "clean", "top1", "full", 0.4, "name"),
        row("prompts", "clip.wit", "far", "fpr95", "mcm", 0.3, "name"),
    ]
    for study, rows in (("shift", shift), ("ood", ood), ("prompts", prompts)):
        write(folder, study, rows, {})
    return analysis.load(str(folder))


def test_a_frame_has_one_row_per_model_with_its_facts(results: analysis.Results) -> None:
    frame = results.frame(
        clean=analysis.pick("top1", "clean"), far=analysis.pick("auroc", "far", method=("mcm", "msp"))
    )
    assert list(frame.index) == ["clip.wit", "net.1k"]
    assert list(frame["clean"]) == [0.8, 0.7]  # measured by two studies, and equal: one number
    assert list(frame["far"]) == [0.9, 0.5]  # MCM for the zero-shot head, maximum softmax for the other
    assert list(frame["far_std_error"]) == [0.01, 0.01]
    assert list(frame["train_source"]) == ["WIT", "1K"]
    assert list(frame["parent"]) == ["", ""]
    assert list(frame["lineage"]) == ["clip", "net.1k"]  # without a lineage, a lineage of its own


def test_a_model_without_the_pick_is_left_out_and_a_head_can_be_named(results: analysis.Results) -> None:
    assert list(results.frame(x=analysis.pick("auroc", "far", method="mcm")).index) == ["clip.wit"]
    assert list(results.frame(x=analysis.pick("top1", "clean", head="name"))["x"]) == [0.4]


@pytest.mark.parametrize(
    ("pick", "sentence"),
    [
        (analysis.pick("top-1", "clean"), "No metric 'top-1' for pick('top-1', 'clean', subset='all'). Nearest: 'top1"),
        (analysis.pick("auroc", "fair"), "No image set 'fair' for pick('auroc', 'fair', subset='all'). Nearest: 'far'"),
        (analysis.pick("auroc", "far", method="mmc"), "Nearest: 'mcm'."),
        (analysis.pick("auroc", "far", method=("a", "b")), "No method 'a' or 'b'"),
        (analysis.pick("auroc", "far", study="odd"), "Nearest: 'ood'."),
        (analysis.pick("top1", "clean", head="nam"), "No head 'nam'"),
        (analysis.pick("auroc", "far", subset="zzz"), "There is: 'all'."),
        (analysis.pick("auroc", "far"), "of model 'clip.wit': method is 'mcm', 'msp'. Name one, as in method='mcm'"),
    ],
)  # fmt: skip
def test_what_is_absent_or_ambiguous_is_said_in_one_sentence(
    results: analysis.Results, pick: analysis.Pick, sentence: str
) -> None:
    with pytest.raises(analysis.NotMeasured) as caught:
        results.frame(x=pick)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pick_cannot_take_the_name_of_a_fact(results: analysis.Results) -> None:
    with pytest.raises(ValueError, match="'group' is already a fact"):
        results.frame(group=analysis.pick("top1", "clean"))


def test_unreadable_images_are_counted(results: analysis.Results) -> None:
    counts = {each.image_set.name: (each.images, each.unreadable) for each in image_counts(results)}
    assert counts == {"clean": (2, 1), "far": (2, 1)}


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRecord, match="Show some with: python -m studies all"):
        analysis.load(tmp_path)
    write_models(Folder.of(tmp_path), pd.DataFrame({"name": ["a"]}))
    with pytest.raises(IncompleteRecord, match="No measurements in"):
        analysis.load(tmp_path)


def test_the_documented_lines_run(results: analysis.Results) -> None:
    frame = results.frame(
        clean=analysis.pick("top1", "clean"), far=analysis.pick("auroc", "far", method=("mcm", "msp"))
    )
    more = pd.concat([frame.assign(clean=frame["clean"] - step / 50) for step in range(6)], ignore_index=True)
    rng = np.random.default_rng(0)
    more = more.assign(lineage=[f"l{number}" for number in range(12)], far=rng.uniform(0.4, 0.9, 12))
    more.index = [f"m{number}" for number in range(12)]
    table = analysis.correlate(more, "clean", "far", by="train_source")
    assert list(table.index) == ["all", "1K", "WIT"]
    fitted = analysis.regress(more, "far ~ logit(clean) * train_source")
    assert list(fitted.index) == [
        "Intercept",
        "train_source[T.WIT]",
        "logit(clean)",
        "logit(clean):train_source[T.WIT]",
    ]
    assert set(fitted["lineages"]) == {12}
    ones = more.assign(clean=[1.0, *more["clean"][1:]])
    assert set(analysis.regress(ones, "far ~ logit(clean)")["n"]) == {11}
