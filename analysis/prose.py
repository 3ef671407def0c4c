"""The sentences of the report, as plain text. Every number in them comes from the results or from a finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import acceptance, display
from analysis.compare import ONLY_BEFORE, ONLY_NOW, TURNED, Comparison
from analysis.evidence import ZERO_SHOT
from analysis.findings import LEVEL, Finding, LeftOut, Verdict
from analysis.results import ImageCount, Results

GROUPS = {
    "zero_shot_clip": "zero-shot CLIP",
    "clip_ft": "fine-tuned CLIP",
    "more_data": "classifiers with more data",
    "standard": "standard classifiers",
}
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "undecided")
NAMED = 5
"""So many models are named in a sentence, and the others are counted."""


def summary(results: Results, counts: Sequence[ImageCount]) -> str:
    """What was studied: models, lineages, groups, sets, images; who is not what was published, who is there twice."""
    said = (_models(results), _accepted(results), _duplicates(results), _images(results, counts), _departures(counts))
    return " ".join(filter(None, said))


def _models(results: Results) -> str:
    models = results.models
    groups = models["group"].value_counts()
    sources = models.loc[models["family"] == ZERO_SHOT, "train_source"].nunique()
    known = [group for group in GROUPS if group in groups.index] + sorted(set(groups.index) - set(GROUPS))
    named = [f"{groups[group]} {GROUPS.get(group, group) or 'without a group'}" for group in known]
    return (
        f"{display.count(len(models), 'model')} in {display.count(models['lineage'].nunique(), 'lineage')}: "
        f"{display.listed(named)}. The zero-shot models come from {display.count(sources, 'training source')}."
    )


def _images(results: Results, counts: Sequence[ImageCount]) -> str:
    roles = [(role, sum(count.image_set.role == role for count in counts)) for role in display.ROLES]
    sets = [f"{number} {display.ROLES[role]}" for role, number in roles if number]
    bad = sum(count.unreadable for count in counts)
    unread = (
        f"{display.count(bad, 'image')} could not be read and {'is' if bad == 1 else 'are'} left out for every model"
    )
    return (
        f"The models were shown {display.count(sum(count.images for count in counts), 'image')} "
        f"of {display.count(len(counts), 'set')} ({display.listed(sets)}); "
        f"{unread if bad else 'every image could be read'}. "
        f"The studies made {display.count(len(results.measurements), 'measurement')}."
    )


def _departures(counts: Sequence[ImageCount]) -> str:
    """How the image sets differ from the published ones, where they do."""
    noted = [f"{count.image_set.name}: {count.image_set.note}" for count in counts if count.image_set.note]
    rest = len(noted) - NAMED
    more = [f"{display.count(rest, 'further set')} with a note: see Provenance."] if rest > 0 else []
    return " ".join([*noted[:NAMED], *more])


def _accepted(results: Results) -> str:
    """How many models were checked against published accuracies, how many agree, and which do not."""
    checks = acceptance.checks(results.measurements)
    checked, failed = checks["model"].nunique(), checks[~checks["fits"]]
    if not checked:
        return "No model could be checked against a published accuracy."
    share = "All" if checked == len(results.models) else f"{checked} of {len(results.models)}"
    start = f"{share} were checked against published accuracies"
    off = [f"{model} ({_gaps(each)})" for model, each in failed.groupby("model")]
    if not off:
        return f"{start}, and agree."
    verb = "differs, and is" if len(off) == 1 else "differ, and are"
    return f"{start}: {checked - len(off)} agree; {_several(off)} {verb} marked in every table and figure."


def _gaps(failed: pd.DataFrame) -> str:
    gaps = [(name, 100 * float(gap)) for name, gap in zip(failed["image_set"], failed["gap"], strict=True)]
    return ", ".join(f"{name} {'+' if gap > 0 else ''}{display.number(gap)}" for name, gap in gaps) + " points"


def _duplicates(results: Results) -> str:
    """Which models only repeat the weights of others."""
    twice = results.models.loc[results.models["duplicate_of"] != "", "duplicate_of"]
    if twice.empty:
        return ""
    if len(twice) == 1:
        return f"{twice.index[0]} has the weights of {twice.iloc[0]}, and is left out of every fit and figure."
    pairs = _several([f"{name} (those of {original})" for name, original in twice.items()])
    return f"{len(twice)} have the weights of another one, and are left out of every fit and figure: {pairs}."


def _several(parts: Sequence[str]) -> str:
    rest = len(parts) - NAMED
    return display.listed(parts if rest < 1 else [*parts[:NAMED], f"{rest} more"])


def changes(compared: Comparison) -> str:
    """What changed against another study: models, verdicts, measurements."""
    models = f"The studies share {display.count(len(compared.shared), 'model')}"
    alone = [
        f"{display.count(len(names), 'model')} only in {where}"
        for names, where in ((compared.only_now, "this one"), (compared.only_before, "the one before"))
        if names
    ]
    outcomes = compared.findings["outcome"]
    both = int((~outcomes.isin([ONLY_NOW, ONLY_BEFORE])).sum())
    turned = int((outcomes == TURNED).sum())
    sure = int((compared.findings["change_p_adjusted"] < LEVEL).sum())
    verdicts = f"Of {display.count(both, 'finding')} of both, {turned} changed their verdict and {sure} their estimate"
    verdicts += " beyond chance"
    tested = int(compared.measurements["p_adjusted"].notna().sum())
    moved = f"{len(compared.changed)} of {display.count(tested, 'measurement')} with an interval changed beyond chance"
    return f"{', '.join([models, *alone])}. {verdicts}. On average over models ({compared.design}), {moved}."


def changed(row: Any) -> str:
    """A finding that changed, as a sentence: what it was and is, the change, and whether chance does as much."""
    about = f"{row.question.replace('_', ' ')}: {display.words(row.subject)}"
    was, now = (display.amount(value, row.unit) for value in (row.estimate_before, row.estimate_now))
    moved = f"{display.amount(row.change, row.unit)}{display.unit_name(row.unit)}"
    if pd.isna(row.change_p):
        sure = row.change_note
    else:
        span = f"[{display.amount(row.change_low, row.unit)} to {display.amount(row.change_high, row.unit)}]"
        p = display.p_value(row.change_p_adjusted)
        sure = f"{span}, p (Holm) {p}, {'beyond' if row.change_p_adjusted < LEVEL else 'no more than'} chance"
        sure += f", over {display.count(row.change_lineages, 'lineage')}"
    said = f"{about}, {was} before and {now} now: {moved} {sure}".rstrip(".") + "."
    if row.verdict_before != row.verdict_now:
        verdicts = (row.verdict_before or "described", row.verdict_now or "described")
        said += f" The verdict went from {verdicts[0]} to {verdicts[1]}."
    return display.sentence_case(said)


def gist(findings: Sequence[Finding], left_out: Sequence[LeftOut]) -> str:
    """The evidence on one question, in a sentence or two."""
    tested = [finding for finding in findings if finding.verdict] or list(findings)
    if not tested:
        return "Not answered: " + (left_out[0].reason if left_out else "nothing was measured for it.")
    if len(tested) == 1:
        basis = f"n = {tested[0].n} in {display.count(tested[0].lineages, 'lineage')}"
        return display.sentence_case(f"{display.words(tested[0].subject)}: {display.evidence(tested[0])}; {basis}.")
    outcomes, ends = _outcomes(tested), _range([each for each in tested if each.unit == tested[0].unit])
    return f"{outcomes}. {ends}." if outcomes else f"{ends}."


def firmness(findings: Sequence[Finding], ways: Sequence[Finding]) -> str:
    """How many of the intervals of a question leave out zero, by the rule of the report and in every other way."""
    about = {(each.subject, each.unit) for each in ways}
    by_way: dict[str, list[Finding]] = {"": [each for each in findings if (each.subject, each.unit) in about]}
    for each in ways:
        by_way.setdefault(each.way, []).append(each)
    said = [f"{display.way(name)} {_apart(made)}" for name, made in by_way.items()]
    return "; ".join(said) + "."


def _apart(findings: Sequence[Finding]) -> str:
    known = [(each.low, each.high) for each in findings if each.low is not None and each.high is not None]
    return f"{sum(low > 0 or high < 0 for low, high in known)} of {len(known)}" if known else "none has an interval"


def missing(left_out: Sequence[LeftOut]) -> str:
    """Which ways were not open, and why, each reason once."""
    reasons: dict[str, dict[str, int]] = {}
    for each in left_out:
        counts = reasons.setdefault(each.reason, {})
        counts[each.way] = counts.get(each.way, 0) + 1
    said = []
    for reason, counts in reasons.items():
        times = [display.way(way) + (f" ({number} times)" if number > 1 else "") for way, number in counts.items()]
        said.append(f"{display.listed(times)}: {reason}")
    return display.sentence_case(" ".join(said))


def _outcomes(tested: Sequence[Finding]) -> str:
    """How many tests came out how, and which of them were decided; nothing where nothing was tested."""
    by_verdict = {name: [each for each in tested if each.verdict == name] for name in VERDICTS}
    there = {name: found for name, found in by_verdict.items() if found}
    if not there:
        return ""
    if len(there) == 1:
        return f"{'Both' if len(tested) == 2 else f'All {len(tested)}'} tests are {next(iter(there))}"
    own = dict(zip(tested, _own_parts(tested)[1], strict=True))
    said = [
        f"{len(found)} {'is' if len(found) == 1 else 'are'} {name}"
        + (f" ({_several([own[each] for each in found])})" if name != "undecided" else "")
        for name, found in there.items()
    ]
    return f"Of {len(tested)} tests, {display.listed(said)}"


def _range(findings: Sequence[Finding]) -> str:
    """From the lowest to the highest estimate; what all of them are about comes first."""
    shared, own = _own_parts(findings)
    placed = sorted(zip(findings, own, strict=True), key=lambda pair: pair[0].estimate)
    (low, of_low), (high, of_high) = placed[0], placed[-1]
    kind = {"correlation": "Correlations", "slope": "Slopes"}.get(low.unit, "Differences") + (
        f" ({shared})" if shared else ""
    )
    ends = f"{display.amount(low.estimate, low.unit)} ({of_low}) to {display.amount(high.estimate, high.unit)}"
    return f"{kind} run from {ends}{display.unit_name(high.unit)} ({of_high})"


def _own_parts(findings: Sequence[Finding]) -> tuple[str, list[str]]:
    """The part of the subjects that all findings share, and what each has of its own."""
    parts = [display.words(finding.subject).split(", ") for finding in findings]
    shared = [part for part in parts[0] if all(part in each for each in parts)]
    own = [", ".join(part for part in each if part not in shared) for each in parts]
    if not all(own):
        return "", [", ".join(each) for each in parts]
    return ", ".join(shared), own
