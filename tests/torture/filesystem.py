"""File systems that an attack may break: ext4 in an image file. Needs root, and loop devices."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from attack import UnavailableError

MIB = 1 << 20
# <linux/fs.h>: _IOR('X', 125, __u32); without flushing its journal, as a power cut leaves it.
FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2
CORRECTED = 1
"""Exit code of e2fsck: errors were corrected."""


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")


class FileSystem:
    """Mounted on a new folder until the end of the `with` block."""

    def __init__(self, folder: Path, mib: int) -> None:
        if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
            raise UnavailableError("a file system of its own needs root and mkfs.ext4 (package e2fsprogs)")
        self.mount_point = folder / "mounted"
        self._image = folder / "disk.img"
        with self._image.open("wb") as image:
            image.truncate(mib * MIB)
        _run("mkfs.ext4", "-q", "-F", self._image)

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", self._image, self.mount_point)

    def unmount(self) -> None:
        _run("umount", self.mount_point)

    def cut_power(self) -> None:
        """From now on every access fails, and what was not synced is lost. `repair` brings the rest back."""
        root = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(root, FS_IOC_SHUTDOWN, WITHOUT_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(root)

    def be_read_only(self) -> None:
        """What the kernel does when it finds an error in the file system."""
        source = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", self.mount_point], capture_output=True, text=True, check=True
        )
        device = Path(source.stdout.strip()).name
        try:
            Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        except OSError as error:
            raise UnavailableError(f"cannot make a file system read-only: {error}") from error

    def repair(self) -> None:
        """Checks and mounts it again; no process has files open."""
        self.unmount()
        done = subprocess.run(
            ["e2fsck", "-p", "-f", self._image], capture_output=True, text=True, check=False
        )
        if done.returncode > CORRECTED:
            raise RuntimeError(f"e2fsck ended with {done.returncode}: {done.stdout}{done.stderr}")
        self.mount()

    def __enter__(self) -> "FileSystem":
        self.mount_point.mkdir()
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.mount_point], capture_output=True, check=False)
