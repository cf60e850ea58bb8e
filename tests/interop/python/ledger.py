import threading
from typing import NamedTuple


class Entry(NamedTuple):
    keys: str
    tags: str
    body: str

    @staticmethod
    def numbered(topic, number):
        """Message `number` of a topic. Its text leaves ASCII, so that character sets matter."""
        return Entry(f"key-{number}", f"tag-{number % 3}", f"message {number} of {topic}: žluťoučký kůň, 消息")


class Ledger:
    """What was sent, what was acknowledged at which offset, and what was consumed from where; and whether they agree:
    all that was acknowledged was consumed from the offset of its acknowledgement (this client does not tell the queue),
    nothing was consumed that was not sent, and each message came back with its own body, keys and tags."""

    def __init__(self):
        self.changed = threading.Condition()  # guards all fields
        self.attempted = {}
        self.acknowledged = {}
        self.consumed = {}
        self.missing = set()
        self.wrong = []
        self.repeated = 0

    def attempt(self, entry):
        with self.changed:
            self.attempted[entry.keys] = entry

    def ack(self, entry, offset):
        with self.changed:
            self.acknowledged[entry.keys] = offset
            if entry.keys not in self.consumed:
                self.missing.add(entry.keys)

    def receive(self, entry, offset):
        with self.changed:
            if entry != self.attempted.get(entry.keys):
                self.wrong.append(f"consumed {entry}, sent {self.attempted.get(entry.keys)}")
                return
            if entry.keys in self.consumed:
                self.repeated += 1
            self.consumed.setdefault(entry.keys, set()).add(offset)
            self.missing.discard(entry.keys)
            self.changed.notify_all()

    def await_all_received(self, patience_s):
        with self.changed:
            self.changed.wait_for(lambda: not self.missing, patience_s)

    def problems(self):
        with self.changed:
            problems = list(self.wrong)
            for keys in self.missing:
                problems.append(f"{keys} was acknowledged at offset {self.acknowledged[keys]} and never consumed")
            for keys, offset in self.acknowledged.items():
                if keys in self.consumed and offset not in self.consumed[keys]:
                    problems.append(f"{keys} was acknowledged at offset {offset} but consumed from {self.consumed[keys]}")
            return problems

    def acked(self):
        with self.changed:
            return len(self.acknowledged)

    def received(self):
        with self.changed:
            return len(self.consumed)

    def summary(self):
        with self.changed:
            return f"acked={len(self.acknowledged)} received={len(self.consumed)} repeated={self.repeated}"
