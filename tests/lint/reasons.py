#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""README's two tables of reasons, made from the one list in include/sluice/reason.h.

tests/lint/reasons.py           prints README as it should be
tests/lint/reasons.py --write   writes it
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER, README = ROOT / "include/sluice/reason.h", ROOT / "README.md"
ENTRY = re.compile(r'X\((\w+),\s*"([a-z-]+)",\s*"([^"]+)"\)')
TABLE = r"(?<=\n{title}:\n\n).*?\n(?=\n)"


def reasons(macro):
    """(symbol, name, text) of each entry of one X-macro list."""
    body = re.search(rf"#define {macro}\(X\)((?:.*\\\n)*.*\n)", HEADER.read_text()).group(1)
    found = ENTRY.findall(body.replace("\\\n", " "))
    if len(found) != len(re.findall(r"\bX\(", body)):
        sys.exit(f"{HEADER}: {macro} has an entry that is not X(SYMBOL, \"name\", \"text\")")
    return found


def rendered():
    """README.md with its tables made anew."""
    text = README.read_text()
    for title, macro in (("Denied", "SL_DENY_REASONS"), ("Allowed", "SL_ALLOW_REASONS")):
        rows = "".join(f"| `{name}` | {text} |\n" for _, name, text in reasons(macro))
        table = "| reason | what it tells |\n|---|---|\n" + rows
        text, tables = re.subn(TABLE.format(title=title), lambda _, table=table: table, text, flags=re.S)
        if tables != 1:
            sys.exit(f"{README}: there is no table below \"{title}:\"")
    return text


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        README.write_text(rendered())
    else:
        print(rendered(), end="")
