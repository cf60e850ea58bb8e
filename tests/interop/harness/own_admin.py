"""What our `mqadmin` prints, compared with what Apache's printed in the same state (prints/mqadmin-broker.txt).

Beside what admin_prints.py makes equal, it may differ in: the order within a Java map; what it says when it fails, which it must do
where Apache's fails; and the retry topics that Apache's own tools leave behind as consumers.
"""

import difflib
import re
import subprocess

from harness import prints
from harness.admin_prints import each_step, names_only, sorted_lines, steps, topics
from harness.servers import ferrymq

RECORDED = "mqadmin-broker"
REFUSED = "refused"
LEFT_BY_TOOLS = {"%RETRY%TOOLS_CONSUMER", "%RETRY%prints-reader"}
COMMAND_S = 30


class OwnConsole:
    def __init__(self, folder):
        # The name is the command: as a link that a user has made.
        self.program = folder / "mqadmin"
        self.program.symlink_to(ferrymq().resolve())

    def run(self, _, *words):
        said = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=COMMAND_S)
        return said.stdout.splitlines() if said.returncode == 0 else [REFUSED]


def compare_own(deployment, _name, folder, _is_recording):
    problems, expected = [], recorded()
    for rule, command, lines in each_step(OwnConsole(folder), deployment):
        lines = rule([as_recorded(deployment, line) for line in lines])
        again = sorted if rule in (sorted_lines, names_only, topics) else list
        problems += difflib.unified_diff(again(even(expected[command])), again(even(lines)),
                                         f"Apache: {command}", f"here: {command}", lineterm="")
    return "differs\n" + "\n".join(problems) if problems else f"ok {len(steps())} prints"


def recorded():
    """What Apache's printed for each command; of those that come twice, in turn."""
    sections, command = Turns(), None
    for line in (prints.FOLDER / f"{RECORDED}.txt").read_text().splitlines():
        if line.startswith("$ mqadmin "):
            command = line.removeprefix("$ mqadmin ")
            sections.begin(command)
        else:
            sections.add(command, line)
    return sections


class Turns:
    def __init__(self):
        self.sections = {}

    def begin(self, command):
        self.sections.setdefault(command, []).append([])

    def add(self, command, line):
        self.sections[command][-1].append(line)

    def __getitem__(self, command):
        return self.sections[command].pop(0)


def as_recorded(deployment, line):
    return line.replace(deployment.broker_name, "broker-admin").replace(deployment.cluster, "cluster-admin")


def even(lines):
    """Without what may differ."""
    if any(line.startswith("org.apache.rocketmq") for line in lines):
        return [REFUSED]
    # Messages before it are longer or shorter by their ids.
    lines = [re.sub(r"(@ID@)\d+$", r"\1NUMBER", line) for line in lines]
    return [re.sub(r"\{([^{}]*)\}", lambda found: "{" + ", ".join(sorted(found[1].split(", "))) + "}", line)
            for line in lines if line.strip() and line not in LEFT_BY_TOOLS]
