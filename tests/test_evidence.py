"""Which models belong together, by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import evidence
from analysis.fits import TooLittle


def frame(**columns: list[object]) -> pd.DataFrame:
    made = pd.DataFrame(columns)
    return made.set_index(pd.Index([f"m{number}" for number in range(len(made))]))


def test_sources_of_one_family_belong_together_unless_there_is_only_one() -> None:
    several = frame(train_source=["LAION-2B", "LAION-400M", "WIT-400M"])
    assert list(evidence.source_family(several)) == ["LAION", "LAION", "WIT"]
    assert list(evidence.source_family(several.head(2))) == ["LAION-2B", "LAION-400M"]


def test_a_fact_on_a_logarithm_leaves_out_models_without_it() -> None:
    made = evidence.with_log(frame(params_m=[10, "", 1000.0, 0]), "params_m")
    assert list(made.index) == ["m0", "m2"]
    assert list(made["log_params_m"]) == pytest.approx([1, 3])
    with pytest.raises(TooLittle, match="does not say 'pretrain_images'"):
        evidence.with_log(made, "pretrain_images")


def test_resolutions_compare_one_parent_and_route() -> None:
    tuned = frame(
        parent=["a", "a", "a", "b", "b", ""], finetune_route=["direct", "direct", "direct", "direct", "other", ""],
        image_size=[224, 384, 384, 224, 384, 224], lineage=list("llllll"), value=[0.5, 0.6, 0.8, 0.1, 0.9, 0.3],
    )  # fmt: skip
    made = evidence.resolutions(tuned, "value")
    assert list(made["difference"]) == pytest.approx([0.2])
    with pytest.raises(TooLittle, match="two image sizes"):
        evidence.resolutions(tuned.tail(3), "value")
