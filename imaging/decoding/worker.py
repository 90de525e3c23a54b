"""Worker process of the sandbox: it runs the native decoders.

JPEG 2000, JPEG-LS, the rarer JPEG processes and TIFF are decoded by native libraries, where a damaged or malicious picture can
crash, hang or take all memory. Here that costs no more than this process and the one file. `imaging.decoding.sandbox` starts it
and talks to it over pipes: a line of JSON, then the bytes that it announces. Nothing is unpickled on either side.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import RLELossless

from imaging.decoding import pillow
from imaging.decoding.pipe import receive, send
from imaging.decoding.radiograph import RefusedFile

MAX_OVERHEAD = 2**16
"""Bytes by which RLE data may exceed twice its pixels."""
_RLE_EXCESS = re.compile(r"padding - (\d+) vs\. \d+ bytes")
"""pydicom's warning of a segment that decodes to more than it should."""
MEMORY = 8 * 2**30
"""Bytes of address space at most: 12,000² pixels of 16 bits take 0.3 GB, and OpenJPEG works with 32 bits a pixel and copies."""
BASE, PER_BYTE, PER_SAMPLE = 2**29, 4, 48
"""Bytes of address space that one frame may add: in all, for each compressed byte, for each sample of the declared size."""


def main() -> None:
    """Answer requests from standard input on standard output until the input ends."""
    _limit_memory()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr):  # a library that prints must not end up among the pixels
        while (request := receive(source)) is not None:
            send(sink, *_answer(*request))


def decode(frame: bytes, syntax: str, plugins: list[str], options: dict[str, Any]) -> np.ndarray[Any, Any]:
    """One compressed frame as an array (H, W) of stored values, or (H, W, 3) RGB, by the first plugin that can read it.

    Raises whatever the last plugin raises.
    """
    for plugin in plugins:
        try:
            return _decode(frame, syntax, plugin, options)
        except RefusedFile:
            raise
        except Exception:  # plugins raise arbitrary errors on damaged data
            if plugin == plugins[-1]:
                raise
    raise ValueError("no decoder")


def _decode(frame: bytes, syntax: str, plugin: str, options: dict[str, Any]) -> np.ndarray[Any, Any]:
    need = (
        options["rows"] * options["columns"] * options["bits_allocated"] // 8 * options["samples_per_pixel"]
    )
    if len(frame) > 2 * need + MAX_OVERHEAD and syntax == RLELossless:
        raise RefusedFile("DICOM-LENGTH", f"{len(frame):,} bytes of RLE data for {need:,} bytes of pixels")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels, _ = get_decoder(syntax).as_array(
            encapsulate([frame], has_bot=False),
            raw=options["samples_per_pixel"] == 1 or syntax == RLELossless,
            decoding_plugin=plugin,
            **options,
        )
    excess = [int(found[1]) for one in caught if (found := _RLE_EXCESS.search(str(one.message)))]
    if excess and max(excess) >= options["columns"] * (options["rows"] + 1):
        raise RefusedFile("DICOM-LENGTH", "the RLE data holds more rows than the header declares")
    return pixels


def _answer(header: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        if "picture" in header:
            _limit_memory(_allowed(frame, pillow.declared_pixels(frame)))
            pixels, notes = pillow.page(frame)
            return {"dtype": pixels.dtype.str, "shape": pixels.shape, "notes": notes}, pixels.tobytes()
        options = header["options"]
        _limit_memory(_allowed(frame, options["rows"] * options["columns"] * options["samples_per_pixel"]))
        pixels = decode(frame, header["syntax"], header["plugins"], options)
    except Exception as error:  # plugins raise arbitrary errors on damaged data
        return _refusal(error), b""
    return {"dtype": pixels.dtype.str, "shape": pixels.shape}, pixels.tobytes()


def _refusal(error: Exception) -> dict[str, Any]:
    if isinstance(error, RefusedFile):
        return {"code": error.code, "error": error.reason}
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return {"code": "DECODER-FAILED", "error": lines[-1] if lines else type(error).__name__}


def _allowed(frame: bytes, samples: int) -> int:
    """Return the address space that decoding a frame of the declared size may take: a false size inside it gets no more."""
    return _in_use() + BASE + PER_BYTE * len(frame) + PER_SAMPLE * samples


def _in_use() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # only Linux has this file
        return MEMORY
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_memory(soft: int = MEMORY) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limits on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (min(soft, MEMORY), MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's picture


if __name__ == "__main__":
    main()
