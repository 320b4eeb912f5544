"""`tests/try_wheel.py` finds what is wrong with a wheel."""

import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

NAME = "mosaicolabs_native-0.1.0-cp310-abi3-manylinux_2_28_x86_64.whl"


@pytest.fixture(scope="module")
def tried() -> ModuleType:
    spec = importlib.util.spec_from_file_location("try_wheel", Path(__file__).parents[1] / "try_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library(machine: int = 62, glibc: str = "2.28") -> bytes:
    head = b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little")
    return head + b"\0GLIBC_2.2.5\0GLIBC_" + glibc.encode() + b"\0"


def wheel(folder: Path, name: str = NAME, native: bytes | None = None, more: tuple[str, ...] = ()) -> Path:
    info = "mosaicolabs_native-0.1.0.dist-info"
    files = {
        "mosaicolabs/__init__.py": b"",
        "mosaicolabs/py.typed": b"",
        "mosaicolabs/_native.abi3.so": library() if native is None else native,
        "mosaicod/__init__.py": b"",
        f"{info}/entry_points.txt": b"",
        f"{info}/licenses/LICENSE": b"",
        **dict.fromkeys(more, b""),
    }
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return path


def test_a_good_wheel(tmp_path: Path, tried: ModuleType) -> None:
    assert list(tried.problems(wheel(tmp_path))) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": "mosaicolabs-0.1.0-cp310-abi3-manylinux_2_28_x86_64.whl"}, "its name is mosaicolabs-0.1.0"),
        ({"native": library(machine=183)}, "is for aarch64, the tag is manylinux_2_28_x86_64"),
        ({"native": b"MZ" + bytes(30)}, "is for no known machine"),
        ({"native": library(glibc="2.34")}, "needs glibc 2.34, the tag promises 2.28"),
        ({"name": NAME.replace("manylinux_2_28", "linux")}, "not manylinux"),
        ({"more": ("tests/test_x.py",)}, "tests/test_x.py does not belong into it"),
        ({"more": ("mosaicolabs/__pycache__/x.cpython-311.pyc",)}, "does not belong into it"),
    ],
)
def test_a_bad_wheel(tmp_path: Path, tried: ModuleType, options: dict[str, object], problem: str) -> None:
    found = list(tried.problems(wheel(tmp_path, **options)))  # type: ignore[arg-type]
    assert any(problem in line for line in found), found


def test_a_missing_file(tmp_path: Path, tried: ModuleType) -> None:
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mosaicolabs/__init__.py", "")
    found = list(tried.problems(path))
    assert "mosaicolabs/_native.abi3.so is missing" in found
    assert "LICENSE is missing" in found
