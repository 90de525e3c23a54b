"""Every file gets a verdict: damaged ones, and all that pydicom brings along to test itself with."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest

from imaging.decoding.radiograph import RefusedFile
from imaging.formats import reader
from tests.imaging.formats import fuzz

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
OF_PYDICOM = sorted(
    path
    for path in (Path(pydicom.data.__file__).parent).rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
)


def test_an_unknown_value_representation_is_refused(tmp_path: Path) -> None:
    """Found by the fuzzer: pydicom raises NotImplementedError when the element is asked for; here its bytes are, none."""
    good = next(path for path in fuzz.good_files(tmp_path) if path.name == "1.dcm").read_bytes()
    rows = b"\x28\x00\x10\x00US\x02\x00\x60\x00"
    assert good.count(rows) == 1
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(good.replace(rows, b"\x28\x00\x10\x00U\0\0\0"))
    with pytest.raises(RefusedFile, match="Rows or Columns is missing"):
        reader.read(damaged)


def test_pydicoms_own_files() -> None:
    assert len(OF_PYDICOM) > 100
    read, reasons = [], {}
    for path in OF_PYDICOM:
        try:
            read.append((path.name, reader.read(path)))
        except RefusedFile as refusal:
            reasons[str(path)] = refusal.reason
    assert len(read) + len(reasons) == len(OF_PYDICOM)
    assert [name for name, reason in reasons.items() if len(reason) < 10] == []
    assert all(radiograph.pixels.ndim == 2 for _, radiograph in read)


@pytest.mark.parametrize("damage", fuzz.DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("part", fuzz.PARTS)
def test_a_damage_changes_the_file(tmp_path: Path, part: str, damage: fuzz.Damage) -> None:
    random = fuzz.np.random.default_rng(3)
    for path in fuzz.good_files(tmp_path):
        data = path.read_bytes()
        assert fuzz.mutate(data, part, fuzz.DAMAGES.index(damage), random) != data


def test_two_hundred_mutations(tmp_path: Path) -> None:
    verdicts = fuzz.run(fuzz.good_files(tmp_path), 200, seed=1)
    assert verdicts.failures == []
    assert sum(verdicts.counts.values()) == 200
    assert {said for _, _, said in verdicts.counts} == {"read", "refused"}


@pytest.mark.slow
def test_twenty_thousand_mutations(tmp_path: Path) -> None:
    verdicts = fuzz.run(fuzz.good_files(tmp_path), 20_000, seed=2)
    assert verdicts.failures == []
    assert sum(verdicts.counts.values()) == 20_000
