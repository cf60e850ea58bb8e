"""The page docs/interop.md: which scenario which client passes. It is made from the tables that a run goes by, and compared with them."""

from collections import Counter

from harness import install
from harness.clients import CLIENTS

PAGE = install.REPOSITORY / "docs" / "interop.md"
TITLES = {"java": "Java 5.5.0", "java4": "Java 4.9.8", "go": "Go 2.1.2", "python": "C++ (Python) 0.4.4"}
# What features begin with, in the order of the page.
PARTS = (
    ("Sending", ("send", "batch", "topic", "priority", "group-auto")), ("Pulling", ("pull", "queue", "lite")),
    ("Filters", ("filter",)), ("Groups and offsets", ("group", "rebalance", "consume", "offset", "expired")),
    ("Retries and dead letters", ("retry",)), ("Delays and timers", ("delay", "timer")), ("Transactions", ("transaction",)),
    ("Requests and replies", ("request", "reply")), ("Queries and traces", ("query", "trace")),
    ("Administration", ("admin", "mqadmin")), ("Wrong requests", ("refusals",)), ("Others", ("",)))
HEAD = """# Scenarios and clients

Each row is a scenario of `tests/interop`, each mark a client that proves it: unmodified, as its project publishes it. `.ci/run` runs all of them
against ferrymq and fails when one fails; the same programs run against Apache's own servers as the control (`tests/interop/run --servers apache`), where all
must pass but the rows of `tests/interop/harness/exceptions.py`, each with its reason.
This page is made by `tests/interop/run --page`, and a run of all of them fails while it is stale.

"""


def text(features, scenarios):
    """The whole page."""
    rows = [*features, *scenarios]
    counts = Counter(client for row in rows for client in row.clients)
    lines = ["| client | scenarios |", "|---|---|", *(f"| {TITLES[client]} | {counts[client]} |" for client in CLIENTS), ""]
    left = list(features)
    restarts = [feature for feature in left if feature.profile in ("restart", "crash")]
    left = [feature for feature in left if feature not in restarts]
    for title, beginnings in PARTS:
        part = [feature for feature in left if feature.name.startswith(beginnings)]
        left = [feature for feature in left if feature not in part]
        lines += table(title, part)
    lines += table("The broker is stopped (`-restart`) or killed (`-crash`) meanwhile", restarts)
    lines += table("Servers of their own", scenarios)
    return HEAD + "\n".join(lines)


def table(title, rows):
    if not rows:
        return []
    lines = [f"## {title}", "", "| scenario | what it shows | " + " | ".join(TITLES[client] for client in CLIENTS) + " | others |",
             "|---|---|" + "---|" * (len(CLIENTS) + 1)]
    for row in rows:
        marks = " | ".join("✓" if client in row.clients else "" for client in CLIENTS)
        others = ", ".join(client for client in row.clients if client not in CLIENTS)
        lines.append(f"| `{row.name}` | {row.what} | {marks} | {others} |")
    return [*lines, ""]


def is_stale(features, scenarios):
    return not PAGE.exists() or PAGE.read_text() != text(features, scenarios)


def write(features, scenarios):
    PAGE.write_text(text(features, scenarios))
