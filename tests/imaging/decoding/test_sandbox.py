"""Decoders that fail, crash, hang or claim too much cost one file, never the program."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import generate_frames

from imaging import dicom
from imaging.decoding import pipe, sandbox, worker
from imaging.decoding.radiograph import RefusedFile
from imaging.formats import reader
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture

OPTIONS = {
    "rows": 8, "columns": 8, "number_of_frames": 1, "samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2",
    "bits_allocated": 8, "bits_stored": 8, "pixel_representation": 0, "pixel_keyword": "PixelData",
}  # fmt: skip


@pytest.fixture
def jpeg_2000(tmp_path):
    picture = smooth_picture()
    return files.write(tmp_path / "a.dcm", picture, uid.JPEG2000Lossless), picture


def ask(frame=b"", seconds=60.0):
    return sandbox.decode(frame, uid.JPEG2000Lossless, ["pylibjpeg"], OPTIONS, seconds)


def test_a_picture_comes_back_as_it_was(jpeg_2000):
    path, picture = jpeg_2000
    np.testing.assert_array_equal(dicom.read(path).pixels, picture)


def test_a_failing_decoder_is_kept():
    with pytest.raises(RefusedFile):
        ask(b"no picture")
    first = sandbox._of_thread.child.process.pid
    with pytest.raises(RefusedFile):
        ask(b"no picture either")
    assert sandbox._of_thread.child.process.pid == first


def test_a_crash_refuses_one_file_and_the_next_is_read(jpeg_2000):
    path, picture = jpeg_2000
    dicom.read(path)
    os.kill(sandbox._of_thread.child.process.pid, signal.SIGSEGV)
    with pytest.raises(RefusedFile, match=r"JPEG 2000.*crashed"):
        dicom.read(path)
    np.testing.assert_array_equal(dicom.read(path).pixels, picture)


def test_a_crash_over_a_tiff_refuses_it_alone(tmp_path):
    path, picture = tmp_path / "a.tif", smooth_picture()
    Image.fromarray(picture).save(path, compression="tiff_lzw")
    np.testing.assert_array_equal(reader.read(path).pixels, picture)
    os.kill(sandbox._of_thread.child.process.pid, signal.SIGSEGV)
    with pytest.raises(RefusedFile, match=r"a\.tif.*crashed"):
        reader.read(path)
    np.testing.assert_array_equal(reader.read(path).pixels, picture)


@pytest.mark.parametrize(
    "plugins", [["pyjpegls", "pylibjpeg"], ["pylibjpeg", "pyjpegls"], ["gdcm", "pylibjpeg"]]
)
def test_the_next_decoder_is_tried(tmp_path, plugins):
    """Each reads JPEG-LS files that the other refuses; `gdcm`, which is not installed, fails always."""
    picture = smooth_picture()
    path = files.write(tmp_path / "a.dcm", picture, uid.JPEGLSLossless)
    frame = next(generate_frames(dcmread(path).PixelData, number_of_frames=1))
    height, width = picture.shape
    options = OPTIONS | {"rows": height, "columns": width}
    np.testing.assert_array_equal(worker.decode(frame, uid.JPEGLSLossless, plugins, options), picture)
    with pytest.raises(ValueError, match=r"no decoder"):
        worker.decode(frame, uid.JPEGLSLossless, [], options)


def zeros_deflated(size: int) -> bytes:
    """A zlib stream of `size` zeros, a multiple of 1 MiB, made from one piece."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\x01" + piece * (size // 2**20) + b"\x03\0" + struct.pack(">I", size % 65521 << 16 | 1)


def tiff_with_tile(tile: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one deflated tile of `tile` pixels a side."""
    data = zeros_deflated(tile * tile)
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 0, 325: len(data)}
    tags[324] = 8 + 2 + 12 * len(tags) + 4  # where the tile begins
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def test_a_tiff_gets_memory_by_its_declared_size():
    """A tile of 604 MB for 256 pixels was decoded."""
    assert reader.decode(tiff_with_tile(1024)).pixels.shape == (16, 16)
    with pytest.raises(RefusedFile) as refusal:
        reader.decode(tiff_with_tile(24_576))
    assert refusal.value.code == "PICTURE-DAMAGED"


def test_a_hang_is_ended(jpeg_2000):
    path, picture = jpeg_2000
    dicom.read(path)
    child = sandbox._of_thread.child.process
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(RefusedFile, match="stopped after 1 seconds"):
        ask(seconds=1)
    assert child.poll() is not None
    np.testing.assert_array_equal(dicom.read(path).pixels, picture)


def test_each_thread_has_its_own_and_it_ends_with_the_thread(jpeg_2000):
    path, _ = jpeg_2000
    children = []

    def work():
        dicom.read(path)
        children.append(sandbox._of_thread.child.process)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert children[0].pid != children[1].pid
    assert [child.wait(10) for child in children] == [-signal.SIGKILL] * 2


def test_an_answer_that_was_cut_off_is_none():
    with subprocess.Popen(["printf", r'{"bytes": 4}\nab'], stdout=subprocess.PIPE) as process:
        assert pipe.receive(process.stdout) is None
