"""Checks the words of the documentation, and those of comments, docstrings and messages in the sources.

`docs/glossary.md` defines the terms. Each rule has a phrase to avoid, a better one, a sentence that it finds
and one that it accepts; `tests/unit/test_prose.py` tries them all. Code in Markdown is skipped, except for
public names that no longer exist. `<!-- prose: off -->` and `<!-- prose: on -->` exclude a part of a page.
"""

import argparse
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "COMPATIBILITY.md",
    "CONTRIBUTING.md",
    "benches/README.md",
    "docs/**/*.md",
]
SOURCES = ["rust/**/*.rs", "python/**/*.py"]


class Rule(NamedTuple):
    """A phrase to avoid. A space in `pattern` also stands for a line break."""

    pattern: str
    better: str
    bad: str
    good: str


_MACHINE = r"(?:answer|catalog|client|code|command|daemon|database|file|header|record|server|store|trailer)s?"

EVERYWHERE = [
    # Terms of the glossary.
    Rule(r"catalogu\w*", "catalog", "a catalogue in Postgres", "a catalog in Postgres"),
    Rule(r"(?:ingest|store(?:'s)?) log", "WAL, replicated WAL", "the ingest log", "the write-ahead log"),
    Rule(r"log in the (?:store|bucket)", "replicated WAL", "read the log in the bucket", "read the WAL"),
    Rule(r"signs? of life", "heartbeat", "give a sign of life", "send a heartbeat"),
    Rule(r"taken for (?:gone|dead)", "considered dead", "It is taken for gone.", "It is considered dead."),
    Rule(r"no record names", "unreferenced", "files that no record names", "unreferenced files"),
    Rule(r"(?:un)?seal(?:s|ed|ing)?", "checksum", "the seal of a record", "the checksum of a record"),
    Rule(r"mend(?:s|ed|ing)?", "repair", "Records are mended.", "Records are repaired."),
    Rule(r"announc(?:\w+)", "record an intent", "A change is announced.", "An intent is recorded."),
    Rule(r"(?:un)?settl(?:es?|ed|ing)", "reconcile", "The start settles it.", "The start reconciles it."),
    Rule(r"patience", "timeout", "until its patience ends", "until its timeout"),
    Rule(r"g[aio]ven? up|gives? up", "time out, cancel, release", "It was given up.", "It timed out."),
    # Verbs.
    Rule(r"(?:go|goes|went|gone|going) on", "resume, continue", "The upload goes on.", "It resumes."),
    Rule(r"(?:go|goes|went) over to", "fail over to", "It goes over to another.", "It fails over."),
    Rule(r"anew", "rebuild, rewrite, restart", "It is made anew.", "It is rebuilt."),
    Rule(r"cut short", "interrupt", "A rebuild was cut short.", "A rebuild was interrupted."),
    Rule(
        r"(?:bring|brings|brought) (?:\w+ ){0,4}to an end", "finish", "It is brought to an end.", "It ends."
    ),
    Rule(
        r"(?:hold|holds|held|holding) (?:\w+ )?(?:up|back)", "block, delay", "It holds it up.", "It blocks."
    ),
    # Machines neither talk nor listen.
    Rule(r"(?:is|are|was|were|be|been) told", "receive, report", "The caller is told.", "It receives it."),
    Rule(r"whoever", "a daemon that, the next caller", "Whoever has the lock.", "The holder of the lock."),
    # Style.
    Rule(r"behind (?:your|the|its) back", "later", "It changes behind its back.", "It changes later."),
    Rule(r"in silence", "silently", "Rows are dropped in silence.", "Rows are dropped silently."),
]
"""Rules for documentation and code."""

PAGES_ONLY = [
    Rule(r"the log(?! output)", "the WAL, or the log output", "Rows are in the log.", "Read the log output."),
    Rule(r"heard of", "heartbeat", "the daemon heard of last", "the newest heartbeat"),
    Rule(
        r"joins? (?:\w+ ){0,2}chunks|joined", "compact, merge", "It joins small chunks.", "It merges chunks."
    ),
    Rule(r"(?:take|takes|taken|took|taking) over", "adopt, import, resume", "It takes over.", "It resumes."),
    Rule(r"(?:go|goes|went|gone|is|are|was|were) away", "be lost", "The store is away.", "It is lost."),
    Rule(r"comes?|came|coming", "arrive, be", "It comes at the end.", "It arrives at the end."),
    Rule(r"lies?|lain|lay", "be, be stored", "Data lies under ids.", "Data is stored under ids."),
    Rule(r"stands?", "be, contain", "Units stand in names.", "Names contain units."),
    Rule(r"speaks?|spoke", "implement, print", "It speaks JSON.", "It prints JSON."),
    Rule(r"told|tells?(?! \w+ apart)", "report, contain", "It tells how many.", "It reports the number."),
    Rule(
        _MACHINE + r" (?:says?|said|asks?|asked|hears?)", "contain, report", "The file says so.", "It has it."
    ),
    Rule(
        r"(?:is|are|was|were|be) (?:waited|asked|looked|searched|heard) (?:for|at|of|after|whether)",
        "name the actor: the client waits for",
        "A daemon that restarts is waited for.",
        "The client waits for the daemon.",
    ),
    Rule(
        r"who (?:asks|comes|follows|gets|goes|had|has|holds|leads|leaves|lost|needs|reads|takes|waits)",
        "a daemon that",
        "Who lost a lock waits.",
        "A daemon that lost a lock waits.",
    ),
    Rule(
        r"that one(?! (?:client|daemon|process|sequence|topic))",
        "repeat the noun",
        "Start that one.",
        "Start that daemon.",
    ),
    Rule(r"elsewhere", "name the place", "The rows are elsewhere.", "Another daemon has the rows."),
    Rule(r"not there yet|what is there", "not available yet", "It is not there yet.", "It is not available."),
    Rule(r"simply|obviously|of course", "leave it out", "Simply start it again.", "Start it again."),
    Rule(
        r"(?:(?m:^)|(?<=[.;:|#-] ))(?-i:What|Who)(?= [a-z])(?![^.|\n]*\?)",
        "a noun as subject or heading",
        "What does not fit is refused.",
        "Values that do not fit are refused. What is refused?",
    ),
]
"""Rules for documentation only: code comments may use these words where they are exact."""

NAMES = [
    Rule(r"--take-over", "--force-ownership", "run --take-over", "run --force-ownership"),
    Rule(r"--log[ =](?:disk|store)", "--wal", "run --log store", "run --wal replicated"),
    Rule(r"MOSAICO_LOG\b", "MOSAICO_WAL", "MOSAICO_LOG=disk", "MOSAICO_WAL=disk"),
    Rule(r"rows_elsewhere|RowsElsewhere", "remote_rows", "rows_elsewhere", "remote_rows"),
    Rule(r"\bpart-0000\d", "epoch-0000N", "part-00001.json", "epoch-00001.json"),
    Rule(r"mosaico_received_", "mosaico_ingress_", "mosaico_received_rows", "mosaico_ingress_rows"),
    Rule(r"mosaico_sent_", "mosaico_egress_", "mosaico_sent_rows", "mosaico_egress_rows"),
    Rule(r"mosaico_log_", "mosaico_wal_", "mosaico_log_bytes", "mosaico_wal_bytes"),
    Rule(r"mosaico_open_", "mosaico_..._active", "mosaico_open_jobs", "mosaico_jobs_active"),
    Rule(r"mosaico_catalogue", "mosaico_catalog", "mosaico_catalogue_seconds", "mosaico_catalog_seconds"),
    Rule(r"given_up", "timed_out, cancelled", 'result="given_up"', 'result="timed_out"'),
]
"""Public names that no longer exist, also inside of code."""

NO_PROSE = "\0"
"""Stands for a character that is not prose, so that no phrase reaches across it."""


class Finding(NamedTuple):
    """A phrase that was found."""

    line: int
    phrase: str
    better: str


def hidden(text: str) -> str:
    """`text` without words; spaces and lines stay."""
    return re.sub(r"\S+", lambda run: NO_PROSE * len(run.group()), text)


def findings(text: str, rules: Iterable[Rule], *, words: bool = True) -> Iterator[Finding]:
    """What `rules` find in `text`: whole words in any case, or exactly what they say."""
    # A line end becomes a space and several ones become one line end; `lines` is where each character was.
    flat, lines, line = [], [], 1
    for space, run in re.findall(r"(\s+)|(\S+)", text):
        breaks = space.count("\n")
        flat.append(run or ("\n" if breaks > 1 else " "))
        lines.extend([line] * len(flat[-1]))
        line += breaks
    for rule in rules:
        pattern = rf"(?<![\w-])(?:{rule.pattern})(?![\w-])" if words else rule.pattern
        for match in re.finditer(pattern, "".join(flat), re.IGNORECASE if words else 0):
            yield Finding(lines[match.start()], match.group().strip(), rule.better)


def markdown_prose(text: str) -> str:
    """A page without code blocks, code spans and addresses of links."""
    code = r"^[ \t]*```.*?^[ \t]*```|`[^`\n]+`|(?<=\])\([^)\s]+\)|<!--.*?-->"
    return re.sub(code, lambda match: hidden(match.group()), text, flags=re.DOTALL | re.MULTILINE)


def included(text: str) -> str:
    """A page without the parts that its comments exclude."""
    off = r"<!-- prose: off -->.*?(?:<!-- prose: on -->|\Z)"
    return re.sub(off, lambda match: hidden(match.group()), text, flags=re.DOTALL)


_RUST = re.compile(
    r"""(?P<comment>//[/!]?[^\n]*)|(?P<block>/\*.*?\*/)|\bb?r(?P<fence>\#*)"(?P<raw>.*?)"(?P=fence)"""
    r"""|"(?P<text>(?:\\.|[^"\\])*)"|'(?:\\(?:u\{\w+\}|.\w*)|[^\\'\n])'""",
    re.DOTALL | re.VERBOSE,
)


def rust_prose(text: str) -> str:
    """Comments and string literals of Rust, without code spans."""
    parts, end = [], 0
    for match in _RUST.finditer(text):
        prose = match.group()
        if match["comment"]:
            prose = re.sub(r"^//[/!]?", lambda marker: " " * len(marker.group()), prose)
        elif match["text"]:
            prose = re.sub(r"\\\n", " \n", prose)
        elif not (match["block"] or match["raw"]):
            prose = hidden(prose)
        parts += [hidden(text[end : match.start()]), re.sub(r"`[^`\n]+`", hidden_match, prose)]
        end = match.end()
    return "".join([*parts, hidden(text[end:])])


def hidden_match(match: re.Match[str]) -> str:
    """A match without its words."""
    return hidden(match.group())


def python_prose(text: str) -> str:
    """Comments and strings of Python, docstrings among them, without code spans."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    parts, end = [], 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            first, last = (starts[row - 1] + column for row, column in (token.start, token.end))
            prose = re.sub(r"^#", " ", text[first:last])
            parts += [hidden(text[end:first]), re.sub(r"`[^`\n]+`", hidden_match, prose)]
            end = last
    return "".join([*parts, hidden(text[end:])])


def page_findings(text: str) -> list[Finding]:
    """What is to be changed in a page."""
    text = included(text)
    prose = findings(markdown_prose(text), [*EVERYWHERE, *PAGES_ONLY])
    return sorted([*prose, *findings(text, NAMES, words=False)])


def source_findings(text: str, ending: str) -> list[Finding]:
    """What is to be changed in a source file."""
    prose = {".rs": rust_prose, ".py": python_prose}[ending](text)
    return sorted([*findings(prose, EVERYWHERE), *findings(text, NAMES, words=False)])


def main() -> int:
    """Prints what is to be changed, and how."""
    parser = argparse.ArgumentParser(description="Checks the words of pages, comments and messages.")
    parser.add_argument("path", nargs="*", type=Path, help="check these files only")
    arguments = parser.parse_args()
    paths = arguments.path or sorted(path for pattern in [*PAGES, *SOURCES] for path in ROOT.glob(pattern))
    count = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        found = page_findings(text) if path.suffix == ".md" else source_findings(text, path.suffix)
        place = path.resolve()
        place = place.relative_to(ROOT) if place.is_relative_to(ROOT) else place
        for line, phrase, better in found:
            print(f"{place}:{line}: {phrase} → {better}")
        count += len(found)
    if count:
        print(f"{count} phrases; docs/glossary.md defines the terms", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
