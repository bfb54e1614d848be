"""What the gate says, for continuous integration: JUnit XML and Markdown. Names come from the corpus and may be hostile."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from textassay.formatting import clean
from textassay.gate_places import Place
from textassay.gating import Check, GateResult, Unit

SHOWN = 10
LONGEST = 300


def amount(value: float, unit: Unit) -> str:
    """A value with its unit: a share in percent."""
    if unit == "share":
        return f"{100 * value:.4g} %"
    # Whole numbers in full: a limit of 1,000,000 tokens is not 1e+06.
    shown = f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return f"{shown} {unit}".rstrip()


def found(check: Check) -> str:
    return "no data" if check.value is None else amount(check.value, check.unit)


def wanted(check: Check) -> str:
    """`at least 9 bits, missed by 0.2 bits`."""
    least = None if check.min is None else amount(check.min, check.unit)
    most = None if check.max is None else amount(check.max, check.unit)
    limits = f"at least {least}" if most is None else f"at most {most}" if least is None else f"{least} to {most}"
    return f"{limits}, missed by {amount(check.excess, check.unit)}" if check.excess and not check.passed else limits


def place_line(place: Place, unit: Unit) -> str:
    """One line about a place, clean: no character in it acts on a terminal, or is none of XML's."""
    value = "" if place.value is None else f"{amount(place.value, unit)}: "
    return clean(f"{place.label}: {value}{place.note}", LONGEST)


def worst_first(checks: Sequence[Check]) -> list[Check]:
    """What fails the gate, then what only would, then what passed; each in the policy's order."""
    return sorted(checks, key=lambda check: (check.passed, not check.fails_gate))


# --- JUnit


def junit(results: Sequence[GateResult]) -> bytes:
    """JUnit XML as Jenkins, GitLab and others read it: a suite for each folder, a case for each limit. A monitored limit that
    is missed is a case that was skipped, so that it does not fail the build, with the reason.
    """
    root = ElementTree.Element(
        "testsuites", {"name": "textassay gate"} | _counts([c for r in results for c in r.checks])
    )
    for result in results:
        counts = _counts(result.checks)
        suite = ElementTree.SubElement(root, "testsuite", {"name": clean(result.out, LONGEST)} | counts)
        for check in result.checks:
            case = {"classname": "textassay.gate", "name": clean(check.name, LONGEST), "time": "0"}
            _outcome(ElementTree.SubElement(suite, "testcase", case), check)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _counts(checks: Sequence[Check]) -> dict[str, str]:
    failures = sum(check.fails_gate for check in checks)
    skipped = sum(not check.passed for check in checks) - failures
    counts = {"tests": len(checks), "failures": failures, "errors": 0, "skipped": skipped}
    return {name: str(number) for name, number in counts.items()} | {"time": "0"}


def _outcome(case: ElementTree.Element, check: Check) -> None:
    said = clean(f"{found(check)}; wanted {wanted(check)}; {check.message}", 2 * LONGEST)
    if check.passed:
        ElementTree.SubElement(case, "system-out").text = said
    elif check.fails_gate:
        failure = ElementTree.SubElement(case, "failure", {"type": check.outcome, "message": said})
        failure.text = "\n".join([said, *(place_line(place, check.unit) for place in check.places[:SHOWN])])
    else:
        ElementTree.SubElement(case, "skipped", {"message": f"monitored: {said}"})


# --- Markdown


def markdown(results: Sequence[GateResult]) -> str:
    """A section for a page such as GitHub's summary of a step: a table for each folder, with the places that are worst."""
    return "\n".join(_section(result) for result in results)


def _section(result: GateResult) -> str:
    verdict = "passed" if result.passed else "failed"
    lines = [f"### textassay gate {verdict}: {_code(result.out)}", ""]
    lines += ["| | limit | found | wanted | of |", "| --- | --- | --- | --- | --- |"]
    for check in worst_first(result.checks):
        mark = "✅" if check.passed else "❌" if check.fails_gate else "⚠️ monitored"
        texts = (check.name, found(check), wanted(check), check.message)
        lines.append(f"| {mark} | {' | '.join(_text(text) for text in texts)} |")
    for check in worst_first(result.checks):
        if check.places:
            lines += ["", f"**{_text(check.name)}**, worst first:", ""]
            lines += [f"- {_code(place_line(place, check.unit))}" for place in check.places[:SHOWN]]
    return "\n".join([*lines, ""])


_MARKUP = re.compile(r"[^\w ]", re.ASCII)


def _text(text: str) -> str:
    """As characters that have no meaning to Markdown or HTML: all that is neither letter, digit nor blank as a reference,
    which can begin nothing (CommonMark, section 2.5).
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", clean(text, LONGEST)).replace("_", "&#95;")


def _code(text: str) -> str:
    """In a <code>, where sites do not look for links and mentions either."""
    return f"<code>{_text(text)}</code>"


def html(found: Mapping[str, Any]) -> bytes:
    """A page to look at, of the JSON document `gating.report`; needs the extra `report`."""
    from textassay.report.gate_page import gate_page

    return gate_page(found)
