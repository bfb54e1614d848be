"""Small pieces of HTML for a notebook, from the words of the pages."""

from collections.abc import Mapping
from typing import Any

from textassay.profile import Profile
from textassay.report.answer import corpus_facts, headline, lead, steps
from textassay.report.comparison_page import comparison_facts, comparison_headline, mostly
from textassay.report.page import fragment


def profile_html(profile: Profile) -> str:
    """What a notebook shows of a profile."""
    mine = profile.configuration
    summary = {"configuration": {"tokens": mine.tokens}, "corpus": profile.summary(), "inputs": {"profiles": 1}}
    return fragment("fragment.html", {"headline": "Profile", "lead": lead(summary), "facts": corpus_facts(summary)})


def scan_html(summary: Mapping[str, Any]) -> str:
    """What a notebook shows of a scan."""
    content = {"headline": headline(summary), "lead": lead(summary), "facts": corpus_facts(summary)}
    return fragment("fragment.html", content | {"steps": steps(summary)})


def comparison_html(found: Mapping[str, Any]) -> str:
    """What a notebook shows of a comparison, from its JSON document."""
    reference, current = found["reference"], found["comparisons"][-1]
    content = {"headline": comparison_headline(reference, current), "lead": " ".join(mostly(current))}
    return fragment("fragment.html", content | {"facts": comparison_facts(current)})
