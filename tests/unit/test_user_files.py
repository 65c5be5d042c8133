"""Files of the user's are known by what is in them."""

import os

import pytest

from bow2cnn.core import user_files as given
from bow2cnn.core.user_files import content_of


@pytest.fixture(autouse=True)
def another_run(monkeypatch):
    monkeypatch.setenv(given._KNOWN, "{}")


def test_the_digest_is_of_the_bytes_and_their_order(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    found = {content_of([one]), content_of([two]), content_of([one, two]), content_of([two, one]), content_of([])}
    assert len(found) == 5
    before = content_of([one])
    os.utime(one, (1, 1))
    monkeypatch.setenv(given._KNOWN, "{}")
    assert content_of([one]) == before
    one.write_bytes(b"3")
    monkeypatch.setenv(given._KNOWN, "{}")
    assert content_of([one]) != before


def test_the_jobs_of_a_run_read_nothing_again(tmp_path):
    (tmp_path / "large").write_bytes(b"1")
    before = content_of([tmp_path / "large"])
    (tmp_path / "large").unlink()
    assert content_of([tmp_path / "large"]) == before, "what the run was planned with"
    with pytest.raises(OSError, match="gone"):
        content_of([tmp_path / "gone"])
