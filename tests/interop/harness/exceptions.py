"""What need not pass, and why: a row says `servers  scenarios  clients  reason`, with patterns as the command line takes them.

Everything else is served and must pass. What passes although it stands here is named at the end of a run: its row can go.
"""

import fnmatch
from typing import NamedTuple

ROWS = """
ferrymq  mqadmin                 *       it compares name servers that the same brokers of Apache's register with: mixed
ferrymq  answers                 *       the same
apache   rolling-restart         *       Apache's nodes cannot be drained
mixed    rolling-restart         *       the same
apache   admin-failover          *       its print names keys of ours
mixed    admin-failover          *       the same
ferrymq-raft  refusals           raw     it gives back the record at log offset 0, where a group's log has the head of a frame
ferrymq-raft  mqadmin-broker     *       a group has more members, other log offsets and another flushDiskType, and says so
ferrymq-raft  mqadmin-own        *       the same
"""


class Exception_(NamedTuple):
    kind: str
    scenarios: str
    clients: str
    why: str


EXCEPTIONS = [Exception_(*line.split(None, 3)) for line in ROWS.strip().splitlines()]


def reason(kind, scenario, client):
    """Why this need not pass, or None when it must."""
    for row in EXCEPTIONS:
        if fnmatch.fnmatch(kind, row.kind) and fnmatch.fnmatch(scenario, row.scenarios) and fnmatch.fnmatch(client, row.clients):
            return row.why
    return None
