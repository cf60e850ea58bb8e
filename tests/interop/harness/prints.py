"""What Apache's servers printed or answered, kept in prints/ by `--servers apache --record`; every other run compares with it."""

import difflib

from harness import install

FOLDER = install.HERE / "prints"


def compared(name, printed, is_recording):
    """The verdict on some lines."""
    recorded = FOLDER / f"{name}.txt"
    if is_recording:
        FOLDER.mkdir(exist_ok=True)
        recorded.write_text("\n".join(printed) + "\n")
    problems = list(difflib.unified_diff(recorded.read_text().splitlines(), printed, "Apache", "here", lineterm="", n=2))
    return "differs\n" + "\n".join(problems) if problems else f"ok {len(printed)} lines"
