"""An artefact whose arrays are read when they are asked for."""

from pathlib import Path
from typing import Any

from bow2cnn.core import artefact


class Arrays:
    """The arrays of an artefact by name (`arrays["pair"]`): each is read when it is first asked for, and kept. Texts are lists of str.

    Args:
        path: the artefact.
        kind: the kind that it has to be, any if None.

    Raises:
        ArtefactError: the artefact is missing, damaged, of another kind or version, or has no such array.
    """

    def __init__(self, path: str | Path, kind: str | None = None) -> None:
        self.path = Path(path)
        self._kind = kind
        self._arrays: dict[str, Any] = {}
        with artefact.Reader(path, kind) as reader:
            self._names, self.params = frozenset(reader.names()), reader.params

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Any:
        if name not in self._arrays:
            with artefact.Reader(self.path, self._kind) as reader:
                self._arrays[name] = reader[name]
        return self._arrays[name]

    def part(self, name: str, start: int, stop: int) -> Any:
        """Rows `start` to `stop` of an array, which is not read whole."""
        with artefact.Reader(self.path, self._kind) as reader:
            return reader.part(name, start, stop)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, which is not read."""
        with artefact.Reader(self.path, self._kind) as reader:
            return reader.shape(name)
