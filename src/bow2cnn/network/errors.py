"""The error of this room."""


class NetworkError(ValueError):
    """A network or weights file that cannot be used; the message says in one line which and why."""


class MissingLibraryError(NetworkError):
    """A network for which a library is missing here."""
