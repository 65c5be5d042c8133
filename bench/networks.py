"""The networks of a run and their rankings, for scripts that compare them with the teacher; and the tables of these scripts."""

from functools import cached_property, partial

from bow2cnn.benchmarks.truth import ALL
from bow2cnn.config.model import Evaluation
from bow2cnn.core import artefact
from bow2cnn.descriptors.apply_steps import apply_steps, label_of, read_learned
from bow2cnn.descriptors.describe import describe_photos
from bow2cnn.descriptors.steps import prefixes_of
from bow2cnn.evaluation.ranking import rankings
from bow2cnn.network.input import cut, shrink
from bow2cnn.network.storage import load_network
from bow2cnn.photos.decode import read_rgb

TEACHER = "bag of words"


def networks_of(run, options):
    """The networks of a run that have described its collection, off the shelf first.

    Args:
        run: up to the stage `evaluation`.
        options: see `add_options`.
    """
    found = []
    for folder, kind in (("networks", "off the shelf: "), ("experiments", "")):
        paths = sorted(run.results.glob(f"{folder}/*/descriptors/collection.h5"))
        found += [Network(run, f"{kind}{path.parts[-3]}", path.parents[1], options) for path in paths]
    return found


def add_options(parser):
    """Add what `Network` needs to the options of a script."""
    defaults = Evaluation()
    parser.add_argument("--expansion-photos", type=int, default=defaults.expansion_photos)
    parser.add_argument("--expansion-alpha", type=float, default=defaults.expansion_alpha)
    parser.add_argument("--threads", type=int, default=2)


class Network:
    """A network of a run, with its descriptors.

    Args:
        run: the run.
        name: as tables call it.
        folder: of the network in the run.
        options: see `add_options`.
    """

    def __init__(self, run, name, folder, options):
        self.name, self._run, self._folder, self._threads = name, run, folder, options.threads
        whitening = folder / "whitening.h5"
        self._steps = ["whitened", "expanded"] if whitening.exists() else ["expanded"]
        settings = {"expansion_photos": options.expansion_photos, "expansion_alpha": options.expansion_alpha}
        self._learned = read_learned(self._steps, {"whitened": whitening}, settings)

    @cached_property
    def _model(self):
        return load_network(self._folder / "network.h5")

    @cached_property
    def _collection(self):
        return artefact.read(self._folder / "descriptors/collection.h5", "descriptors", ["descriptor", "missing"])

    def of_benchmark(self, benchmark):
        """Descriptors of the queries of a benchmark, float32 [q, D], of its photos, float32 [n, D], and bool [n], which are missing."""
        found = artefact.read(self._folder / f"descriptors/{benchmark}.h5", "descriptors", ["query", "descriptor", "missing"])
        return found["query"], found["descriptor"], found["missing"]

    def of_collection(self, rows):
        """Descriptors of photos of the collection, float32 [r, D], and bool [r], which are missing.

        A run describes only the photos that its pairs use; the others are described here.
        """
        described, missing = self._collection["descriptor"], self._collection["missing"]
        new, paths = rows[missing[rows]], self._run.photos["path"]
        described[new], missing[new] = self._describe([partial(self._model.input.load, paths[row], self._image_size) for row in new])
        return described[rows], missing[rows]

    def of_regions(self, benchmark, rows, region, enlarged):
        """Descriptors of regions of a benchmark's photos, float32 [q, D].

        Args:
            benchmark: its name.
            rows: of its photos, int [q].
            region: left, top, right, bottom in pixels, float64 [q, 4].
            enlarged: whether a region is described like a photo of its own, up to the image size of the network; otherwise at the scale
                that it has in the photo, as the evaluation describes the regions of queries.
        """
        paths = self._run.arrays("benchmark_photos", benchmark)["path"]
        load = partial(load_enlarged, self._model.input) if enlarged else self._model.input.load
        return self._describe([partial(load, paths[row], self._image_size, part) for row, part in zip(rows, region, strict=True)])[0]

    @cached_property
    def _params(self):
        with artefact.Reader(self._folder / "descriptors/collection.h5", "descriptors") as reader:
            return reader.params

    @property
    def _image_size(self):
        return self._params["image_size"]

    def _describe(self, load):
        return describe_photos(self._model, load, self._params["scales"], self._threads, self.name if load else None)

    def rank(self, queries, database, missing, words=""):
        """Rankings after no step, and after each step.

        Args:
            queries: float32 [q, D].
            database: float32 [n, D].
            missing: bool [n].
            words: what the names of the rows say of the queries.

        Yields:
            the name of a row, and per query the rows of the database, best first.
        """
        for names in prefixes_of([self._steps]):
            moved = apply_steps(names, queries, database, self._learned)
            label = label_of(names, self._learned)
            yield ", ".join(filter(None, (self.name, words, label))), [order for order, _ in rankings(*moved, missing)]


def load_enlarged(form, path, image_size, region):
    """A region of a photo, shrunk to the image size where it is larger, uint8 [h, w, 3]; `form` is the network's `Input`."""
    part = cut(read_rgb(path), region)
    return shrink(part, form.sides(part.shape[:2], min(1.0, image_size / max(part.shape[:2]))))


def column_title(benchmark, protocol):
    """What a table calls the figures of a benchmark under a protocol."""
    return benchmark if protocol == ALL else f"{benchmark}, {protocol}"


def print_tables(benchmark, columns, rows):
    """Print a table of mAP per protocol.

    Args:
        benchmark: its name.
        columns: their titles.
        rows: name of a row to its cells, each a dict of protocol to mAP.
    """
    for protocol in next(iter(rows.values()))[0]:
        print(f"\n| {column_title(benchmark, protocol)} |", *(f"{column} |" for column in columns))
        print("|---|" + "---|" * len(columns))
        for name, cells in rows.items():
            print(f"| {name} |", *(f"{cell[protocol]:.1f} |" for cell in cells), flush=True)
