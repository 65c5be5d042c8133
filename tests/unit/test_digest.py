"""Digests of what a script reaches: an edit changes those of the scripts that import the edited module, and no others."""

import textwrap

import pytest

from bow2cnn import digest as module

FILES = {
    "pkg/__init__.py": "",
    "pkg/a/__init__.py": "",
    "pkg/a/one.py": "from pkg.b.two import f\nimport numpy",
    "pkg/a/other.py": "",
    "pkg/a/page.html": "<p>",
    "pkg/b/__init__.py": "",
    "pkg/b/two.py": "def f():\n    from . import three\n    import pkg.c as c",
    "pkg/b/three.py": "from ..d.four import g as h",
    "pkg/c.py": "",
    "pkg/d/__init__.py": "",
    "pkg/d/four.py": "from pkg.a import one  # in a circle",
    "pkg/e.py": "",
    "script.py": "from pkg.a.one import f",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def forget():
    """Let go of what was read of files before they were edited."""
    for function in (module._imports, module._names, module._tree, module._file, module._companions, module._content):
        function.cache_clear()


def reached(tree):
    return {str(path.relative_to(tree)) for path in module.reached(tree / "script.py", tree, "pkg")}


def fresh_digest(tree):
    forget()
    return module.digest(tree / "script.py", tree, "pkg")


def test_reaches_through_all_forms_of_import(tree):
    assert reached(tree) == set(FILES) - {"pkg/a/other.py", "pkg/e.py", "script.py"}


@pytest.mark.parametrize("name", FILES)
def test_an_edit_changes_the_digest_exactly_if_the_file_is_reached(tree, name):
    before = fresh_digest(tree)
    path = tree / name
    path.write_text(path.read_text() + "\nedited = 1\n")
    assert (fresh_digest(tree) != before) == (name not in ("pkg/a/other.py", "pkg/e.py", "script.py"))


def test_the_folder_of_the_checkout_does_not_count(tree, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in FILES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text((tree / name).read_text())
    assert fresh_digest(copy) == fresh_digest(tree)


def test_of_the_real_scripts():
    scripts = module.SOURCE.parent / "workflow/scripts"
    features = {path.stem for path in module.reached(scripts / "extract_features.py")}
    assert {"extract", "artefact", "threads"} <= features
    assert not {"train", "colmap", "config", *module.PLUMBING} & features
