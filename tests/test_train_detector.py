"""The training of the detector, on labelled sets made up for it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard

from made_up_words import COMMON, TELLING
from textassay.detector import Detector, write_detector
from textassay.lexicon import default_lexicon

TOOLS = Path(__file__).parent.parent / "tools"
SETS = ("one", "two", "three")


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


def text_of(rng: np.random.Generator, synthetic: bool, topic: str) -> str:
    sentences = []
    for _ in range(rng.integers(10, 60)):
        words = rng.choice([*COMMON, *TELLING[synthetic], topic], rng.integers(5, 15)).tolist()
        sentences.append(" ".join(words).capitalize() + ".")
    return "  ".join(sentences)


def row_of(name: str, number: int, synthetic: bool, text: str) -> dict[str, str]:
    side = "synthetic" if synthetic else "human"
    row = {"id": f"{name}/prose/{number}/{side}/all", "text": text, "source": name, "domain": "prose"}
    return row | {"generator": "model" if synthetic else "human", "label": side}


def write_rows(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / f"{name}.jsonl.zst").write_bytes(zstandard.compress(lines))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for name in SETS:
        sides = [(number, side) for number in range(40) for side in (False, True)]
        write_rows(folder, name, [row_of(name, n, side, text_of(rng, side, name)) for n, side in sides])
    return folder


def fitted(labelled):
    from detector.fitting import fit_model
    from detector.labelled import read_labelled
    from detector.samples import Samples

    samples = Samples.of(read_labelled(labelled))
    return samples, fit_model(samples, SETS, [], {})


def written(model, folder: Path) -> Detector:
    rest = {name: value for name, value in model.items() if name != "weights"}
    rest |= {"name": "test", "markers": default_lexicon().digest, "training": {}}
    write_detector(folder, rest, model["weights"])
    return Detector.load(folder)


def test_the_same_input_gives_the_same_files(labelled, tmp_path):
    for name in ("a", "b"):
        written(fitted(labelled)[1], tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_it_learns_what_tells_the_sides_apart(labelled, tmp_path):
    detector = written(fitted(labelled)[1], tmp_path)
    rng = np.random.default_rng(1)
    columns = {side: detector.columns([text_of(rng, side, "four") for _ in range(20)]) for side in (False, True)}
    assert detector.logit(columns[True]).min() > detector.logit(columns[False]).max()
    suspected = detector.at(0.05).verdict(columns[True]) == "synthetic_suspected"
    assert suspected[columns[True]["n_tokens"] >= 100].all()


def test_what_is_scored_in_training_is_what_the_detector_scores(labelled, tmp_path):
    samples, model = fitted(labelled)
    rows = np.arange(len(samples.documents))
    columns = samples.whole.scored(model["weights"], rows)
    found = written(model, tmp_path).columns([document.text for document in samples.documents])
    assert set(columns) == set(found)
    for name in columns:
        np.testing.assert_array_equal(columns[name], found[name])


def test_a_left_out_set_is_reported(labelled):
    from detector.evaluation import LeftOut, report
    from detector.fitting import fit_model

    samples, _ = fitted(labelled)
    text = report([LeftOut(samples, name, fit_model(samples, SETS, [name], {})) for name in SETS])
    for name in SETS:
        assert f"| {name} |" in text
    assert "nan" not in text


def test_a_group_with_a_human_text_of_a_left_out_set_is_left_out(labelled):
    from dataclasses import replace

    from detector.labelled import read_labelled
    from detector.samples import Samples

    documents = read_labelled(labelled)
    human = next(d for d in documents if d.dataset == "one" and not d.synthetic)
    number = next(i for i, d in enumerate(documents) if d.dataset == "two" and not d.synthetic)
    documents[number] = replace(documents[number], text=human.text)
    samples = Samples.of(documents)
    kept = {documents[row].id for row in samples.without(["one"])}
    group = documents[number].group
    assert {d.id for d in documents if d.dataset != "one"} - kept == {d.id for d in documents if d.group == group}


def test_texts_are_prepared(tmp_path):
    from detector.labelled import collapsed, finished, read_labelled

    assert collapsed(" a \n\n b\u00a0c ") == "a b c"
    assert finished("It ended. This one did not and so") == "It ended."
    assert finished("Only one, and it does not end") == "Only one, and it does not end"
    assert finished('He said: "Done."') == 'He said: "Done."'
    code = row_of("one", 0, True, "x " * 100) | {"domain": "Code"}
    write_rows(tmp_path, "some", [code, row_of("one", 1, True, "too short"), row_of("one", 2, True, "word " * 50)])
    assert [document.group for document in read_labelled(tmp_path)] == ["one/prose/2"]


def test_a_completion_is_cut_behind_its_human_prefix():
    from detector.labelled import Document, cut, without_human_prefix

    text = " ".join(f"w{i}" for i in range(400))
    document = Document("id", "set", "d", "gpt", "prefix30", True, "g", text)
    assert without_human_prefix(document).split()[0] == "w30"
    words = cut(document).split()
    assert 50 <= len(words) <= 370 and words == text.split()[int(words[0][1:]) :][: len(words)]
    assert cut(document) == cut(document)
