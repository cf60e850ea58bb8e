"""Scenario stores: one store goes from Apache's broker to ours and back, with messages of every kind, once with brokers that end
in order and once with brokers that are killed. Whoever has it serves the same messages at the same offsets to Apache's client,
and `ferrymq store` reads them without a broker."""

import json
import re
import subprocess

from harness import decode
from harness.processes import Failure, verdicts, wait_until
from harness.remoting import broker_addresses, route
from harness.servers import DEFAULT_TOPIC, ROUTE_S, Broker, NameServer, ferrymq, make_topic

TOPIC = "stored"
STOPPED_S = 60
# Longer than its own patience.
CLIENT_S = 300
ALL_KINDS = "plain,batch,keyed,delayed,transactional,big"
# Delay and transactions of our own broker have scenarios of their own.
OUR_KINDS = "plain,batch,keyed,big"
# Each round that has delayed messages has so many.
DELAYED = 50
# Apache's broker notes how far its delays are every ten seconds.
DELAYS_NOTED_S = 60
# Messages with the key that all keyed ones of a round have.
KEYED = 50


def run(_servers, _clients, folder):
    return verdicts(("stop", "kill"), lambda ending: exchange(folder / ending, ending))


def exchange(folder, ending):
    name_server = NameServer("ns-stores", "apache", folder)
    broker = Broker("stores", folder, [name_server], {
        "brokerClusterName": "cluster-stores", "brokerName": "broker-stores", "brokerId": 0, "brokerRole": "ASYNC_MASTER",
        # What else fills the disk of this machine is nothing to the store.
        "diskMaxUsedSpaceRatio": 95, "diskSpaceCleanForciblyRatio": 99, "diskSpaceWarningLevelRatio": 99})
    name_server.start()
    name_server.booted()
    try:
        user = User(name_server, broker, ending)
        user.begin("apache")
        make_topic(broker.address, name_server, TOPIC)
        user.fill("first", ALL_KINDS)
        user.end()
        user.look()
        user.begin("ferrymq")
        user.compare()
        user.fill("second", OUR_KINDS)
        user.end()
        user.look()
        user.begin("apache")
        user.compare()
        user.fill("third", ALL_KINDS)
        user.end()
        user.look()
        user.begin("ferrymq")
        user.compare()
        user.end()
        user.look()
        return f"ok {len(user.expected)} messages, the same for all"
    finally:
        broker.kill()
        name_server.kill()


def told_by_java(folder, command, name_server, topic, *arguments):
    """What Stores.java says."""
    lines = decode.java(folder, "Stores", command, name_server.address, topic, *arguments, seconds=CLIENT_S)
    return [line.removeprefix("> ") for line in lines if line.startswith("> ")]


def logs(store):
    return sorted(file for file in (store / "commitlog").iterdir() if len(file.name) == 20)


def written(store):
    """The files of the log in which something is; Apache's broker makes the next one before it needs it."""
    return [file for file in logs(store) if any(beginning(file))]


def beginning(file):
    with file.open("rb") as opened:
        return opened.read(8)


class User:
    """Whoever uses the store through a broker, and remembers what was there."""

    def __init__(self, name_server, broker, ending):
        self.name_server, self.broker, self.ending = name_server, broker, ending
        self.folder = broker.folder / "store"
        self.expected, self.rounds, self.delayed = [], [], 0

    def begin(self, kind):
        self.broker.kind = kind
        self.broker.start()
        self.broker.booted()
        wait_until("the broker is routed to", lambda: 0 in broker_addresses(
            self.name_server.address, DEFAULT_TOPIC, "broker-stores"), ROUTE_S)

    def end(self):
        if self.ending == "stop":
            self.broker.process.stop(STOPPED_S)
        else:
            # What Apache's broker delivered and has not noted, whoever comes next delivers again: Apache's own as well.
            wait_until("the delays are noted", lambda: self.delays_noted() == self.delayed, DELAYS_NOTED_S)
            self.broker.kill()

    def delays_noted(self):
        try:
            noted = json.loads(re.sub(r"(\d+):", r'"\1":', (self.folder / "config" / "delayOffset.json").read_text()))
        except (OSError, ValueError):
            return 0
        return noted["offsetTable"].get("1", 0)

    def fill(self, round_name, kinds):
        self._java("fill", round_name, kinds)
        self.rounds.append(round_name)
        self.delayed += DELAYED if "delayed" in kinds else 0
        before, self.expected = self.expected, self._java("read")
        if [line for line in self.expected if line in set(before)] != before:
            raise Failure(f"messages are gone or changed after round {round_name}")
        self.find()

    def compare(self):
        wait_until(f"{TOPIC} is routed", lambda: route(self.name_server.address, TOPIC), ROUTE_S)
        found = self._java("read")
        if found != self.expected:
            raise Failure(different(self.expected, found, f"{self.broker.kind} reads other messages"))
        self.find()

    def find(self):
        found = self._java("find", *(f"{name}-all" for name in self.rounds))
        if found != [str(KEYED)] * len(self.rounds):
            raise Failure(f"{self.broker.kind} finds {found} messages by keys, not {KEYED} each")

    def look(self):
        """Without a broker."""
        verified = self._store("verify", "-o", "json")
        report = json.loads(verified[-1])
        if not report["isSound"]:
            raise Failure(f"after {self.broker.kind}: {verified[-1]}")
        records = [json.loads(line) for line in self._store("dump", "--topic", TOPIC, "-o", "json")]
        found = sorted(map(line_of, records))
        expected = sorted(line.split("\t")[:8] for line in self.expected)
        # The halves of transactions are of another topic until they are committed.
        if found != expected:
            raise Failure(different(expected, found, f"after {self.broker.kind} the dump has other messages"))

    def _java(self, command, *arguments):
        return told_by_java(self.broker.folder, command, self.name_server, TOPIC, *arguments)

    def _store(self, command, *arguments):
        done = subprocess.run([ferrymq(), "store", command, self.folder, *arguments], capture_output=True, text=True)
        if done.stderr or not done.stdout:
            raise Failure(f"store {command}: {done.returncode} {done.stderr}")
        return done.stdout.splitlines()


def line_of(record):
    """As Stores.java prints a message, without the id."""
    properties = record["properties"]
    return [str(record["queue"]), str(record["queueOffset"]), str(record["offset"]), str(record["bytes"]),
            str(record["storeTime"]), str(record["bodyCrc"]), properties.get("TAGS", ""), properties.get("KEYS", "")]


def different(expected, found, what):
    missing = [line for line in expected if line not in found]
    more = [line for line in found if line not in expected]
    return f"{what}: {len(missing)} missing, such as {missing[:2]}; {len(more)} more, such as {more[:2]}"
