"""A comparison of profiles with the texts beside it: passages that show its features, and themes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike

from textassay.comparison import Comparison
from textassay.errors import UsageError
from textassay.text_sample import DOCUMENTS, sample_texts
from textassay.themes import learned_themes, with_examples

Inputs = str | PathLike[str] | Iterable[str | PathLike[str]]


def illustrate(
    comparison: Comparison,
    reference_text: Inputs,
    current_text: Inputs,
    *,
    text_fields: Sequence[str] = ("text",),
    themes: int = 0,
    documents: int = DOCUMENTS,
) -> Comparison:
    """The comparison with passages as examples of its tokens and, if `themes` is above 0, so many themes among its features.

    The texts are inputs as `scan` takes them. All are read; both samples, of up to `documents` each, are held
    (`text_sample.sample_texts`). Themes need scikit-learn.

    Raises `InputError` where there is no input, `UsageError` where nothing in it is a document, or without scikit-learn.
    """
    samples = {"reference": sample_texts(reference_text, text_fields, documents)}
    samples["current"] = sample_texts(current_text, text_fields, documents)
    for side, sample in samples.items():
        if not sample.texts:
            raise UsageError(f"the {side} text holds no document: {sample.n_malformed} records have no such text field")
    texts = [sample.texts for sample in samples.values()]
    features = with_examples(comparison.features, *texts)
    if themes:
        features += learned_themes(*texts, themes)
    return replace(comparison, features=features, samples={name: one.account() for name, one in samples.items()})
