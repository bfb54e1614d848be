"""Text of a corpus, made fit to be shown: in a terminal, in XML, in Markdown."""


def clean(text: str, longest: int = 60) -> str:
    """No control or format characters, no line break, not too long."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
