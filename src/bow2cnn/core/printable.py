"""Text from outside, such as names of files and error messages of other libraries."""


def printable(text: str) -> str:
    """Escape every character that cannot be printed: line breaks, control codes, surrogates of bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type if the message is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]
