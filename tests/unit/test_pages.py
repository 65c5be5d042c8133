"""The pages of the 3D models: what they show is what the artefacts say, and nothing in them is dangerous."""

import itertools
import re

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.pages.model import ModelPages
from bow2cnn.report.pages.network import draw_network
from bow2cnn.report.pages.overview import overview
from bow2cnn.report.pages.write import name_of, write_pages
from bow2cnn.run.run import Run


@pytest.fixture(scope="module")
def files(modelled, tmp_path_factory):
    """The files that the pages are made of."""
    split = tmp_path_factory.mktemp("pages") / "split.h5"
    count = len(artefact.read(modelled.models, "models", ["cluster"])["cluster"])
    artefact.write(split, "split", {"side": np.arange(count).astype(np.int8) % 3, "reason": ["dropped: <b>shown</b>"] * count})
    paths = {name: getattr(modelled, name) for name in ("collection", "graph", "clusters", "models", "features")}
    return {**paths, "split": split}


@pytest.fixture(scope="module")
def run(files):
    return Run(files)


@pytest.fixture(scope="module")
def models(run):
    return ModelPages(run, ThumbnailCache())


def test_every_model_has_a_page_and_the_overview_leads_to_all(files, models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model-999.html").write_text("of an earlier run")
    write_pages(tmp_path / "out", files)
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()}
    assert set(written) == {"index.html", *(name_of(number) for number in range(len(models)))}
    links = set(re.findall(r'href="([^"#]+)"', written["index.html"])) - {"data:,"}
    assert links == set(written) - {"index.html"}
    for name, page in written.items():
        assert page.count("<script>") == 1 and "<b>shown</b>" not in page
        assert all(link.startswith("data:") for link in re.findall(r'src="([^"]+)"', page)), name
    assert "dropped: &lt;b&gt;shown&lt;/b&gt;" in written[name_of(0)]
    write_pages(tmp_path / "again", files)
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "again").iterdir()} == written


def test_a_page_says_what_the_model_is(run, models):
    arrays = run.models
    for number in range(len(models)):
        page = models.page(number)
        assert page["count"] == np.diff(arrays["photo_offset"])[number] == len(page["photos"])
        assert page["points"] == np.diff(arrays["point_offset"])[number]
        seen = [photo["points"] for photo in page["photos"]]
        assert seen == sorted(seen, reverse=True) and seen[0] > 0


def test_hardest_pairs_share_the_smallest_part_of_their_points(run, models):
    views = slice(*run.models["photo_offset"][:2])
    chosen = models.hardest(views)
    assert chosen
    shares, used = [], []
    for first, second, points in chosen:
        own, other = (set(models._covisibility.points(view).tolist()) for view in (first, second))
        assert own & other == set(points.tolist()) and len(points) >= 15
        shares.append(len(points) / min(len(own), len(other)))
        used += [first, second]
        for view in (first, second):
            assert len(models._seen_at(view, points)) == len(points)
    assert shares == sorted(shares) and max(used.count(view) for view in used) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_hardest_pairs_are_those_of_a_walk_through_all(models, monkeypatch, seed):
    """Sixty photos that see some of 200 points each, and many pairs that share equally much."""
    generator = np.random.default_rng(seed)
    seen = [np.flatnonzero(generator.random(200) < share) for share in generator.choice([0.1, 0.2, 0.4], 60)]
    monkeypatch.setattr(models, "_covisibility", Covisibility(artefact.offsets(list(map(len, seen))), np.concatenate(seen)))
    shares = []
    for a, b in itertools.combinations(range(60), 2):
        common = len(np.intersect1d(seen[a], seen[b]))
        if common >= 15:
            shares.append((common / min(len(seen[a]), len(seen[b])), a, b))
    used, expected = np.zeros(60, int), []
    for _, a, b in sorted(shares):
        if used[a] < 2 and used[b] < 2 and len(expected) < 8:
            used[[a, b]] += 1
            expected.append((a, b))
    assert [(first, second) for first, second, _ in models.hardest(slice(0, 60))] == expected and len(expected) == 8


def test_points_of_a_pair_are_where_the_photos_see_them(run, models):
    """Projected with the model's cameras they fall onto the features."""
    arrays = run.models
    first, second, points = models.hardest(slice(*arrays["photo_offset"][:2]))[0]
    for view in (first, second):
        row = arrays["photo"][view]
        camera = arrays["point"][points] @ arrays["rotation"][view].T + arrays["translation"][view]
        flat = camera[:, :2] / camera[:, 2:]
        flat = flat * (1 + arrays["k1"][view] * (flat**2).sum(1, keepdims=True)) * arrays["focal"][view]
        centre = np.array(run.size(row)) / 2
        assert np.median(np.linalg.norm(flat + centre - models._seen_at(view, points), axis=1)) < 2


def test_the_graph_has_all_pairs_of_the_busiest_photos():
    pairs, inliers = np.array([[0, 1], [1, 2], [2, 0], [2, 3]]), np.array([20, 300, 40, 50])
    found = draw_network(pairs, inliers, ["a", "b", "c", "<d>"], {0, 1})
    assert len(found["lines"]) == 4 and found["left_out"] == 0
    assert [title for *_, title in found["dots"]] == ["a: 2 pairs", "b: 2 pairs", "c: 3 pairs", "<d>: 1 pairs"]
    assert [inside for *_, inside, _ in found["dots"]] == [True, True, False, False]
    xy = np.array([dot[:2] for dot in found["dots"]])
    assert (xy >= 0).all() and (xy <= (found["width"], found["height"])).all() and len(np.unique(xy, axis=0)) == 4
    star = np.stack([np.zeros(400, int), np.arange(1, 401)], 1)
    assert draw_network(star, np.full(400, 30), {row: str(row) for row in range(401)}, {0})["left_out"] == 101


def test_a_run_without_models_has_an_overview(files, tmp_path):
    none = np.zeros(0, np.int32)
    models = {"cluster": none, "rejected/cluster": np.array([0]), "rejected/reason": ["only 3 points"]}
    artefact.write(tmp_path / "models.h5", "models", models)
    artefact.write(tmp_path / "split.h5", "split", {"side": none})
    empty = Run({**files, "models": tmp_path / "models.h5", "split": tmp_path / "split.h5"})
    found = overview(empty, ThumbnailCache(), name_of)
    assert [card["models"] for card in found["cards"]] == [[]] * len(found["cards"])
    assert found["cards"][0]["reasons"] == ["only 3 points"]


def test_pages_that_are_not_finished_are_not_there(files, tmp_path, monkeypatch):
    """A folder that is there counts as finished after a kill."""
    written = []

    def fail(path, *parts):
        if written:
            raise KeyboardInterrupt
        written.append(path)

    left = tmp_path / ".out.1.tmp"
    left.mkdir()
    monkeypatch.setattr("bow2cnn.report.pages.write.write_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        write_pages(tmp_path / "out", files)
    assert written and list(tmp_path.iterdir()) == []
