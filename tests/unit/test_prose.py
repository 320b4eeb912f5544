"""The prose check finds what its rules name, where it is prose, and nothing else."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "check_prose.py"
SPEC = importlib.util.spec_from_file_location("check_prose", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check)

PROSE = [*check.EVERYWHERE, *check.PAGES_ONLY]


def found(text: str) -> list[tuple[int, str]]:
    return [(line, phrase) for line, phrase, _ in check.page_findings(text)]


@pytest.mark.parametrize("rule", [*PROSE, *check.NAMES], ids=lambda rule: rule.bad)
def test_a_rule_finds_its_phrase(rule: object) -> None:
    words = rule not in check.NAMES
    assert list(check.findings(rule.bad, [rule], words=words)), "it does not find its own example"
    assert not list(check.findings(rule.good, [rule], words=words))
    assert any(better == rule.better for _, _, better in check.page_findings(rule.bad))
    assert not check.page_findings(rule.good), "its better phrase breaks another rule"


@pytest.mark.parametrize("rule", check.EVERYWHERE, ids=lambda rule: rule.bad)
def test_rules_for_code_find_comments_and_messages(rule: object) -> None:
    for source, ending in [
        (f"//! {rule.bad}\nfn f() {{}}\n", ".rs"),
        (f'fn f() {{\n    /// {rule.bad}\n    g("");\n}}\n', ".rs"),
        (f"fn f() {{ /* {rule.bad} */ }}\n", ".rs"),
        (f'#[error("{{0}}: {rule.bad}")]\n', ".rs"),
        (f'fn f() {{ tracing::warn!(%error, "{rule.bad}") }}\n', ".rs"),
        (f'"""{rule.bad}"""\n', ".py"),
        (f"x = 1  # {rule.bad}\n", ".py"),
        (f'def f():\n    raise ValueError(f"{{x}}: {rule.bad}")\n', ".py"),
    ]:
        assert check.source_findings(source, ending), source


def test_identifiers_and_code_spans_are_no_prose() -> None:
    rust = "/// `catalogue` is a table.\nfn settle(catalogue: &'static str) -> bool { c == '\"' && anew() }\n"
    assert not check.source_findings(rust, ".rs")
    assert not check.source_findings("def settle(catalogue):\n    return catalogue.anew  # `anew`\n", ".py")
    page = "A `catalogue` is [here](catalogue.md).\n\n```rust\nlet catalogue = 1; // goes on\n```\n"
    assert not found(page)


def test_a_phrase_is_found_across_a_line_end_and_at_its_line() -> None:
    assert found("# Title\n\nThe upload goes\non here.\n") == [(3, "goes on")]
    assert found("| a | It is\n\ntold apart |\n") == [(3, "told")]
    rust = 'fn f() {\n    // The upload goes\n    // on here.\n    f("goes", on);\n}\n'
    assert [line for line, _, _ in check.source_findings(rust, ".rs")] == [2]
    python = 'x = """\nThe upload goes\non here.\n"""\n'
    assert [line for line, _, _ in check.source_findings(python, ".py")] == [2]


def test_old_public_names_are_found_in_code_too() -> None:
    assert found("```sh\nmosaicod run --log store\n```\n\n`rows_elsewhere`\n") == [
        (2, "--log store"),
        (5, "rows_elsewhere"),
    ]
    assert check.source_findings('const NAME: &str = "rows_elsewhere";\n', ".rs")


def test_a_part_can_be_excluded() -> None:
    excluded = "<!-- prose: off -->\nthe catalogue, `--take-over`\n<!-- prose: on -->\n"
    assert not found(excluded)
    assert found(excluded + "the catalogue\n") == [(4, "catalogue")]


def test_sentences_do_not_begin_with_a_relative_clause() -> None:
    for text in (
        "What is lost is named.",
        "- What is lost",
        "## Who leads",
        "| a | What it is |",
        "Text. What it is.",
    ):
        assert found(text), text
    assert not found("What is lost?\n")
    assert not found("It reports what is lost.\n")


def test_the_command_prints_place_phrase_and_better_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A\ncatalogue.\n", encoding="utf-8")
    clean = tmp_path / "clean.md"
    clean.write_text("A catalog.\n", encoding="utf-8")
    run = [sys.executable, str(SCRIPT)]
    done = subprocess.run([*run, str(page)], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 1
    assert done.stdout.endswith("page.md:2: catalogue → catalog\n")
    assert subprocess.run([*run, str(clean)], check=False).returncode == 0
