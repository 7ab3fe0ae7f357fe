#!/usr/bin/env python3
"""Texts that ship: no path of one machine, no unfinished marks, links inside docs that lead somewhere, sources in LF, paragraphs of
Markdown at 100 columns (tables and code as they need it), and no word that docs/glossary.md replaces by another."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Written in pieces so that this file does not find itself.
FORBIDDEN = re.compile("|".join(["/" + "work/", "/ho" + "me/[a-z]", "TO" + "DO", "FIX" + "ME", r"\bXX" + r"X\b"]))
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")
COLUMNS = 100
# Names for what the glossary calls executor, slot, supervisor, rank, result or refusal.
BANNED = re.compile(r"\b(Seat|seats_|LocalSite|SiteId|Joined|Remote|Worker|kDeeds|condemn(ed)?|bury|telling_parameters)\b")


def long_lines(text):
    """Numbers of lines of paragraphs and lists that are too long."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif len(line) > COLUMNS and not fenced and not line.lstrip().startswith("|") and not line.startswith("    ") and " " in line.strip():
            if "`" not in line or len(re.sub(r"`[^`]*`", "", line)) > COLUMNS:
                yield number


def tracked():
    try:
        out = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
        return [ROOT / name for name in out.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        return [f for f in ROOT.rglob("*") if f.is_file() and "build" not in f.parts and ".deps" not in f.parts]


def main():
    problems = []
    for file in tracked():
        if not file.is_file() or file.suffix in (".safetensors", ".png", ".jpg", ".gz", ".bin"):
            continue
        path = file.relative_to(ROOT).as_posix()
        text = file.read_text(encoding="utf-8", errors="replace")
        if "\r\n" in text and not path.startswith("tests/"):
            problems.append(f"{path}: CRLF line ends")
        for number, line in enumerate(text.splitlines(), 1):
            if FORBIDDEN.search(line):
                problems.append(f"{path}:{number}: {line.strip()[:120]}")
            if file.suffix in (".cpp", ".h") and BANNED.search(line):
                problems.append(f"{path}:{number}: '{BANNED.search(line)[0]}': docs/glossary.md has another word")
            if file.suffix == ".md":
                for target, _ in LINK.findall(line):
                    if not (file.parent / target).exists() and not (ROOT / target.lstrip("/")).exists():
                        problems.append(f"{path}:{number}: link to {target}, which does not exist")
        if file.suffix == ".md":
            problems += [f"{path}:{number}: longer than {COLUMNS} columns" for number in long_lines(text)]
    print("\n".join(problems))
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
