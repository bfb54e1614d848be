"""`textassay gate`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import GATE_FAILED, say
from textassay.cli.options import Json, option

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def gate(
    outs: Annotated[
        list[Path] | None, typer.Argument(metavar="OUT...", help="Folders that scan wrote.", show_default=False)
    ] = None,
    policy: Annotated[
        Path | None, option("policy", "Limits, a TOML file; else the default policy.", show_default=False)
    ] = None,
    reference: Annotated[
        Path | None,
        option(
            "reference",
            "What drift and tail are measured against: a .tap file, a scan's folder or an anchor.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A JSON file for the report.", show_default=False)
    ] = None,
    junit: Annotated[
        Path | None, option("junit", "A file for JUnit XML, which CI systems read.", show_default=False)
    ] = None,
    page: Annotated[
        Path | None, option("page", "An HTML file to look at, which needs nothing else.", show_default=False)
    ] = None,
    github_summary: Annotated[
        bool | None,
        typer.Option(
            "--github-summary/--no-github-summary",
            help=f"Add the report to the file that ${SUMMARY_VARIABLE} names. The default is to do so where it is set.",
            show_default=False,
        ),
    ] = None,
    read_documents: Annotated[
        bool, typer.Option(help="Read the rows of documents to name the worst files of a limit that is missed.")
    ] = True,
    print_policy: Annotated[
        bool, typer.Option("--print-policy", help="Print the default policy, a file to begin with, and exit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Hold scanned corpora to a policy: limits on entropy, richness, synthetic and human shares, damage, drift.

    No text is read again. Exit code 1 where an enforced limit is missed, or there is no data to tell.
    """
    from textassay.atomic import replacing
    from textassay.errors import ProfileError, UsageError
    from textassay.folder import json_text
    from textassay.gate_policy import GatePolicy, default_text
    from textassay.gate_reports import html, markdown
    from textassay.gate_reports import junit as junit_of
    from textassay.gating import gate_all, report
    from textassay.report import require_report

    if print_policy:
        sys.stdout.write(default_text())
        return
    if not outs:
        raise UsageError("nothing to gate: wanted folders that scan wrote")
    if page is not None:
        require_report()
    summary = os.environ.get(SUMMARY_VARIABLE)
    if github_summary and not summary:
        raise UsageError(f"--github-summary: the variable {SUMMARY_VARIABLE} names no file")
    used = GatePolicy.default() if policy is None else GatePolicy.load(policy)
    try:
        results = gate_all(outs, used, reference=reference, read_documents=read_documents)
    except ProfileError as error:
        # A scan that meets damage has a result nevertheless; here there is none.
        raise UsageError(str(error)) from error
    found = report(results, used)
    text = json_text(found)
    contents = {out: text.encode, junit: lambda: junit_of(results), page: lambda: html(found)}
    for path, made in contents.items():
        if path is not None:
            with replacing(path) as stream:
                stream.write(made())
    if summary and github_summary is not False:
        with open(summary, "a", encoding="utf-8") as stream:
            stream.write(markdown(results) + "\n")
    if as_json:
        sys.stdout.write(text)
    else:
        from textassay.cli.render_gate import print_gate

        print_gate(results)
    for path in contents:
        if path is not None:
            say(f"written to {path}")
    if not all(result.passed for result in results):
        raise typer.Exit(GATE_FAILED)
