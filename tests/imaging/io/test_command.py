"""Command modules: --help runs nothing, users' mistakes are one line, signals clean up."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imaging.io import command
from tests import import_graph, signals

WORKER = Path("imaging/decoding/worker.py")  # a child process, started by the program itself


@pytest.mark.parametrize("path", sorted(import_graph.commands() - {WORKER}), ids=str)
def test_every_command_parses_its_arguments_before_any_work(path: Path) -> None:
    """`run(main, __doc__)` takes no arguments; `run(main)` is for a `main` that parses them itself."""
    text = path.read_text()
    end = re.search(r'if __name__ == "__main__":\n    command\.run\((.+)\)\n\Z', text)
    assert end
    if end[1] == "main":
        assert re.search(
            r"argparse|check\(\"|train_fold\.arguments|fold_predictions\.argument|tuned_params\.joins", text
        )
    else:
        assert end[1] == "main, __doc__"


@pytest.mark.parametrize("text", ["7", "-0.1", "nan", "many", ""])
def test_a_share_is_between_0_and_1(text: str) -> None:
    assert [command.share(fine) for fine in ("0", "0.25", "1")] == [0, 0.25, 1]
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{text}': give a number from 0 to 1$"):
        command.share(text)


@pytest.mark.parametrize("text", ["0", "-5", "2.5", "many", ""])
def test_a_count_is_a_whole_number_above_0(text: str) -> None:
    assert command.count("12") == 12
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{text}': give a whole number above 0$"):
        command.count(text)


def test_a_place_is_a_path(tmp_path: Path) -> None:
    assert command.place("a/b") == Path("a/b")
    with pytest.raises(argparse.ArgumentTypeError, match="is empty"):
        command.place("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    if sys.version_info < (3, 13):  # later, what opens it says so
        with pytest.raises(argparse.ArgumentTypeError, match="loop: a link that leads back to itself"):
            command.place(str(loop))


def run(tmp_path: Path, body: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, write(tmp_path, body), *arguments],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
    )  # fmt: skip


def write(tmp_path: Path, body: str, call: str = "command.run(main, 'What it does.')") -> Path:
    script = tmp_path / "script.py"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script.write_text(f"from imaging.io import command\n\ndef main():\n{lines}\n\n{call}\n")
    return script


def test_help_runs_nothing_and_unknown_arguments_are_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "print('worked')", "--help")
    assert (done.returncode, "What it does." in done.stdout, "worked" in done.stdout) == (0, True, False)
    done = run(tmp_path, "print('worked')", "--folder", "x")
    assert (done.returncode, "worked" in done.stdout) == (2, False)
    assert "unrecognized arguments: --folder x" in done.stderr


def test_a_users_mistake_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "raise ValueError('params.yaml: lr -1 must be above 0')")
    assert (done.returncode, done.stderr) == (1, "params.yaml: lr -1 must be above 0\n")


def test_the_folders_of_this_project_are_known() -> None:
    folders = {path.parts[0] for path in Path().glob("[a-z]*/*.py")}
    assert "benchmarks" in folders
    assert folders - {"tests"} <= command.PACKAGES


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("open('/nowhere/a.csv')", "/nowhere/a.csv: No such file or directory\n"),
        (f"raise OSError({errno.ENOSPC}, 'No space left on device')", "No space left on device\n"),
        ("raise ChildProcessError('process 1 of 2 ended')", "process 1 of 2 ended\n"),
    ],
)
def test_an_os_error_is_one_line(tmp_path: Path, body: str, line: str) -> None:
    done = run(tmp_path, body)
    assert (done.returncode, done.stderr) == (1, line)


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "import json\njson.loads('{')")  # a ValueError raised in a library
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    done = run(tmp_path, "raise ValueError('x')", SHOW_TRACEBACK="1")
    assert "Traceback" in done.stderr


def test_a_terminal_of_another_character_set_shows_question_marks(tmp_path: Path) -> None:
    done = run(tmp_path, r"print('1 \u2212 \u03c0')", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stdout) == (0, "1 ? ?\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_finally_blocks_run(tmp_path: Path, number: signal.Signals) -> None:
    body = "import time\ntry:\n    print('ready', flush=True)\n    time.sleep(60)\nfinally:\n    print('cleaned', flush=True)"
    with subprocess.Popen(
        [sys.executable, write(tmp_path, body)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}, preexec_fn=signals.heed,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "cleaned\n"
    assert process.returncode == 128 + number


def test_a_process_of_a_distributed_training_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RANK", "0")
    command.handle_signals()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_has_no_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "")
