"""Paths to fields of a JSON record."""

from textassay.errors import UsageError


def parse_field(path: str) -> tuple[str, ...]:
    """`meta.text` and `/meta/text` (JSON pointer, RFC 6901) are ("meta", "text"). A number indexes an array.

    Only a pointer can name keys that hold dots. Raises `UsageError` on an empty path or component.
    """
    if path.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
        return tuple(parts)
    parts = path.split(".")
    if not all(parts):
        raise UsageError(f"field {path!r}: wanted names joined by dots, or a JSON pointer that begins with /")
    return tuple(parts)
