"""The errors of this room."""


class NetworkError(ValueError):
    """A network or weights file that cannot be used; the message says in one line which and why."""


class MissingLibraryError(NetworkError):
    """A network that needs a library which is not installed, or does not import."""
