"""Checks wheels before a release: their files, and what they do in a fresh environment.

`python tests/try_wheel.py dist/*.whl [--python python3.10 ...]`. The environment has no optional packages;
dependencies are installed from the index. Of a wheel for another machine, only the files are checked.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

NATIVE = "mosaicolabs/_native.abi3.so"
MACHINES = {62: "x86_64", 183: "aarch64"}
"""Numbers of ELF, and names in the tags of wheels."""

OPTIONAL = {
    "pandas": "to_pandas()",
    "polars": "to_polars()",
    "rosbags": "mosaicolabs.ros_bridge",
    "av": "decoding",
}

EXERCISE = """
import importlib.util, sys
from mosaicolabs import Floating64, Message, MosaicoClient
from mosaicolabs.models.sensors import ImageFormat, StatefulDecodingSession
installed = [name for name in sys.argv[2:] if importlib.util.find_spec(name)]
assert not installed, f"{installed} came with the wheel"
said = []
def tried(call):
    try:
        call()
    except ModuleNotFoundError as error:
        said.append(str(error))
with MosaicoClient.embedded(sys.argv[1]) as client:
    with client.sequence_create("run") as sequence:
        topic = sequence.topic_create("t", {}, Floating64)
        for step in range(100):
            topic.push(Message(timestamp_ns=step, data=Floating64(data=float(step))))
    run = client.sequence_handler("run")
    replayed = [message.data.data for _, message in run.get_data_streamer()]
    assert replayed == [float(step) for step in range(100)]
    tried(run.to_pandas)
    tried(run.to_polars)
tried(lambda: __import__("mosaicolabs.ros_bridge"))
tried(lambda: StatefulDecodingSession().decode(bytes([0, 0, 0, 1]), ImageFormat.H264, "camera"))
print(*said, sep="\\n")
"""


def problems(wheel: Path) -> Iterator[str]:
    """What is wrong with the files of a wheel, and with its name."""
    named = re.fullmatch(r"mosaicolabs_native-([\w.]+)-cp310-abi3-(\w+)\.whl", wheel.name)
    if named is None:
        yield f"its name is {wheel.name}; it should be mosaicolabs_native-VERSION-cp310-abi3-PLATFORM.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for needed in (NATIVE, "mosaicolabs/__init__.py", "mosaicolabs/py.typed", "mosaicod/__init__.py"):
            if needed not in names:
                yield f"{needed} is missing"
        for part in ("entry_points.txt", "LICENSE"):
            if not any(name.endswith(part) for name in names):
                yield f"{part} is missing"
        yield from (f"{name} does not belong into it" for name in sorted(names) if _is_foreign(name))
        if NATIVE in names and named is not None and "linux" in named[2]:
            yield from _native_problems(archive.read(NATIVE), named[2])


def _is_foreign(name: str) -> bool:
    top = name.partition("/")[0]
    return not re.fullmatch(r"mosaicolabs|mosaicod|mosaicolabs_native-.*\.dist-info", top) or ".pyc" in name


def _native_problems(library: bytes, tag: str) -> Iterator[str]:
    machine = MACHINES.get(int.from_bytes(library[18:20], "little")) if library[:4] == b"\x7fELF" else None
    if machine is None or not tag.endswith(f"_{machine}"):
        yield f"{NATIVE} is for {machine or 'no known machine'}, the tag is {tag}"
    allowed = re.search(r"manylinux_2_(\d+)_", tag)
    needed = max(
        (int(minor) for minor in re.findall(rb"(?<=\0)GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", library)), default=0
    )
    if allowed is None:
        yield f"the tag is {tag}, not manylinux: other distributions may lack its libraries"
    elif needed > int(allowed[1]):
        yield f"{NATIVE} needs glibc 2.{needed}, the tag promises 2.{allowed[1]}"


def is_for_this_machine(wheel: Path) -> bool:
    """Whether the wheel can be installed here."""
    return wheel.stem.endswith(f"_{platform.machine()}") and sys.platform == "linux"


def try_wheel(wheel: Path, python: str) -> None:
    """Installs the wheel in a fresh environment, and uses it there.

    Raises:
        subprocess.CalledProcessError: A step failed.
        AssertionError: A step did something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        binaries = Path(folder, "venv/bin")
        # From another folder and without variables: nothing of the checkout may help.
        shared = {"cwd": folder, "env": {"HOME": folder, "PATH": f"{binaries}:/usr/bin:/bin"}, "check": True}
        pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, wheel.resolve()], cwd=folder, check=True)
        arguments = [binaries / "python", "-W", "error", "-c", EXERCISE, f"{folder}/store", *OPTIONAL]
        said = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, **shared).stdout.splitlines()  # type: ignore[call-overload]
        assert len(said) == len(OPTIONAL), said
        for (package, call), line in zip(OPTIONAL.items(), said, strict=True):
            assert line.startswith(call), line
            assert line.endswith(f"pip install {package}"), line
        for command in (
            ["mosaicod", "--version"],
            ["mosaico", "--version"],
            ["mosaico", "demo", "--seconds", "2"],
            ["mosaico", "ls"],
            ["mosaicod", "check", "--local-store", f"{folder}/.mosaico/store"],
        ):
            subprocess.run([binaries / command[0], *command[1:]], stdout=subprocess.DEVNULL, **shared)  # type: ignore[call-overload]


def interpreters() -> list[str]:
    """The oldest and the newest supported Python that this machine has."""
    found = [path for minor in range(10, 20) if (path := shutil.which(f"python3.{minor}")) and _runs(path)]
    return [found[0], found[-1]] if len(found) > 1 else found or [sys.executable]


def _runs(python: str) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def main() -> None:
    """Prints a line per wheel and interpreter; exit code 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument(
        "--python", nargs="+", default=None, help="Interpreters.  [default: oldest and newest]"
    )
    given = parser.parse_args()
    failed = False
    for wheel in given.wheels:
        found = list(problems(wheel))
        for problem in found:
            print(f"{wheel.name}: {problem}")
        failed |= bool(found)
        if not is_for_this_machine(wheel):
            print(f"{wheel.name}: not for this machine, only its files are checked")
            continue
        for python in given.python or interpreters():
            try_wheel(wheel, python)
            print(f"{wheel.name}: works with {python}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
