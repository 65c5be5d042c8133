"""Search with any photo: known warps of known photos are found where they are, and whatever is wrong is one line."""

import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from bow2cnn.cli import main
from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.features.detector import Detector
from bow2cnn.features.extract import extract_features
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.forward import read_words
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.index.words import quantise_shard
from bow2cnn.photos.decode import PhotoError
from bow2cnn.retrieval.calibrate_inliers import calibrate_verification, read_min_inliers
from bow2cnn.run.run import Run
from bow2cnn.search.query import Query
from bow2cnn.search.searcher import DEFAULTS, Answer, Hit, Match, Searcher
from bow2cnn.search.sheet import draw_sheet
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn_demo.photo import jpeg

SIZE = (640, 480)
SHOWN = (400, 320)  # size of a view of a photo
GAP = 60  # blank pixels between the two views of the query
FIRST, SECOND = "photo-03.jpg", "photo-08.jpg"
# From the pixels of a view to those of the photo that it shows: a turn of 15 degrees, a change of scale, some perspective.
VIEWS = {
    FIRST: np.array([[1.05, -0.28, 150.0], [0.28, 1.05, 20.0], [4e-5, -3e-5, 1.0]]),
    SECOND: np.array([[1.2, 0.1, 20.0], [-0.1, 1.15, 60.0], [-4e-5, 2e-5, 1.0]]),
}
LEFT = (0, 0, SHOWN[0], SHOWN[1])  # the region of the query that shows the first


def texture(seed, width=SIZE[0], height=SIZE[1], count=350):
    """A picture with spots and bars of all sizes and colours, uint8 [h, w, 3]."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.uint8)
    for x, y, size, angle in rng.uniform((0, 0, 3, 0), (width, height, 18, 180), (count, 4)):
        cv2.ellipse(image, ((x, y), (2.5 * size, size), angle), rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def view(photo, homography):
    """What a view of a photo shows. Centres of pixels lie at halves for us, at whole numbers for OpenCV."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    inverse = np.linalg.inv(half) @ homography @ half
    return cv2.warpPerspective(photo, inverse, SHOWN, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(128, 128, 128))


def onto(homography, xy):
    """Points under a homography."""
    moved = np.column_stack([xy, np.ones(len(xy))]) @ homography.T
    return moved[:, :2] / moved[:, 2:]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder up to the index. Of fourteen photos, shrunk and with more features than are kept, one has a name unfit to print."""
    folder = tmp_path_factory.mktemp("run")
    photos, results = folder / "photos", folder / "results"
    photos.mkdir()
    for number in range(13):
        (photos / f"photo-{number:02d}.jpg").write_bytes(jpeg(texture(number)))
    (photos / "b\n\x1b[31m.jpg").write_bytes(jpeg(texture(13)))
    scan([photos], results / "collection", 2, 64, 10**7)
    shards = [f"shard-{shard:03d}.h5" for shard in range(2)]
    features, words = ([results / stage / shard for shard in shards] for stage in ("features", "words"))
    for shard, path in zip(shards, features, strict=True):
        extract_features(results / "collection" / shard, path, workers=2, max_features=500, side=560)
    vocabulary, collection = results / "vocabulary/vocabulary.h5", results / "collection/collection.h5"
    train_vocabulary(features, vocabulary, words=256, sample=10_000, iterations=4, seed=0, threads=1)
    for source, path in zip(features, words, strict=True):
        quantise_shard(source, vocabulary, path, threads=1)
    find_watermarks(collection, words, results / "index/watermarks.h5", 20, min_photos=4, seed=0)
    index = results / "index/index.h5"
    build_index(collection, words, results / "index/watermarks.h5", vocabulary, index)
    calibrate_verification(index, features, results / "index/verification.h5", 3, 100, 20, min_inliers=0, seed=0, threads=1)
    return SimpleNamespace(results=results, photos=photos, words=words, folder=folder)


@pytest.fixture(scope="module")
def asked(run):
    """A photo that shows two photos of the collection, each warped, and nothing between them."""
    left, right = (view(texture(int(name[6:8])), homography) for name, homography in VIEWS.items())
    blank = np.full((SHOWN[1], GAP, 3), 128, np.uint8)
    path = run.folder / "asked.png"
    Image.fromarray(np.concatenate([left, blank, right], 1)).save(path)
    return path


@pytest.fixture
def other(tmp_path):
    """A photo of something else."""
    Image.fromarray(texture(99)).save(tmp_path / "other.png")
    return tmp_path / "other.png"


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run's folder, to be damaged."""
    return shutil.copytree(run.results, tmp_path / "results")


def names(lookup, answer):
    """Of the verified hits, in order."""
    return [lookup.run.photos["name"][hit.photo] for hit in answer.hits if hit.verified]


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["search", *map(str, arguments)])
    return ended.value.code


def test_both_photos_that_the_query_shows_come_first(run, asked):
    lookup = Searcher(Run.open(run.results))
    answer = lookup.search(lookup.query(asked), 5)
    assert set(names(lookup, answer)) == {FIRST, SECOND}
    assert [hit.verified for hit in answer.hits] == [True, True, False, False, False] and answer.verified == 2
    assert min(hit.inliers for hit in answer.hits[:2]) >= 40 and answer.hits[0].score >= answer.hits[1].score


def test_a_region_is_all_that_is_asked_for(run, asked):
    lookup = Searcher(Run.open(run.results))
    whole = lookup.query(asked)
    right = (SHOWN[0] + GAP, 0, 2 * SHOWN[0] + GAP, SHOWN[1])
    for region, name in ((LEFT, FIRST), (right, SECOND)):
        query = lookup.query(asked, region)
        assert names(lookup, lookup.search(query, 14)) == [name]
        x = query.words.keypoint[:, 0]
        features = len(np.unique(query.words.feature))
        assert 50 < features < len(np.unique(whole.words.feature)) == query.all_features and region[0] <= x.min() and x.max() <= region[2]


def test_a_small_region_is_found_too(run, asked):
    lookup = Searcher(Run.open(run.results))
    query = lookup.query(asked, (120, 90, 240, 200))
    assert query.part == 120 / 860 and names(lookup, lookup.search(query, 14)) == [FIRST]


def test_matches_lie_where_the_warp_puts_them(run, asked):
    lookup = Searcher(Run.open(run.results))
    query = lookup.query(asked, LEFT)
    hit = lookup.search(query, 1).hits[0]
    match = lookup.match(query, hit.photo)
    error = match.photo - onto(VIEWS[FIRST], match.query)
    assert len(error) >= hit.inliers >= 40
    assert np.median(np.linalg.norm(error, axis=1)) < 1.0 and np.abs(np.median(error, 0)).max() < 0.3
    corners = np.array([[0, 0], [400, 0], [400, 320], [0, 320]])
    projected = corners @ match.transform[:, :2].T + match.transform[:, 2]
    assert np.linalg.norm(projected - onto(VIEWS[FIRST], corners), axis=1).max() < 20, "an affine transform of a little perspective"


def test_a_region_counts_in_pixels_of_the_upright_photo(run, asked, tmp_path):
    upright = np.asarray(Image.open(asked))
    (tmp_path / "turned.jpg").write_bytes(jpeg(upright, form="rotated"))
    lookup = Searcher(Run.open(run.results))
    query = lookup.query(tmp_path / "turned.jpg", LEFT)
    assert query.words.size == (upright.shape[1], upright.shape[0])
    assert names(lookup, lookup.search(query, 14)) == [FIRST]


def test_the_words_of_a_query_are_those_that_the_stages_make(run):
    """Whether a photo came with the collection or is asked for: the same features, words and signatures."""
    lookup = Searcher(Run.open(run.results), soft_words=1)
    photo = lookup.run.photos["name"].index(FIRST)
    query, forward = lookup.query(lookup.run.photos["path"][photo]), read_words(run.words)
    rows = slice(*forward["offset"][photo : photo + 2])
    for name in ("keypoint", "feature", "word"):
        np.testing.assert_array_equal(getattr(query.words, name), forward[name][rows])
    assert np.bitwise_count(query.words.signature ^ forward["signature"][rows]).mean() < 0.2, "but for rounding at the medians"
    first = lookup.search(query, 3).hits[0]
    assert first.photo == photo and 1 + first.inliers / 8 <= first.score < 1 + len(query.words) / 8, "by words 1, raised by geometry"
    match = lookup.match(query, photo)
    np.testing.assert_allclose(match.transform, np.eye(2, 3), atol=1e-6)


def test_settings_are_those_of_the_run_unless_others_are_given(run, copy):
    calibrated = read_min_inliers(run.results / "index/verification.h5").features
    assert Searcher(Run.open(run.results)).settings == {**DEFAULTS, "max_hamming": 20, "min_inliers": calibrated}
    limits = {"words": 7, "features": 9, "soft_words": 4, "shortlist": 77}
    artefact.write(copy / "index/verification.h5", "verification", {}, limits)
    artefact.write(copy / "retrieval/a.h5", "ranking", {}, {"soft_words": 5, "shortlist": 66, "max_expansion": 3, "expansion_inliers": 20})
    expected = {"soft_words": 4, "max_hamming": 20, "min_inliers": 9, "shortlist": 77, "max_expansion": 3, "expansion_inliers": 20}
    assert Searcher(Run.open(copy)).settings == expected
    assert Searcher(Run.open(copy), shortlist=5, min_inliers=8).settings == {**expected, "shortlist": 5, "min_inliers": 8}


def test_what_is_asked_for_counts(run, asked):
    """A shortlist of one, more inliers than there are, an expanded query."""
    lookup = Searcher(Run.open(run.results), shortlist=1)
    answer = lookup.search(lookup.query(asked), 5)
    assert (answer.verified, answer.checked) == (1, 1)
    lookup = Searcher(Run.open(run.results))
    query = lookup.query(asked, LEFT)
    plain, expanded = (lookup.search(query, 3, expand) for expand in (False, True))
    for more, verified in ((0, 1), (1, 0)):
        strict = Searcher(Run.open(run.results), min_inliers=plain.hits[0].inliers + more)
        assert strict.search(query, 3).verified == verified
    assert names(lookup, expanded)[0] == FIRST and [hit.score for hit in expanded.hits] != [hit.score for hit in plain.hits]


def test_the_table_marks_what_is_verified(run, asked, capsys):
    assert command(run.results, asked, "--count", 4, "--region", *LEFT) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and "region 0 0 400 320 with " in lines[0] and "14 photos" in lines[0]
    assert lines[2].split()[:2] == ["1", "*"] and lines[2].endswith(f"/{FIRST}")
    assert [line.split()[1] == "*" for line in lines[2:6]] == [True, False, False, False]
    assert lines[6].startswith("1 photo is verified: 11 or more")


def test_names_are_escaped(run, asked, capsys):
    assert command(run.results, run.photos / "b\n\x1b[31m.jpg", "--count", 1) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and shown.count(r"b\n\x1b[31m.jpg") == 2 and len(shown.splitlines()) == 4


def test_nothing_verified_is_said(run, other, capsys):
    assert command(run.results, other) == 0
    shown = capsys.readouterr()
    assert "*" not in "".join(line[:10] for line in shown.out.splitlines()[2:])
    assert shown.out.splitlines()[-1].startswith("nothing verified: none of the 14 most similar photos") and not shown.err


def test_a_blank_photo_finds_nothing_and_says_why(run, asked, tmp_path, capsys):
    Image.new("RGB", (200, 100), "grey").save(tmp_path / "blank.png")
    assert command(run.results, tmp_path / "blank.png", "--draw", tmp_path / "out.png") == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing found: the photo has no local features"]
    assert Image.open(tmp_path / "out.png").size[0] > 200
    between = (SHOWN[0] + 25, 100, SHOWN[0] + 35, 110)
    assert command(run.results, asked, "--region", *between) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing found: the region has no local features"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": "gone"}, "gone/index/index.h5: no such file"),
        ({"photo": "gone.jpg"}, "gone.jpg: no such file"),
        ({"photo": "text.jpg"}, "text.jpg: not a photo"),
        ({"photo": "cut.jpg"}, "cut.jpg: cannot be decoded"),
        ({"photo": "."}, "not a regular file"),
        ({"region": (9000, 0, 9100, 50)}, "region 9000 0 9100 50 lies outside the photo, which is 860 x 320 pixels"),
        ({"region": (50, 10, 20, 40)}, "region 50 10 20 40 is empty"),
        ({"region": ("nan", 10, 20, 40)}, "is empty"),
        ({"draw": "out.pdf"}, "out.pdf: the name of a picture must end in .png"),
        ({"draw": "text.jpg/out.png"}, "text.jpg/out.png: cannot be written"),
    ],
)
def test_what_is_wrong_is_one_line(run, asked, tmp_path, capsys, change, said):
    (tmp_path / "text.jpg").write_text("text")
    whole = jpeg(texture(0))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    given = {"results": run.results, "photo": asked, **{key: tmp_path / change[key] for key in change if key != "region"}}
    options = ["--region", *change["region"]] if "region" in change else []
    options += ["--draw", given["draw"]] if "draw" in change else []
    assert command(given["results"], given["photo"], *options) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and said in error
    assert not list(tmp_path.glob("out*"))


def other_version(results):
    with h5py.File(results / "index/index.h5", "r+") as file:
        file.attrs["version"] = 99


def other_words(results):
    features = sorted(results.glob("features/*.h5"))
    train_vocabulary(features, results / "vocabulary/vocabulary.h5", words=256, sample=10_000, iterations=1, seed=1, threads=1)


def other_photos(results):
    arrays = artefact.read(results / "collection/collection.h5", "collection")
    arrays["sha256"][0, 0] ^= 1
    artefact.write(results / "collection/collection.h5", "collection", arrays, {"max_pixels": 10**7})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (other_version, "index/index.h5: index version 99"),
        (other_words, "index/index.h5: is of other words than"),
        (other_photos, "index/watermarks.h5: describes other photos than"),
        (lambda results: (results / "vocabulary/vocabulary.h5").unlink(), "vocabulary/vocabulary.h5: no such file"),
    ],
)
def test_a_run_that_does_not_fit_together_is_one_line(copy, asked, capsys, damage, said):
    damage(copy)
    capsys.readouterr()
    assert command(copy, asked) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and said in error


def test_a_photo_that_kills_its_process_is_an_error_like_others(run, asked, monkeypatch):
    lookup = Searcher(Run.open(run.results))
    monkeypatch.setattr(Detector, "detect", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(PhotoError, match="its process died"):
        lookup.query(asked)


@pytest.mark.parametrize("name", ["out.png", "new/out.JPG"])
def test_the_picture_has_a_panel_per_verified_photo(run, asked, tmp_path, capsys, name):
    sizes = []
    for region in ([], ["--region", *LEFT]):
        assert command(run.results, asked, "--draw", tmp_path / name, *region) == 0
        with Image.open(tmp_path / name) as picture:
            assert picture.format == ("PNG" if name.endswith("png") else "JPEG")
            sizes.append(np.asarray(picture).shape)
    assert not capsys.readouterr().err
    assert sizes[0][1] > 1600 and sizes[1][1] < 1100, "two panels beside each other, one"


def test_a_photo_that_vanished_gets_a_placeholder(run, asked, tmp_path, capsys):
    lookup = Searcher(Run.open(run.results))
    lookup.run.photos["path"][lookup.run.photos["name"].index(FIRST)] = str(run.photos / "gone.jpg")
    query = lookup.query(asked, LEFT)
    answer = lookup.search(query, 3)
    gone = np.asarray(draw_sheet(lookup, query, answer))
    here = np.asarray(draw_sheet(Searcher(Run.open(run.results)), query, answer))
    grey = (gone == (168, 170, 174)).all(2)
    assert grey.sum() > 20_000 and (here == (168, 170, 174)).all(2).sum() < 100
    assert (gone[~grey] == here[~grey]).all(1).mean() > 0.9, "all else stays"


@pytest.fixture
def plain(tmp_path):
    """A lookup of one plain black photo, a query of another, and a match of both at known places: a shift by (100, 50)."""
    for name in ("query.png", "photo.png"):
        Image.new("RGB", (400, 300)).save(tmp_path / name)
    empty = QuantisedFeatures(*(np.zeros(0) for _ in range(4)), (400, 300))
    query = Query(str(tmp_path / "query.png"), (40, 30, 140, 130), empty, None, 0)
    match = Match(np.array([[60.0, 100.0]]), np.array([[160.0, 150.0]]), np.array([[1, 0, 100.0], [0, 1, 50.0]]))
    photos = {"path": [str(tmp_path / "photo.png")], "name": ["photo.png"]}
    run = SimpleNamespace(photos=photos, size=lambda _: (400, 300))
    lookup = SimpleNamespace(run=run, match=lambda *_: match, settings={"min_inliers": 1})
    return lookup, query, match


def box_of(mask):
    """left, top, right, bottom of what is true."""
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def test_the_sheet_draws_outlines_and_matches_where_they_are(plain):
    """The query shows 25 pixels around its region, so at double size; the photo as it is."""
    lookup, query, _ = plain
    answer = Answer([Hit(0, 1.0, 1, True)], 1, 1)
    sheet = np.asarray(draw_sheet(lookup, query, answer)).astype(int)
    left, right = 24, 24 + 300 + 8  # the margin; the query's width and the gap
    top = 24 + 40 + 26  # the margin, the title, the caption
    yellow = (sheet[..., 0] > 200) & (sheet[..., 1] > 160) & (sheet[..., 2] < 60)
    halves = [box_of(yellow[top:, part]) for part in (slice(left, left + 300), slice(right, right + 400))]
    np.testing.assert_allclose(halves[0], [50, 50, 250, 250], atol=2)
    np.testing.assert_allclose(halves[1], [140, 80, 240, 180], atol=2)
    colourful = np.ptp(sheet, axis=2) > 25
    for x, y in ((left + 2 * (60 - 15), 2 * (100 - 5)), (right + 160, 150)):
        assert colourful[top + y - 1 : top + y + 1, x - 1 : x + 1].all(), "a dot at the end of the match"
    middle = (left + 90 + right + 160) // 2, top + (190 + 150) // 2
    assert colourful[middle[1] - 1 : middle[1] + 2, middle[0]].any(), "and a line between them"


def test_the_sheet_of_a_photo_without_matches_of_its_own(plain):
    """What an expanded query finds need not match the query itself: no outline then, and both numbers."""
    lookup, query, match = plain
    lookup.match = lambda *_: Match(match.query[:0], match.photo[:0], None)
    sheet = np.asarray(draw_sheet(lookup, query, Answer([Hit(0, 1.0, 8, True)], 1, 1))).astype(int)
    yellow = (sheet[..., 0] > 200) & (sheet[..., 1] > 160) & (sheet[..., 2] < 60)
    assert yellow[:, : 24 + 300].any() and not yellow[:, 24 + 300 :].any()


def test_no_network_no_workflow(run, asked, tmp_path):
    """A search in a process of its own loads neither torch nor snakemake, and `show` not even what search needs."""
    code = "import sys\nfrom bow2cnn.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
    code += "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'snakemake', 'pycolmap', 'numba', 'faiss'}))"

    def loaded(*arguments):
        done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True)
        assert not done.stderr
        return done.stdout.splitlines()[-1]

    assert loaded("search", run.results, asked, "--draw", tmp_path / "out.png") == "['numba']"
    assert loaded("show", run.results / "index/index.h5") == "[]"
