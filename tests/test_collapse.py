"""Stages of collapse: each rule, sequences of corpora, the command."""

import json
import random

import pytest
from typer.testing import CliRunner

from textassay import collapse
from textassay.cli.app import app
from textassay.collapse import FIGURES, RULES, STAGES, Limits, judge
from textassay.errors import UsageError
from textassay.profile import Profile

FINE = dict.fromkeys(FIGURES, 1.0)


def test_figures_as_the_reference_has_them_are_healthy():
    found = judge(FINE)
    assert found.name == "healthy" and found.reasons == ()


@pytest.mark.parametrize("stage,conditions", RULES)
def test_each_rule_decides_and_says_why(stage, conditions):
    """Just below all its limits; at one of them it decides nothing."""
    limits = Limits()
    below = {figure: getattr(limits, limit) - 1e-6 for figure, limit in conditions}
    found = judge(FINE | below)
    assert stage in {reason.stage for reason in found.reasons}
    assert STAGES.index(found.name) >= STAGES.index(stage)
    assert found.reasons[0].stage == found.name
    for figure, limit in conditions:
        at = judge(FINE | below | {figure: getattr(limits, limit)})
        assert (stage, figure) not in {(reason.stage, reason.figure) for reason in at.reasons}


def test_other_rare_words_are_another_topic_and_fewer_are_a_loss():
    assert judge(FINE | {"tail_retention": 0.3}).name == "healthy"
    assert judge(FINE | {"tail_retention": 0.3, "growth_kept": 0.7}).name == "early"


def test_what_is_missing_decides_nothing():
    assert judge({}).name == "healthy"
    assert judge(dict.fromkeys(FIGURES)).name == "healthy"
    assert judge({"mattr_kept": 0.1}).name == "total"


def test_limits_are_settable_and_checked():
    assert judge(FINE | {"types_kept": 0.5}, Limits(types=0.6)).name == "late"
    assert Limits.parse(["types=0.6", " mattr = 0.2"]) == Limits(types=0.6, mattr=0.2)
    for wrong in ("types", "types=", "types=x", "types=2", "types=nan", "kinds=0.5", "=0.5"):
        with pytest.raises(UsageError):
            Limits.parse([wrong])


def zipfian(n_types: int, n_tokens: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(n_types)]
    drawn = rng.choices(words, [1 / (i + 1) for i in range(n_types)], k=n_tokens)
    return [" ".join(drawn[i : i + 500]) for i in range(0, n_tokens, 500)]


def profile_of(texts: list[str]) -> Profile:
    profile = Profile("n_tokens,mattr")
    profile.update(texts)
    return profile


def test_a_made_up_sequence_goes_from_bad_to_worse(backend):
    """Each generation has fewer words, the rare ones are lost first; the last is a loop."""
    reference = profile_of(zipfian(20_000, 60_000, 0))
    sequence = [zipfian(n_types, 60_000, n_types) for n_types in (20_000, 6_000, 2_000, 400, 40)] + [
        ["a b c " * 170] * 120
    ]
    found = [one.name for one in collapse.stage(reference, [profile_of(texts) for texts in sequence])]
    assert found[0] == "healthy" and found[-1] == "total" and set(found) == set(STAGES)
    ranks = [STAGES.index(name) for name in found]
    assert ranks == sorted(ranks)


def test_identical_profiles_are_healthy(backend):
    profile = profile_of(zipfian(500, 5000, 0))
    (found,) = collapse.stage(profile, [profile])
    assert found.name == "healthy"
    assert {value for value in found.figures.values() if value is not None} == {1.0}


def test_past_the_type_limit_a_stage_is_estimated(backend):
    whole = zipfian(20_000, 60_000, 0)
    bounded = Profile("n_tokens,mattr", max_types=2048)
    bounded.update(whole)
    (found,) = collapse.stage(bounded, [profile_of(zipfian(1000, 60_000, 1))])
    assert found.name == "late"


def test_nothing_has_no_stage(backend):
    profile = profile_of(["a b c"])
    for pair in ((profile, profile_of([])), (profile_of([]), profile)):
        with pytest.raises(UsageError, match="without tokens"):
            collapse.stage(pair[0], [pair[1]])
    with pytest.raises(UsageError, match="word and char"):
        collapse.stage(profile, [Profile("n_tokens", tokens="char")])


# the command


@pytest.fixture
def taps(tmp_path):
    for name, n_types in (("real", 20_000), ("same", 20_000), ("poor", 1000)):
        profile_of(zipfian(n_types, 40_000, len(name) + n_types)).save(tmp_path / f"{name}.tap")
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "140"})


def test_the_command_prints_stages_and_reasons(taps):
    done = run("collapse", taps / "real.tap", taps / "same.tap", taps / "poor.tap")
    assert done.exit_code == 0, done.output
    assert "healthy" in done.stdout and "late" in done.stdout and "effective_types_kept" in done.stdout


def test_the_command_gives_json(taps):
    done = run("collapse", taps / "real.tap", taps / "poor.tap", "--json", "--stage-limit", "types=0.9,mattr=0.1")
    report = json.loads(done.stdout)
    assert report["schema"] == "textassay.collapse/1" and report["limits"]["types"] == 0.9
    (stage,) = report["stages"]
    assert stage["stage"] == "late" and set(stage["figures"]) == set(FIGURES)
    assert {reason["figure"] for reason in stage["reasons"]} >= {"types_kept", "effective_types_kept"}


@pytest.mark.parametrize(
    "more", [["--stage-limit", "what=1"], ["--tail-mass", "0"], ["--tail-mass", "nan"], ["--stage-limit", "types=7"]]
)
def test_hostile_options(taps, more):
    done = run("collapse", taps / "real.tap", taps / "poor.tap", *more)
    assert done.exit_code == 2 and done.stdout == ""


def test_missing_and_damaged_profiles(taps):
    assert run("collapse", taps / "real.tap", taps / "none.tap").exit_code == 2
    (taps / "bad.tap").write_bytes((taps / "poor.tap").read_bytes()[:-9])
    assert run("collapse", taps / "real.tap", taps / "bad.tap").exit_code == 3
