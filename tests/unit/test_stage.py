"""The frame of a stage: its log, its threads, its end."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import threadpoolctl

from bow2cnn.core.artefact import ArtefactError
from bow2cnn.core.stage import stage


def test_messages_go_to_log_and_stderr(tmp_path, capsys):
    with stage(tmp_path / "logs/x.log") as logger:
        logger.info("seen 3 photos")
    assert "seen 3 photos" in (tmp_path / "logs/x.log").read_text()
    assert "seen 3 photos" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ArtefactError("a.h5: no\nsuch file"), FileNotFoundError(2, "gone", "x.jpg")])
def test_errors_with_a_known_cause_are_one_line(tmp_path, capsys, error):
    with pytest.raises(SystemExit) as ended, stage(tmp_path / "x.log"):
        raise error
    assert ended.value.code == 1
    log, shown = (tmp_path / "x.log").read_text(), capsys.readouterr().err
    assert log == shown
    assert log.count("\n") == 1 and "error: " in log and "Traceback" not in log


def test_a_log_that_cannot_be_begun_is_one_line(tmp_path, capsys):
    (tmp_path / "logs").write_text("no folder")
    with pytest.raises(SystemExit) as ended, stage(tmp_path / "logs/x.log"):
        pytest.fail("the stage began")
    shown = capsys.readouterr().err
    assert ended.value.code == 1 and shown.count("\n") == 1 and f"error: {tmp_path}/logs/x.log: cannot be written (" in shown


@pytest.mark.parametrize("error", [ArtefactError("a.h5: damaged"), ZeroDivisionError("a bug"), None])
def test_a_log_without_room_changes_nothing(capsys, error):
    ends = {ArtefactError: SystemExit, ZeroDivisionError: ZeroDivisionError}.get(type(error))
    with contextlib.nullcontext() if ends is None else pytest.raises(ends), stage("/dev/full") as logger:
        logger.info("seen 3 photos")
        if error is not None:
            raise error
    shown = capsys.readouterr().err
    assert "seen 3 photos" in shown and "Traceback" not in shown and "No space" not in shown


def test_names_of_files_cannot_speak_to_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit), stage(tmp_path / "x.log"):
        raise ArtefactError("a\x1b[31m\udcff.h5: damaged")
    assert r"error: a\x1b[31m\udcff.h5: damaged" in (tmp_path / "x.log").read_text()


def test_other_errors_leave_their_traceback_in_the_log(tmp_path):
    with pytest.raises(ZeroDivisionError), stage(tmp_path / "x.log"):
        1 / 0  # noqa: B018
    assert "Traceback" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_the_libraries_are_set(tmp_path, threads, monkeypatch):
    import cv2
    import faiss
    import torch

    for name in list(os.environ):
        if name.endswith("_NUM_THREADS"):
            monkeypatch.setenv(name, "1")
    with stage(tmp_path / "x.log", threads):
        assert torch.get_num_threads() == threads
        assert faiss.omp_get_max_threads() == threads
        assert cv2.getNumThreads() == threads
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {threads}


def test_a_terminated_stage_unwinds(tmp_path):
    code = (
        "import sys, time\n"
        "from bow2cnn.core.stage import stage\n"
        "with stage(sys.argv[1]):\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(3600)\n"
        "    finally:\n"
        "        print('cleaned', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x.log")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=600)[0] == "cleaned\n"
    assert process.returncode == 128 + signal.SIGTERM
