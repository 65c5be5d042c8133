"""Text that is not ours, such as the names of files and what other libraries say of errors."""


def printable(text):
    """The text with every character escaped that is no letter, sign or space: line breaks, control codes, bytes that are no UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error):
    """The first line of an error's message, its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
