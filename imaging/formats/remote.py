"""Files at a URL, such as `s3://bucket/folder/a.dcm`: any protocol that fsspec knows, if its package is installed.

Only permanent faults are refusals. An unreachable server raises fsspec's error, so that a run over an archive stops there and
can be resumed later, instead of reporting its studies as unreadable.
"""

from __future__ import annotations

from imaging.decoding.radiograph import MAX_BYTES, RefusedFile
from imaging.io.config import without_passwords


def is_url(path: object) -> bool:
    """Whether this names a file by URL; a plain path never holds `://`."""
    return isinstance(path, str) and "://" in path


def load(url: str) -> bytes:
    """A file's bytes; RefusedFile when there is none, it may not be read or is too large."""
    system, path = _open(url)
    try:
        size = system.size(path)
        if size is not None and size > MAX_BYTES:
            raise RefusedFile(
                "FILE-SIZE",
                f"{size:,} bytes are too many for a radiograph; at most {MAX_BYTES:,} are supported",
            )
        data = system.cat_file(path)
    except FileNotFoundError:
        raise RefusedFile("FILE-MISSING", "no such file") from None
    except IsADirectoryError:
        raise RefusedFile("FILE-KIND", "a folder, not a file") from None
    except PermissionError:
        raise RefusedFile("FILE-UNREADABLE", "cannot be opened: permission denied") from None
    if not data:
        raise RefusedFile("FILE-EMPTY", "the file is empty")
    return bytes(data)


def files(url: str) -> dict[str, int | None]:
    """All files below a folder, except hidden ones: path inside it -> bytes, in order; a ValueError when there are none."""
    system, root = _open(url)
    root = root.rstrip("/")
    found = {
        path[len(root) :].lstrip("/"): facts.get("size")
        for path, facts in system.find(root, detail=True).items()
    }
    seen = {
        name: size
        for name, size in sorted(found.items())
        if not any(p.startswith(".") for p in name.split("/"))
    }
    if not seen:
        raise ValueError(f"{without_passwords(url)}: no files")
    return seen


def _open(url: str):  # type: ignore[no-untyped-def]  # fsspec has no types
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ValueError(f"{without_passwords(url)}: URLs need fsspec; pip install '.[ray]'") from None
    try:
        return url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ValueError(f"{without_passwords(url)}: {error}") from None
