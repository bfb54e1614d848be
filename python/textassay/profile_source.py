"""Profiles by whatever holds one: a `.tap` file, the folder of a scan, an anchor."""

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Union

from textassay.errors import InputError, UsageError
from textassay.folder import BIGRAMS
from textassay.inputs import printable
from textassay.profile import Profile

if TYPE_CHECKING:
    from textassay.anchor import Anchor

PROFILE = "profile.tap"

ProfileSource = Union[Profile, "Anchor", str, PathLike[str]]
"""A profile, an anchor, or the path of a `.tap` file, of a folder that `scan` wrote, or of an anchor file."""


def profile_of(source: ProfileSource) -> tuple[str, Profile]:
    """A name for people, and the profile.

    Raises `InputError` where there is none, `UsageError` for an anchor without one (an imported model), `ProfileError` and
    `AnchorError` on damage.
    """
    from textassay.anchor import Anchor, load_anchor
    from textassay.anchor.file import MAGIC

    if isinstance(source, Profile):
        return "profile", source
    if isinstance(source, Anchor):
        return printable(str(source.path)), _profile_of_anchor(source)
    path = Path(source)
    file = path / PROFILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such profile; wanted a .tap file, a folder that scan wrote, or an anchor")
    with file.open("rb") as stream:
        is_anchor = stream.read(len(MAGIC)) == MAGIC
    return printable(fspath(source)), _profile_of_anchor(load_anchor(file)) if is_anchor else Profile.load(file)


def bigrams_of(source: ProfileSource) -> Profile | None:
    """The profile of 2-grams that `scan --bigrams` put beside the profile of words; None where there is none.

    Raises `ProfileError` on damage, `UsageError` where it holds something else.
    """
    if not isinstance(source, (str, PathLike)):
        return None
    path = Path(source)
    file = (path.parent if path.name == PROFILE else path) / BIGRAMS
    if not file.is_file():
        return None
    profile = Profile.load(file)
    if profile.configuration.tokens != "bigram":
        raise UsageError(f"{file}: wanted a profile of 2-grams, found one of {profile.configuration.tokens} tokens")
    return profile


def _profile_of_anchor(anchor: "Anchor") -> Profile:
    if anchor.profile is None:
        raise UsageError(f"{anchor.path}: an anchor made of an imported model holds no profile of its text")
    return anchor.profile
