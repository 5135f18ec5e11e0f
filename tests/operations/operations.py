"""Runs the marked blocks of docs/operations.md: operations.py PROGRAM [OLDER_PROGRAM]"""

import os
import re
import signal
import sys
import time
from pathlib import Path

import page
from machine import HERE, Machine, Shell
from sections import SECTIONS

PAGE = HERE.parent.parent / "docs/operations.md"


def stopped(number, _):
    raise SystemExit(128 + number)


def run(machine, name, section, blocks, prelude):
    section.before(machine)
    shell = Shell(machine, prelude)
    try:
        steps = iter(enumerate(blocks))
        for at, block in steps:
            if block.kind == "text":
                raise AssertionError(f"docs/operations.md:{block.line}: an output without a command")
            try:
                section.at(machine, at)
                if block.kind != "sh":
                    path = block.file()
                    # As the package gives them to their users.
                    mode = 0o640 if path.startswith("/etc/clientele/") else 0o644
                    machine.write(path, block.text, mode)
                    continue
                answer = blocks[at + 1] if at + 1 < len(blocks) and blocks[at + 1].kind == "text" else None
                shell.expect(block.text, answer.text if answer else "")
                if answer:
                    next(steps)
            except AssertionError as error:
                raise AssertionError(f"docs/operations.md:{block.line}: {error}") from None
    finally:
        shell.close()
    section.after(machine)


def main():
    program, older = [os.path.realpath(path) for path in (sys.argv[1:] + sys.argv[1:2])[:2]]
    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)
    found = page.sections(PAGE)
    prelude = "\n".join(block.text for block in found.pop("Operations"))
    assert list(found) == list(SECTIONS), f"the sections of the page are {list(found)}, the known ones {list(SECTIONS)}"
    chosen = re.compile(os.environ.get("SECTIONS", ""))
    needed = {name for name in SECTIONS if chosen.search(name)}
    if not needed:
        sys.exit(f"SECTIONS={chosen.pattern} fits none of the sections: {', '.join(SECTIONS)}")
    machine = Machine(program, older)
    passed = 0
    try:
        for name in reversed(SECTIONS):
            if name in needed and SECTIONS[name].needs:
                needed.add(SECTIONS[name].needs)
        for name, section in SECTIONS.items():
            if name not in needed:
                continue
            print(f"{name}", flush=True)
            begun = time.monotonic()
            run(machine, name, section, found[name], prelude)
            print(f"    {time.monotonic() - begun:.1f} s", flush=True)
            passed += 1
    except AssertionError as error:
        print(f"{error}\n{machine.warnings()}", file=sys.stderr)
        sys.exit(1)
    finally:
        machine.close()
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
