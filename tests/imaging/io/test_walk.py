"""One rule for the files below a folder: what is read, refused, skipped and not seen."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imaging.io.walk import image_id, printable, walk


def listed(folder: Path) -> dict[str, str]:
    """Path below the folder -> 'image', or the reason."""
    return {
        os.path.relpath(entry.path, folder): entry.refused or entry.skipped or "image"
        for entry in walk(folder)
    }


def test_images_others_and_hidden_ones(tmp_path: Path) -> None:
    names = ("b/1.2.840.113", "b/x.dcm", "a.PNG", "b.dcm", "README", "README.txt", "b/Thumbs.db", "b/DICOMDIR", "v.nii.gz",
             "t.csv.gz", ".hidden.dcm", ".cache/x.dcm", "__MACOSX/x.dcm")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert listed(tmp_path) == {
        "README": "not an image (README)",
        "README.txt": "not an image (.txt)",
        "a.PNG": "image",
        "b/1.2.840.113": "image",
        "b/DICOMDIR": "not an image (DICOMDIR)",
        "b/Thumbs.db": "not an image (.db)",
        "b/x.dcm": "image",
        "b.dcm": "image",
        "t.csv.gz": "not an image (.gz)",
        "v.nii.gz": "image",
    }
    paths = [Path(entry.path) for entry in walk(tmp_path)]
    assert paths == sorted(paths)


def test_links_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "studies"
    for one in (elsewhere, folder):
        one.mkdir()
    (elsewhere / "far.dcm").touch()
    os.symlink(elsewhere, folder / "linked")
    os.symlink(elsewhere, folder / "linked again")
    os.symlink(folder, elsewhere / "circle")
    os.symlink(elsewhere / "far.dcm", folder / "one.dcm")
    os.symlink("/nowhere/at/all", folder / "broken.dcm")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        found = listed(folder)
    assert found == {
        "broken.dcm": "a broken link",
        "linked/circle": "a link to a folder that is already listed",
        "linked/far.dcm": "image",
        "linked again": "a link to a folder that is already listed",
        "one.dcm": "image",
        "pipe": "a pipe, not a file",
        "socket": "a socket, not a file",
    }
    assert [entry.is_image for entry in walk(folder)].count(True) == 2


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk(tmp_path / "none"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/1.2.840.113", "1.2.840.113"),
        ("1.2.3.dcm", "1.2.3"),
        ("1.2.3.DCM", "1.2.3"),
        ("ID_1.png", "ID_1"),
        ("x.y.jpeg", "x.y"),
        (".dcm", ".dcm"),
        ("v1.5", "v1.5"),
    ],
)
def test_an_id_loses_an_image_ending_only(name: str, expected: str) -> None:
    assert image_id(name) == image_id(Path(name)) == expected


def test_printable_names_stay_apart() -> None:
    names = ["肺" * 83, "a b", "é", "a\rb", "a\nb", "a\\rb", os.fsdecode(b"a\xffb"), "a\\xffb", "a\u2028b"]
    shown = [printable(name) for name in names]
    assert shown[:3] == names[:3]
    assert shown[3:] == ["a\\x0db", "a\\x0ab", "a\\\\rb", "a\\xffb", "a\\\\xffb", "a\\u2028b"]
    assert len(set(shown)) == len(names)
    assert all(name.encode() and len(name.splitlines()) == 1 for name in shown)
