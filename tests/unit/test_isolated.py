"""Work in processes that may die: only the task is lost, the others go on, and no process is left behind."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bow2cnn.core.isolated import TaskLost, isolated_map


def work(task):
    """Square a number, or fail in the way that the task names."""
    if task == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "leaves":
        os._exit(3)
    if task == "sleeps":
        time.sleep(3600)
        raise AssertionError("nobody ended it")
    if task == "fails":
        raise ValueError("no number")
    if not isinstance(task, int):
        return unlucky(task)
    return task * task


def unlucky(path):
    """Dies at the first attempt, as if a neighbour had used all memory."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return "saved"
    os.kill(os.getpid(), signal.SIGKILL)


def killed_while_sending(folder):
    """Killed at the first attempt, while it sends more than a pipe holds and nobody reads."""
    if (folder / "pid").exists():
        return "saved"
    (folder / "pid").write_text(str(os.getpid()))
    while not (folder / "go").exists():
        time.sleep(0.01)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(1 << 24)


def is_dead(pid):
    return bool(pid) and Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def outcome(tasks, workers=2, seconds=None):
    found = list(isolated_map(work, tasks, workers, seconds or [1800.0] * len(tasks)))
    assert sorted(number for number, _ in found) == list(range(len(tasks)))
    assert not multiprocessing.active_children()
    return [result for _, result in sorted(found)]


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_a_task_that_kills_its_process_costs_only_itself(workers):
    tasks = [1, "dies", 2, 3, "leaves", 4, 5, "dies"]
    found = outcome(tasks, workers)
    assert found == [1, "its process died (SIGKILL)", 4, 9, "its process died (exit code 3)", 16, 25, "its process died (SIGKILL)"]
    assert [isinstance(result, TaskLost) for result in found] == [isinstance(task, str) for task in tasks]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_stalls_is_ended(workers):
    """The limits of the other tasks are their own."""
    assert outcome([2, "sleeps", 3], workers, [1800, 0.5, 1800]) == [4, "took longer than 0.5 seconds", 9]


def test_a_task_that_dies_by_bad_luck_is_tried_again(tmp_path):
    assert outcome([1, tmp_path / "seen", 3]) == [1, "saved", 9]


def test_a_process_killed_while_it_sends_costs_only_its_task(tmp_path):
    """As the system may do when memory runs out."""
    tasks = [tmp_path, 1, 2, 3]
    results = isolated_map(lambda task: task * task if isinstance(task, int) else killed_while_sending(task), tasks, 2, [1800.0] * 4)
    found = [next(results)]
    (tmp_path / "go").touch()
    while not ((tmp_path / "pid").exists() and is_dead((tmp_path / "pid").read_text())):
        time.sleep(0.01)
    found += results
    assert sorted(found) == [(0, "saved"), (1, 1), (2, 4), (3, 9)]


def test_an_error_of_the_task_is_raised_and_ends_the_others():
    with pytest.raises(ValueError, match="no number"):
        outcome([1, "fails", "sleeps"])
    assert not multiprocessing.active_children()


def test_no_tasks_no_processes():
    assert outcome([]) == []
