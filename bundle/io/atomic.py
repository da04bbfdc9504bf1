"""Files that appear under their final name only when they are whole."""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

_PLAIN = {
    errno.ENOSPC: ("no room left on the disk", "free some space or choose another output folder"),
    errno.EDQUOT: ("no room left on the disk (quota)", "free some space or choose another output folder"),
    errno.EFBIG: ("the file is too large for this disk", "choose another output folder"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "choose a shorter name"),
}
_CLOSED = ("cannot write there", "choose an output folder that exists or can be made, and that you may write to")
for _number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT):
    _PLAIN[_number] = _CLOSED


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file beside its destination and move it there when it is whole.

    Missing folders are made. The temporary name is hidden and ends like ``path``, since many writers choose the
    format by the suffix.

    Args:
        path: where the file shall stand.

    Yields:
        The temporary path to write to.

    Raises:
        InputError: no room on the disk, no permission, a file where a folder should be.
    """
    path = Path(path)
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}-{path.name[-40:]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        # an input that cannot be read while an output is being written is not the output's fault
        if error.filename is not None and Path(error.filename) not in (partial, path, *path.parents):
            raise
        raise _plain(path, error) from error
    finally:
        try:
            partial.unlink(missing_ok=True)
        except OSError:  # the folder itself could not be made
            pass


def _plain(path: Path, error: OSError) -> InputError:
    number = error.errno
    if number is None and path.parent.is_dir() and shutil.disk_usage(path.parent).free < 1 << 20:
        number = errno.ENOSPC  # NumPy reports a short write without its cause
    return InputError(path, *_PLAIN.get(number, (f"cannot be written ({error.strerror or error})",)))
