"""Importing the package: names are found at their first use, and heavy packages are imported with them."""

import ast
import importlib
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import mosaicolabs
from mosaicolabs._distribution import NAME, warn_of_mixed_distributions

SOURCE = Path(mosaicolabs.__file__)


def imported_for_type_checkers() -> dict[str, str]:
    """Names and modules of the block that only type checkers see."""
    (block,) = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    return {
        alias.name: (node.module or "").removeprefix("mosaicolabs.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_see_what_is_found_at_run_time() -> None:
    assert imported_for_type_checkers() == mosaicolabs._HOME_OF
    assert sorted(mosaicolabs._HOME_OF) == sorted(mosaicolabs.__all__)
    assert len(mosaicolabs.__all__) > 80


@pytest.mark.parametrize("name", mosaicolabs.__all__)
def test_names_are_those_of_their_modules(name: str) -> None:
    home = importlib.import_module(f"mosaicolabs.{mosaicolabs._HOME_OF[name]}")
    assert getattr(mosaicolabs, name) is getattr(home, name)
    assert name in dir(mosaicolabs)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mosaicolabs' has no attribute 'Imu'"):
        mosaicolabs.Imu  # noqa: B018
    assert not hasattr(mosaicolabs, "ml_")


def modules_after(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"numpy", "pandas", "PIL", "pyarrow", "pydantic", "rich", "mosaicolabs._native"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import mosaicolabs") & HEAVY == set()
    assert "mosaicolabs._native" in modules_after("import mosaicolabs; mosaicolabs.MosaicoClient")


def test_modules_are_attributes() -> None:
    code = "import mosaicolabs; mosaicolabs.models.sensors.IMU; mosaicolabs.exceptions.MosaicoError"
    assert "mosaicolabs.models.sensors.imu" in modules_after(code)


@pytest.mark.parametrize("other", ["mosaicolabs-0.2.4.dist-info", "mosaicolabs-0.7.0.dist-info"])
def test_a_distribution_with_the_same_files_is_named(tmp_path: Path, other: str) -> None:
    (tmp_path / other).mkdir()
    (tmp_path / "mosaicolabs_native-0.1.0.dist-info").mkdir()
    version = re.findall(r"\d\.\d\.\d", other)[0]
    with pytest.warns(RuntimeWarning, match=f"^mosaicolabs {version} .*`pip uninstall mosaicolabs {NAME}`"):
        warn_of_mixed_distributions(tmp_path)


def test_the_distribution_alone_is_quiet(tmp_path: Path) -> None:
    for name in ("mosaicolabs", "mosaicolabs_native-0.1.0.dist-info", "mosaicolabs_tools-1.0.dist-info"):
        (tmp_path / name).mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_mixed_distributions(tmp_path)


def test_the_import_warns(tmp_path: Path) -> None:
    """The package itself looks into the folder that it is in."""
    (tmp_path / "mosaicolabs").symlink_to(SOURCE.parent)
    (tmp_path / "mosaicolabs-0.2.4.dist-info").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import mosaicolabs, mosaicolabs.comm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("RuntimeWarning") == 1
    assert "Mosaico's SDK" in done.stderr
