"""Reads the blocks of a page that are marked with `operations`, by heading."""

import re
from dataclasses import dataclass
from pathlib import Path

MARK = " operations"


@dataclass
class Block:
    line: int
    # The first word after the fence: sh, text, or the language of a file.
    kind: str
    text: str

    def file(self):
        """The path in the first line, a comment, of a block that is a file."""
        found = re.match(r"# (/\S+)\n", self.text)
        if not found:
            raise ValueError(f"line {self.line}: the first line of a file must be a comment with its path")
        return found[1]


def sections(page: Path):
    """The headings with such blocks, and their blocks in order."""
    found, heading, block = {}, "", None
    for number, line in enumerate(page.read_text().splitlines(keepends=True), 1):
        fence = line.startswith("```")
        if block is not None and fence:
            if block.kind.endswith(MARK):
                block.kind = block.kind.removesuffix(MARK)
                found.setdefault(heading, []).append(block)
            block = None
        elif block is not None:
            block.text += line
        elif fence:
            block = Block(number, line[3:].rstrip("\n"), "")
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found


def fits(expected: str, found: str) -> bool:
    """True when `found` is `expected`, where … stands for any text."""
    parts = (re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(".*".join(parts), found.strip(), re.DOTALL) is not None
