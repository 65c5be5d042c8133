"""The config: defaults, one-line errors, and the files that are made from its model."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin

import jsonschema
import numpy as np
import pytest
import yaml
from PIL import Image

from bow2cnn.config import generate
from bow2cnn.config.base import MOST, UserPath
from bow2cnn.config.load import check_files, load
from bow2cnn.config.messages import ConfigError
from bow2cnn.config.model import Experiment
from bow2cnn.config.renamed import RENAMED
from bow2cnn.export import training_database
from bow2cnn.network.backbones import BACKBONES, POOLINGS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with photos, a benchmark and a file of weights."""
    monkeypatch.chdir(tmp_path)
    Path("photos/2014").mkdir(parents=True)
    Path("queries").mkdir()
    for name in ("gnd.json", "weights.pth"):
        Path(name).write_text("{}")
    return tmp_path


def check(config=None, **keys):
    return load({"photos": ["photos"], **(config or {}), **keys})


def complaint(config=None, **keys):
    with pytest.raises(ConfigError) as caught:
        check(config, **keys)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_fill_every_section_in_depth(folder):
    config = check(features={"max_features": 10}, experiments={"mine": None, "other": {"network": "vgg16"}})
    assert config["results"] == "results"
    assert config["features"] == {"max_features": 10, "side": 1024, "affine": False, "upright": False}
    assert config["experiments"]["mine"]["network"] == "efficientnet-lite0"
    assert config["experiments"]["mine"].keys() == config["experiments"]["other"].keys()
    assert list(check()["experiments"]) == ["gem"]
    assert config["benchmarks"] == {}


def test_an_empty_section_means_its_defaults(folder):
    assert check(vocabulary=None) == check()
    assert check(benchmarks=None, experiments=None) == {**check(), "experiments": {}}


def test_the_users_dict_is_not_changed(folder):
    mine = {"photos": ["photos"], "features": {}}
    load(mine)
    assert mine == {"photos": ["photos"], "features": {}}


def test_numbers_as_yaml_writes_them(folder):
    written = yaml.safe_load(
        "{clustering: {min_similarity: 1e-2}, pairs: {nearest_cameras: 5.0}, seed: 1e9, experiments: {a: {test: {scales: [1e0, 2]}}}}"
    )
    config = check(**written)
    assert config["clustering"]["min_similarity"] == 0.01
    assert config["pairs"]["nearest_cameras"] == 5 and isinstance(config["pairs"]["nearest_cameras"], int)
    assert config["seed"] == 10**9 and isinstance(config["seed"], int)
    assert config["experiments"]["a"]["test"]["scales"] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"photo": 1}, "photo: no such key; did you mean photos?"),
        ({"features": {"max_featurs": 1}}, "features.max_featurs: no such key; did you mean max_features?"),
        ({"experiments": {"a": {"netwrk": "vgg16"}}}, "experiments.a.netwrk: no such key; did you mean network?"),
        ({"shards": {"zzz": 1}}, "shards.zzz: no such key; known here: photos, sketches, clusters"),
        ({"seed": "x"}, "seed: expected a whole number, got 'x'"),
        ({"seed": True}, "seed: expected a whole number, got True"),
        ({"seed": -1}, "seed: must be at least 0, got -1"),
        ({"features": 3}, "features: expected keys and values, got 3"),
        ({"photos": "photos"}, "photos: expected a list, got 'photos'"),
        ({"photos": []}, "photos: must not be empty"),
        ({"split": {"validation": 1}}, "split.validation: must be less than 1, got 1.0"),
        ({"experiments": {"My one": {}}}, "experiments: the name 'My one' may contain only small letters, digits, - and _"),
        ({"benchmarks": {"b": {"photos": "queries"}}}, "benchmarks.b.gnd: missing (its ground truth (gnd.json))"),
        ({"benchmarks": {"b": None}}, "benchmarks.b.photos: missing (the folder with its photos)"),
        ({"photos": ["nowhere"]}, "photos.0: nowhere is a folder that does not exist"),
        ({"photos": ["photos", "gnd.json"]}, "photos.1: gnd.json is not a folder"),
        ({"benchmarks": {"b": {"photos": "queries", "gnd": "gone"}}}, "benchmarks.b.gnd: gone is a file that does not exist"),
        ({"experiments": {"a": {"weights": "gone"}}}, "experiments.a.weights: gone is a file that does not exist"),
        ({"experiments": {"a": {"weights": ""}}}, "experiments.a.weights: must not be empty"),
        ({"experiments": {1: {}}}, "experiments: YAML does not read the name 1 as text (int); put it in quotes"),
        ({"experiments": {"a": {True: 1}}}, "experiments.a: YAML does not read the name True as text (bool); put it in quotes"),
        ({2016: 1}, "config: YAML does not read the name 2016 as text (int); put it in quotes"),
        ({"seed": 1099511627776}, "seed: must be at most 2147483647, got 1099511627776"),
        ({"seed": "1e10"}, "seed: must be at most 2147483647, got 10000000000"),
        ({"seed": "1e-1"}, "seed: expected a whole number, got '1e-1'"),
        ({"seed": float("inf")}, "seed: expected a whole number, got 'inf'"),
        ({"collection": {"max_pixels": 1e9}}, "collection.max_pixels: must be at most 178956970, got 1000000000"),
        ({"split": {"validation": float("nan")}}, "split.validation: expected a number, got 'nan'"),
        ({"experiments": {"a": {"test": {"scales": [1, "nan"]}}}}, "experiments.a.test.scales.1: expected a number, got 'nan'"),
        ({"experiments": {"a": {"test": {"steps": "whitened"}}}}, "experiments.a.test.steps: expected a list, got 'whitened'"),
        (
            {"experiments": {"a": {"test": {"steps": ["whitning"]}}}},
            "experiments.a.test.steps.0: 'whitning' is not one of whitened, expanded; did you mean whitened?",
        ),
        ({"experiments": {"a": {"test": {"steps": ["whitened"] * 2}}}}, "experiments.a.test.steps: whitened is given twice"),
        ({"description": {"scales": [1]}}, "description: its keys are now in experiments.NAME.test, for every experiment its own"),
        ({"photos": ["ph{x}"]}, "photos.0: ph{x} must not contain any of {}<>; rename it, or use a link to it"),
        ({"results": "<x>"}, "results: <x> must not contain any of {}<>; rename it, or use a link to it"),
        (
            {"experiments": {"a": {"weights": "w}"}}},
            "experiments.a.weights: w} must not contain any of {}<>; rename it, or use a link to it",
        ),
    ],
)
def test_one_line_names_the_key(folder, wrong, right):
    assert complaint(wrong) == right


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_key_is_refused_with_its_new_name(folder, old, new):
    *steps, key = old.replace("*", "gem").split(".")
    wrong = {key: None}
    for step in reversed(steps):
        wrong = {step: wrong}
    assert complaint(wrong) == f"{'.'.join([*steps, key])}: is now called {new}"
    assert old not in KEYS and f"{old.rpartition('.')[0]}.{new}".removeprefix(".") in {*KEYS, *SECTIONS}


@pytest.mark.parametrize("odd", [{"pairs": None}, {"pairs": ["pool"]}, {"experiments": "keep"}, {"experiments": {"keep": {}}}])
def test_what_only_looks_like_an_old_key_is_read_as_ever(folder, odd):
    if odd in ({"pairs": None}, {"experiments": {"keep": {}}}):
        check(odd)
    else:
        assert "expected keys and values" in complaint(odd)


def test_the_home_folder_is_that_of_the_user(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    own = {"photos": "~/queries", "gnd": "~/gnd.json", "distractors": ["~/photos/2014"]}
    config = check(photos=["~/photos"], results="~/out", benchmarks={"b": own}, experiments={"a": {"weights": "~/weights.pth"}})
    assert (config["photos"], config["results"]) == ([f"{folder}/photos"], f"{folder}/out")
    filled = {"photos": f"{folder}/queries", "gnd": f"{folder}/gnd.json", "distractors": [f"{folder}/photos/2014"]}
    assert config["benchmarks"]["b"] == filled and config["experiments"]["a"]["weights"] == f"{folder}/weights.pth"
    assert check(models="~/queries")["models"] == f"{folder}/queries"
    assert check(database="~/gnd.json")["database"] == f"{folder}/gnd.json"
    Path("~").mkdir()
    assert check(photos=["./~"])["photos"] == ["./~"]
    assert complaint(results="~nobody-of-that-name/x").startswith(
        "results: ~nobody-of-that-name/x is in the home folder of an unknown user"
    )


@pytest.mark.parametrize("path", ["$HOME/out", "${HOME}/out", "out/$USER"])
def test_variables_of_the_shell_are_refused(folder, path):
    said = f"{path} contains a shell variable, which is not filled in; write its value (~ is your home folder)"
    assert complaint(results=path) == f"results: {said}"
    assert complaint(photos=["photos", path]) == f"photos.1: {said}"
    assert complaint(database=path) == f"database: {said}"
    assert complaint(experiments={"a": {"weights": path}}) == f"experiments.a.weights: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nphotos: [a]\nseed: 2\n", "seed: is given twice in my.yaml, in lines 1 and 3"),
        ("experiments:\n  a: {epochs: 1,\n    epochs: 2}\n", "experiments.a.epochs: is given twice in my.yaml, in lines 2 and 3"),
        ("experiments:\n  a: {}\n  b: {}\n  a:\n", "experiments.a: is given twice in my.yaml, in lines 2 and 4"),
        ('{\n\t"seed": 1,\n\t"seed": 1}', "seed: is given twice in my.yaml, in lines 2 and 3"),
        ("photos: [{a: 1, a: 1}]", "photos.a: is given twice in my.yaml, in lines 1 and 1"),
    ],
)
def test_a_key_that_stands_twice_is_one_line(folder, text, said):
    Path("my.yaml").write_text(text)
    Path("good.yaml").write_text("base: &base {a: 1, b: 2}\nmore: {<<: *base, a: 3}\nseed: 1\n'1': 1\n1: 1\n")
    with pytest.raises(ConfigError) as caught:
        check_files(["good.yaml", "my.yaml"])
    assert str(caught.value) == said


@pytest.mark.parametrize("results", ["gnd.json", "gnd.json/deeper/still"])
def test_results_that_are_a_file(folder, results):
    assert complaint(results=results) == f"results: {folder}/gnd.json is not a folder"


def test_a_wrong_choice_names_the_choices_and_the_nearest(folder):
    message = complaint(experiments={"a": {"network": "vgg17"}})
    assert message.startswith("experiments.a.network: 'vgg17' is not one of ")
    assert message.endswith("did you mean vgg16?")


def test_the_choices_of_network_are_the_networks_that_there_are(folder):
    for network, choice in BACKBONES.items():
        pooling = "cls" if choice.class_token else "gem"
        assert check(experiments={"a": {"network": network, "pooling": pooling}})["experiments"]["a"]["network"] == network
        assert re.search(rf"\b{network.removesuffix('_reg')}\b", Experiment.model_fields["network"].description)
    named = "timm:vit_small_patch14_dinov2.lvd142m"
    assert check(experiments={"a": {"network": named, "pooling": "cls"}})["experiments"]["a"]["network"] == named
    for wrong in ("timm:", "timm:a/b", "lenet"):
        assert complaint(experiments={"a": {"network": wrong}}).startswith(
            f"experiments.a.network: {wrong!r} is not one of efficientnet-lite0"
        )


def test_a_network_without_a_class_token_does_not_pool_by_it(folder):
    message = complaint(experiments={"a": {"network": "vgg16", "pooling": "cls"}})
    assert message == "experiments.a.pooling: vgg16 has no class token; choose another pooling than cls"


def test_the_config_is_checked_without_torch():
    """By every process of a run."""
    code = "import sys, bow2cnn.config.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_photos_are_required(folder):
    with pytest.raises(ConfigError, match=r"^photos: missing \(the folders with the photos\)$"):
        load({})


def test_the_presets_are_configs(folder):
    """Each says only what a config may, beside a user's own keys; the paper's limits are those of its section 3.3."""
    presets = {path.stem: check(yaml.safe_load(path.read_text())) for path in (ROOT / "workflow/presets").glob("*.yaml")}
    pairs, paper = presets["paper"]["pairs"], presets["paper"]["experiments"]["paper"]
    assert (pairs["nearest_cameras"], pairs["query_fraction"], pairs["max_queries"]) == (100, 0.1, 30)
    assert (paper["positives"], paper["positives_overlap"], paper["positives_scale"]) == ("m3", 0.2, 1.5)


@pytest.mark.parametrize("results", [".", "photos", "photos/results", "photos/../photos/2014/x"])
def test_results_and_photos_lie_apart(folder, results):
    assert "keep" in complaint(results=results) and "apart" in complaint(results=results)


def test_models_lie_apart_from_results_and_have_no_database_beside_them(folder):
    Path("results/run/models").mkdir(parents=True)
    Path("photos.pkl").touch()
    assert check(models="results/run/models", results="results/other")["models"] == "results/run/models"
    assert "keep the two apart" in complaint(models="results/run/models", results="results/run")
    assert complaint(models="nowhere") == "models: nowhere is a folder that does not exist"
    assert (
        complaint(models="photos", database="photos.pkl") == "models: a database already says which photos match; give only one of the two"
    )


def test_links_do_not_hide_that_photos_lie_in_results(folder):
    Path("link").symlink_to("photos")
    assert "apart" in complaint(results="link/out")


def test_pairs_of_a_database_need_one(folder):
    said = "experiments.a.pairs.source: there is no database; name its file by the key `database`"
    assert complaint(experiments={"a": {"pairs": {"source": "database"}}}) == said
    said = "experiments.a.pairs.source: 'word' is not one of models, database, words, null; did you mean words?"
    assert complaint(experiments={"a": {"pairs": {"source": "word"}}}) == said
    config = check(experiments={"a": {"pairs": {"source": "words"}}, "b": {"pairs": None}, "c": {}})
    assert [experiment["pairs"]["source"] for experiment in config["experiments"].values()] == ["words", None, None]


@pytest.mark.parametrize(
    "taken",
    [
        *({"benchmarks": {name: {"photos": "queries", "gnd": "gnd.json"}}} for name in ("validation", "validation-words")),
        {"experiments": {"bow": {}}},
    ],
)
def test_names_of_the_table_are_taken(folder, taken):
    assert "choose another" in complaint(**taken)


def test_a_network_has_one_set_of_weights(folder):
    message = complaint(experiments={"a": {"network": "vgg16", "weights": "weights.pth"}, "b": {"network": "vgg16"}})
    assert message.startswith("experiments.b.weights:")


KEYS = {".".join(key.path): key for key in generate.all_keys()}
SECTIONS = {name.partition(".")[0] for name in KEYS}


def item(key):
    """What a value of a key is, or each value of its list: the bare type, and the annotated one."""
    annotation = get_args(key.annotation)[0] if get_origin(key.annotation) is list else key.annotation
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation, annotation


def limits(key):
    """Name -> value of the limits of a key, or of each value of its list."""
    parts = [*key.field.metadata, *(part for field in getattr(item(key)[1], "__metadata__", ()) for part in getattr(field, "metadata", ()))]
    return {name: getattr(part, name) for part in parts for name in ("ge", "gt", "le", "lt") if hasattr(part, name)}


@pytest.mark.parametrize("path", KEYS)
def test_every_key_is_described_and_has_a_default(path):
    """In a sentence, and without what plain English has another word for."""
    field = KEYS[path].field
    assert re.match(r"[A-Z0-9].*[^,;]\.$", field.description)
    assert not re.search(r"so many|is no\b|are no\b|what of|anew", field.description)
    assert field.is_required() == (path in ("photos", "benchmarks.*.photos", "benchmarks.*.gnd"))


@pytest.mark.parametrize("path", [path for path, key in KEYS.items() if key.annotation is int])
def test_whole_numbers_fit_into_those_of_the_libraries(path):
    found = limits(KEYS[path])
    assert 0 <= found["ge"] < found["le"] <= MOST < 2**31


@pytest.mark.parametrize("path", [path for path, key in KEYS.items() if item(key)[0] is float])
def test_numbers_fit_into_those_of_the_networks(path):
    found = limits(KEYS[path])
    most = found.get("le", found.get("lt"))
    assert most is not None and np.isfinite(np.float32(most) ** 2)
    assert found.get("ge", found.get("gt")) >= 0


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"vocabulary": {"words": 2147483647}}, "vocabulary.words"),
        ({"features": {"side": 2147483647}}, "features.side"),
        ({"clustering": {"sketch_size": 2147483647}}, "clustering.sketch_size"),
        ({"evaluation": {"bootstrap": 2147483647}}, "evaluation.bootstrap"),
        ({"experiments": {"a": {"test": {"scales": [1, 1e6]}}}}, "experiments.a.test.scales.1"),
        ({"experiments": {"a": {"negatives": 2147483647}}}, "experiments.a.negatives"),
        ({"experiments": {"a": {"learning_rate": 1e39}}}, "experiments.a.learning_rate"),
    ],
)
def test_what_no_machine_can_hold_is_refused(folder, wrong, key):
    assert complaint(wrong).startswith(f"{key}: must be at most ")


def test_every_text_is_a_path_of_the_users():
    """Else its `~` would be a folder of that name."""
    paths = {path: key for path, key in KEYS.items() if path != "experiments.*.network"}.values()
    texts = [key for key in paths if str in (item(key)[0], *get_args(key.annotation)) or UserPath in get_args(key.annotation)]
    assert len(texts) == 8
    assert all(UserPath in (key.annotation, *get_args(key.annotation)) or UserPath.__metadata__[1] in key.field.metadata for key in texts)


def test_photos_may_be_as_large_as_pillow_reads_them():
    assert limits(KEYS["collection.max_pixels"])["le"] == 2 * Image.MAX_IMAGE_PIXELS


def test_the_poolings_are_those_there_are():
    assert get_args(Experiment.model_fields["pooling"].annotation) == POOLINGS


def test_the_export_takes_the_thresholds_of_m3():
    experiment = Experiment()
    assert (experiment.positives_overlap, experiment.positives_scale) == (training_database._MIN_OVERLAP, training_database._MAX_SCALE)


@pytest.mark.parametrize("path", generate.texts())
def test_what_is_made_from_the_model_is_up_to_date(path):
    assert (ROOT / path).read_text(encoding="utf-8") == generate.texts()[path], f"{path} differs from src/bow2cnn/config: run `make config`"


def test_config_yaml_shows_every_key():
    def paths(config, path=""):
        if not isinstance(config, dict):
            return {path}
        named = path in ("experiments", "benchmarks")
        return {found for key, value in config.items() for found in paths(value, f"{path}.{'*' if named else key}".lstrip("."))}

    assert paths(yaml.safe_load((ROOT / "config.yaml").read_text())) == set(KEYS)


def test_config_yaml_comments_every_key():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    names = {"gem:", "demo:"}
    for before, line in itertools.pairwise(lines):
        if re.match(r"\s*[a-z_0-9]+:", line) and line.strip() not in names:
            assert before.lstrip().startswith("#"), f"no comment above: {line}"


def test_the_schema_knows_what_the_reader_takes(folder):
    """Editors say the same as `load` of the demo's config, and of one with a wrong value at every key."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    validator.validate(config)
    for path in KEYS:
        wrong = {}
        part, steps = wrong, path.replace("*", "gem").split(".")
        for step in steps[:-1]:
            part = part.setdefault(step, {})
        part |= {"photos": "queries", "gnd": "gnd.json"} if steps[0] == "benchmarks" else {}
        part[steps[-1]] = -1
        assert any(".".join(map(str, error.absolute_path)) == ".".join(steps) for error in validator.iter_errors(wrong)), path
        assert complaint(wrong).startswith(f"{'.'.join(steps)}: "), path


def test_config_yaml_is_taken_as_it_is_written(folder):
    """Every value is one that the schema allows, and none is left for a default but the size that 0 stands for."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for path in (*config["photos"], config["benchmarks"]["demo"]["photos"]):
        Path(path).mkdir(parents=True, exist_ok=True)
    Path(config["benchmarks"]["demo"]["gnd"]).write_text("{}")
    assert config["experiments"]["gem"].pop("image_size") == 0
    config["experiments"]["gem"]["image_size"] = 256
    assert load(config) == config


def test_sizes_are_zero_or_large_enough(folder):
    for size, found in ((0, 256), (32, 32)):
        assert check(experiments={"mine": {"image_size": size}})["experiments"]["mine"]["image_size"] == found
    assert complaint(experiments={"mine": {"image_size": 31}}) == "experiments.mine.image_size: must be at least 32, got 31"
    assert complaint(experiments={"mine": {"test": {"image_size": 31}}}) == "experiments.mine.test.image_size: must be at least 32, got 31"


@pytest.mark.parametrize(
    ("keys", "training", "test"),
    [
        ({}, 256, 362),
        ({"test": {"image_size": 0}}, 256, 256),
        ({"image_size": 100, "test": {"image_size": 0}}, 100, 100),
        ({"network": "vgg16", "test": {"image_size": 0}}, 362, 362),
        ({"image_size": 100, "test": {"image_size": 200}}, 100, 200),
    ],
)
def test_a_size_of_zero_takes_the_one_before(folder, keys, training, test):
    """At test time that of the training, in training that of the network."""
    experiment = check(experiments={"a": keys})["experiments"]["a"]
    assert (experiment["image_size"], experiment["test"]["image_size"]) == (training, test)


def test_the_training_has_the_keys_that_it_depends_on():
    """Of test time those of its validation, which takes no step."""
    keys = Experiment(weights="w", whitening="pca", projection="pca").of_training()
    assert keys["test"] == {"image_size": 362, "scales": [1.0]}
    others = {"weights", "seed", "pairs", "whitening", "dimensions", "projection_dimensions"}
    assert Experiment.model_fields.keys() - keys.keys() == others
    assert keys.keys() - Experiment().of_training().keys() == {"projection", "train_projection"}
