"""From measurements to findings, and to a report that prints them. Needs neither models nor a cluster.

>>> import analysis
>>> results = analysis.load("results")  # doctest: +SKIP
>>> frame = results.frame(  # doctest: +SKIP
...     clean=analysis.pick("top1", "imagenet"),
...     inat=analysis.pick("auroc", "inaturalist", method="mcm"),
... )
>>> analysis.correlate(frame, "clean", "inat", by="train_source")  # doctest: +SKIP
>>> analysis.regress(frame, "inat ~ logit(clean) * train_source")  # doctest: +SKIP
"""

from analysis.explore import correlate, regress
from analysis.results import NotMeasured, Pick, Results, load, pick

__all__ = ["NotMeasured", "Pick", "Results", "correlate", "load", "pick", "regress"]
