"""Pages for people: `report.html` of a scan. jinja2 and matplotlib are loaded when a page is made."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec

from textassay.errors import OutputWarning, UsageError


def has_report() -> bool:
    return find_spec("jinja2") is not None and find_spec("matplotlib") is not None


def require_report() -> None:
    """Raises `UsageError` where pages cannot be made."""
    if not has_report():
        raise UsageError("a report needs jinja2 and matplotlib: pip install 'textassay[report]'")


def can_report() -> bool:
    """Whether pages can be made; if not, a warning says what is missing."""
    if not has_report():
        warnings.warn("no report.html is written; for one: pip install 'textassay[report]'", OutputWarning, 3)
    return has_report()


def page_or_warning(make: Callable[[], bytes]) -> bytes | None:
    """What `make` returns; None, and a warning, where it fails: a page is not worth the results of a long scan."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 (whatever it is, what was measured is to be written)
        warnings.warn(f"no report.html, for a bug: {error!r}; please report it", OutputWarning, 3)
        return None
