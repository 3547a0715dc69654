"""Text from handlers, made fit to be stored."""


def storable_text(text: str, max_chars: int) -> str:
    """Cut a text, and replace what PostgreSQL and UTF-8 cannot hold: U+0000 and lone surrogates.

    Args:
        text: Any text.
        max_chars: The length above which it is cut; it then ends with `…`.
    """
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
