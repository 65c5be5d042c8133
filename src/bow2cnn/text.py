"""Text that is not ours, such as the names of files."""


def printable(text):
    """The text with every character escaped that is no letter, sign or space: line breaks, control codes, bytes that are no UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
