"""Files of `deploy/`: their own linters where there are some, and agreement with the daemon."""

import configparser
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def mosaicod(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mosaicod", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**{name: value for name, value in os.environ.items() if "MOSAICO" not in name}, **environment},
    )


def accepted(*args: str, **environment: str) -> str:
    """The effective settings of `mosaicod run` with these arguments."""
    assert args[0] == "run"
    done = mosaicod("config", *args[1:], **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines if line]


class TestDockerfile:
    def test_instructions_are_known(self) -> None:
        known = [
            "FROM",
            "RUN",
            "WORKDIR",
            "COPY",
            "USER",
            "VOLUME",
            "EXPOSE",
            "STOPSIGNAL",
            "HEALTHCHECK",
            "ENTRYPOINT",
            "CMD",
        ]
        assert {name for name, _ in instructions()} <= set(known)

    def test_images_are_pinned(self) -> None:
        images = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
        assert all(re.fullmatch(r"[a-z]+:(?!latest)[\w.-]+", image) for image in images)
        needed = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())
        assert needed is not None
        assert images[0].startswith(f"rust:{needed[1]}-")

    def test_what_it_copies_exists(self) -> None:
        copied = [
            rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest
        ]
        assert copied
        assert all((ROOT / source).exists() for sources in copied for source in sources)

    def test_the_daemon_has_no_rights(self) -> None:
        names = [name for name, _ in instructions()]
        user = next(rest for name, rest in instructions() if name == "USER")
        assert user not in ("root", "0")
        assert names.index("USER") < names.index("ENTRYPOINT")

    def test_the_daemon_accepts_its_arguments(self) -> None:
        command = json.loads(next(rest for name, rest in instructions() if name == "CMD"))
        assert 'host = "0.0.0.0"' in accepted(*command)

    def test_the_health_check_asks_the_monitoring_port(self) -> None:
        check = next(rest for name, rest in instructions() if name == "HEALTHCHECK").partition("CMD ")[2]
        *_, script = json.loads(check)
        assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
        command = json.loads(next(rest for name, rest in instructions() if name == "CMD"))
        assert f"/{command[command.index('--http-port') + 1]} " in script


class TestCompose:
    @pytest.fixture
    def services(self) -> dict[str, Any]:
        self.whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
        services: dict[str, Any] = self.whole["services"]
        return services

    def test_references_exist(self, services: dict[str, Any]) -> None:
        for service in services.values():
            assert "image" in service
            assert not service["image"].endswith(":latest")
            for other, condition in service.get("depends_on", {}).items():
                healthy = condition["condition"] == "service_healthy"
                assert not healthy or "healthcheck" in services[other]
            for volume in service.get("volumes", []):
                assert volume.partition(":")[0] in self.whole["volumes"]
        build = services["mosaicod"]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()

    def test_secrets_are_not_in_the_file(self, services: dict[str, Any]) -> None:
        secrets = [
            value
            for service in services.values()
            for name, value in service.get("environment", {}).items()
            if re.search(r"PASSWORD|SECRET|DB_URL", name)
        ]
        assert len(secrets) >= 5
        assert all(re.search(r"\$\{\w+_PASSWORD:\?", value) for value in secrets)

    def test_the_daemon_accepts_its_settings(self, services: dict[str, Any]) -> None:
        daemon = services["mosaicod"]
        environment = {
            name: re.sub(r"\$\{\w+:\?[^}]*\}", "x", value) for name, value in daemon["environment"].items()
        }
        shown = accepted(*daemon["command"], **environment)
        for name in environment:
            assert f"# environment {name}" in shown or f"environment {name}" in shown, shown

    def test_other_machines_do_not_reach_it_without_tls(self, services: dict[str, Any]) -> None:
        assert all(port.startswith("127.0.0.1:") for port in services["mosaicod"]["ports"])


class TestSystemd:
    def unit(self) -> configparser.RawConfigParser:
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(DEPLOY / "mosaicod.service")
        return parser

    def test_the_daemon_accepts_its_arguments(self) -> None:
        program, *args = shlex.split(self.unit()["Service"]["ExecStart"])
        assert Path(program).name == "mosaicod"
        assert 'local-store = "/var/lib/mosaico"' in accepted(*args)

    def test_the_folder_is_that_of_the_store(self) -> None:
        service = self.unit()["Service"]
        assert f"--local-store /var/lib/{service['StateDirectory']} " in f"{service['ExecStart']} "

    def test_systemd_accepts_and_rates_it(self, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd-analyze is not installed")
        unit = tmp_path / "mosaicod.service"
        unit.write_text(
            (DEPLOY / "mosaicod.service").read_text().replace("/usr/local/bin/mosaicod", "/bin/true")
        )
        analyze = ["systemd-analyze", "--man=no"]
        verified = subprocess.run([*analyze, "verify", unit], capture_output=True, text=True, check=False)
        assert (verified.returncode, verified.stderr) == (0, "")
        rated = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit]
        done = subprocess.run(rated, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


class TestGrafana:
    @pytest.fixture
    def dashboard(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
        return found

    def test_the_file_is_current(self, dashboard: dict[str, Any]) -> None:
        spec = importlib.util.spec_from_file_location("write_dashboard", DEPLOY / "write_dashboard.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert dashboard == module.dashboard(), "run `python deploy/write_dashboard.py`"

    def test_its_metrics_are_documented(self, dashboard: dict[str, Any]) -> None:
        text = (ROOT / "docs/monitoring.md").read_text()
        groups = re.findall(r"`((?:mosaico|process)_[\w{},]+)`", text)
        known = set()
        for group in groups:
            head, _, rest = group.partition("{")
            names, _, tail = rest.partition("}")
            known |= {f"{head}{name}{tail}" for name in names.split(",")}
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        used = {name for expr in expressions for name in re.findall(r"\b(?:mosaico|process)_\w+", expr)}
        assert len(used) > 15
        assert {re.sub(r"_bucket$", "", name) for name in used} <= known

    def test_expressions_have_matching_brackets(self, dashboard: dict[str, Any]) -> None:
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                for opening, closing in ("()", "{}", "[]"):
                    assert target["expr"].count(opening) == target["expr"].count(closing), target["expr"]

    def test_panels_have_their_own_places(self, dashboard: dict[str, Any]) -> None:
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for one, other in combinations((panel["gridPos"] for panel in panels), 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below
