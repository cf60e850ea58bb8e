"""Scenario migrate: Apache's brokers stop, `ferrymq migrate` takes their store to a group of ours, and Apache's client finds every
message at its queue and offset, with its time, tags and keys. `classic` is one broker's store with messages of every kind, of
which some still wait; `dledger` are the stores of three DLedger nodes; `upgraded` is that of a DLedger node that was a classic broker before, in the same folder."""

import json
import re
import subprocess

from harness.processes import Failure, free_port, verdicts, wait_until
from harness.remoting import ask, broker_addresses, route
from harness.servers import DEFAULT_TOPIC, ROUTE_S, Broker, NameServer, ferrymq, killed_afterwards, make_topic
from harness.stores import ALL_KINDS, STOPPED_S, different, told_by_java

TOPIC, GROUP, NAME = "moved", "moved-readers", "broker-moved"
KINDS = ("classic", "dledger", "upgraded")
NODES, QUEUES = 3, 4
UPDATE_GROUP, SEND_BACK, QUERY_OFFSET, UPDATE_OFFSET, MAX_OFFSET, PULL = 200, 36, 14, 15, 30, 11
# Delayed messages and timers that are still waiting when the broker stops, and halves whose producer has not decided.
WAITING = 20
KINDS_WAITING = 3
# What the sends of a run come to beside the other kinds.
MESSAGES = 2000
MIGRATED_S = 600
# Columns of Stores.java that are of the place in the log.
PLACE, ID = 2, 8
DISK = {"diskMaxUsedSpaceRatio": 95, "diskSpaceCleanForciblyRatio": 99}


def run(_servers, kinds, folder, messages=MESSAGES):
    play = {"classic": classic, "dledger": dledger, "upgraded": upgraded}

    def verdict_of(kind):
        with killed_afterwards() as started:
            return play[kind](folder / kind, messages, started)
    return verdicts(kinds, verdict_of)


class Node(Broker):
    """A node of ours, whose configuration is written before it starts."""

    def write(self):
        launch, self.launch = self.launch, self._write
        try:
            self.start()
        finally:
            self.launch = launch

    def _write(self, _command, settings):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    @property
    def configuration(self):
        return self.folder / f"{self.name}.conf"


class Names:
    """A name server, and what is asked through it."""

    def __init__(self, name, kind, folder, started):
        self.folder, self.server = folder, NameServer(name, kind, folder)
        started.append(self.server)
        self.server.start()
        self.server.booted()

    def leader(self):
        return broker_addresses(self.server.address, DEFAULT_TOPIC, NAME).get(0)

    def wait_for_leader(self):
        wait_until("the broker is routed to", self.leader, ROUTE_S)

    def java(self, command, topic, *arguments):
        return told_by_java(self.folder, command, self.server, topic, *arguments)

    def ask(self, code, fields, body=b""):
        answer = ask(self.leader(), code, fields, body)
        if answer.code != 0:
            raise Failure(f"request {code} {fields}: {answer}")
        return answer.fields

    def make_topic(self):
        make_topic(self.leader(), self.server, TOPIC, QUEUES)

    def read(self, topic=TOPIC):
        """All messages, without where they lie in the log."""
        wait_until(f"{topic} is routed", lambda: route(self.server.address, topic), ROUTE_S)
        columns = (line.split("\t") for line in self.java("read", topic))
        return ["\t".join(value for at, value in enumerate(line) if at not in (PLACE, ID)) for line in columns]

    def consume(self):
        """A group that has come to other offsets in each queue, has sent back two messages, and given up two."""
        self.ask(UPDATE_GROUP, {}, json.dumps({
            "groupName": GROUP, "consumeEnable": True, "consumeBroadcastEnable": True, "retryQueueNums": 1, "retryMaxTimes": 16,
            "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1}).encode())
        lines = [line.split("\t") for line in self.java("read", TOPIC)]
        for number, line in enumerate(lines[:4]):
            self.ask(SEND_BACK, {
                "offset": line[PLACE], "group": GROUP, "delayLevel": "-1" if number < 2 else "1", "originMsgId": line[ID],
                "originTopic": TOPIC, "unitMode": "false", "maxReconsumeTimes": "16"})
        for queue in range(QUEUES):
            self.ask(UPDATE_OFFSET, {"consumerGroup": GROUP, "topic": TOPIC, "queueId": f"{queue}", "commitOffset": f"{7 + queue}"})
        retried = {"topic": f"%RETRY%{GROUP}", "queueId": "0"}
        wait_until("what was sent back has come", lambda: int(self.ask(MAX_OFFSET, retried)["offset"]) == 2, ROUTE_S)

    def offsets(self):
        question = {"consumerGroup": GROUP, "topic": TOPIC}
        return [int(self.ask(QUERY_OFFSET, {**question, "queueId": f"{queue}"})["offset"]) for queue in range(QUEUES)]


class Moved:
    """What was there, to be found again."""

    def __init__(self, names, messages):
        names.make_topic()
        names.java("fill", TOPIC, "first", f"{ALL_KINDS},plain:{messages}")
        names.consume()
        self.note(names)

    @classmethod
    def of(cls, names):
        """What is there already."""
        found = cls.__new__(cls)
        found.note(names)
        return found

    def note(self, names):
        self.messages, self.offsets = names.read(), names.offsets()
        self.retried = names.read(f"%RETRY%{GROUP}")

    def check(self, names):
        found = names.read()
        if found != self.messages:
            raise Failure(different(self.messages, found, "the group has other messages"))
        if names.offsets() != self.offsets:
            raise Failure(f"the group is at {names.offsets()}, and was at {self.offsets}")
        if names.read(f"%RETRY%{GROUP}") != self.retried:
            raise Failure("other messages are to be tried again")
        dead = int(names.ask(MAX_OFFSET, {"topic": f"%DLQ%{GROUP}", "queueId": "0"})["offset"])
        if dead != 2:
            raise Failure(f"{dead} messages are given up, and were 2")
        found = names.java("find", TOPIC, "first-all")
        if found != ["50"]:
            raise Failure(f"{found} messages are found by a key, not 50")


def migrate(stores, nodes, *more):
    for node in nodes:
        node.write()
    command = [ferrymq(), "migrate", "--from", *stores, "--to", *(node.configuration for node in nodes), *more]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=MIGRATED_S)
    if done.returncode:
        raise Failure(f"migrate: {done.returncode} {done.stdout}{done.stderr}")
    for node in nodes:
        verified = subprocess.run([ferrymq(), "store", "verify", node.folder / "store"], capture_output=True, text=True)
        if verified.returncode:
            raise Failure(f"{node.name}: {verified.stdout}{verified.stderr}")
    return re.search(r"moved .*", done.stdout).group()


def our_nodes(names, folder):
    peers = ";".join(f"n{node}-127.0.0.1:{free_port()}" for node in range(NODES))
    return [Node(f"n{node}", folder, [names.server], {
        "brokerClusterName": "cluster-moved", "brokerName": NAME, "enableDLegerCommitLog": "true", "dLegerGroup": NAME,
        "dLegerPeers": peers, "dLegerSelfId": f"n{node}", "transactionTimeOut": 1000, "transactionCheckInterval": 5000, **DISK},
        kind="ferrymq") for node in range(NODES)]


def moved_to_ours(olds, folder, started):
    """What these brokers have left becomes a group of ours, which is started. Through whom it is asked, its nodes, and what was said."""
    names = Names("ns-new", "ferrymq", folder, started)
    nodes = our_nodes(names, folder)
    told = migrate([old.folder / "store" for old in olds], nodes)
    started += nodes
    for node in nodes:
        node.start()
    for node in nodes:
        node.booted()
    names.wait_for_leader()
    return names, nodes, told


def classic(folder, messages, started):
    old_names = Names("ns-old", "apache", folder, started)
    # Nobody asks the producer before all is moved.
    old = Broker("old", folder, [old_names.server], {
        "brokerClusterName": "cluster-moved", "brokerName": NAME, "brokerId": 0, "brokerRole": "ASYNC_MASTER",
        "transactionTimeOut": 600_000, "transactionCheckInterval": 600_000, **DISK})
    started.append(old)
    old.start()
    old.booted()
    old_names.wait_for_leader()
    moved = Moved(old_names, messages)
    old_names.java("wait", TOPIC, "waiting", f"{WAITING}")
    if len(old_names.read()) != len(moved.messages):
        raise Failure("the machine is too slow: what should wait has come before the broker stops")
    old.process.stop(STOPPED_S)

    names, nodes, told = moved_to_ours([old], folder, started)
    # The producer is back, and says which of its halves count.
    names.java("decide", TOPIC, "waiting", f"{len(moved.messages) + KINDS_WAITING * WAITING}")
    came = names.read()
    bodies = set(came) - set(moved.messages)
    if len(came) != len(moved.messages) + KINDS_WAITING * WAITING or len(bodies) != KINDS_WAITING * WAITING:
        raise Failure(f"{len(bodies)} messages have come that had waited, not {KINDS_WAITING * WAITING}")
    before = set(moved.messages)
    kept = [line for line in came if line in before]
    if kept != moved.messages:
        raise Failure(different(moved.messages, kept, "the group has other messages"))
    moved.messages = came
    moved.check(names)
    nodes[0].kill()
    names.wait_for_leader()
    return f"ok {len(came)} messages, {told}"


def dledger(folder, messages, started):
    old_names = Names("ns-old", "apache", folder, started)
    peers = ";".join(f"n{node}-127.0.0.1:{free_port()}" for node in range(NODES))
    olds = [Broker(f"old-n{node}", folder, [old_names.server], {
        "brokerClusterName": "cluster-moved", "brokerName": NAME, "enableDLegerCommitLog": "true", "dLegerGroup": NAME,
        "dLegerPeers": peers, "dLegerSelfId": f"n{node}", **DISK}) for node in range(NODES)]
    for old in olds:
        started.append(old)
        old.start()
    for old in olds:
        old.booted()
    old_names.wait_for_leader()
    wait_until("all nodes are routed to", lambda: len(broker_addresses(
        old_names.server.address, DEFAULT_TOPIC, NAME)) == NODES, 2 * ROUTE_S)
    moved = Moved(old_names, messages)
    leader = old_names.leader()
    # The one that leads last knows most.
    for old in sorted(olds, key=lambda each: each.address == leader):
        old.process.stop(STOPPED_S)

    names, nodes, told = moved_to_ours(olds, folder, started)
    moved.check(names)
    return f"ok {len(moved.messages)} messages, {told}"


def upgraded(folder, messages, started):
    old_names = Names("ns-old", "apache", folder, started)
    settings = {"brokerClusterName": "cluster-moved", "brokerName": NAME, "mappedFileSizeCommitLog": 4 << 20, **DISK}
    old = Broker("old", folder, [old_names.server], {**settings, "brokerId": 0, "brokerRole": "ASYNC_MASTER"})
    started.append(old)
    old.start()
    old.booted()
    old_names.wait_for_leader()
    old_names.make_topic()
    old_names.java("fill", TOPIC, "before", f"{ALL_KINDS},plain:{messages}")
    before = old_names.read()
    old.process.stop(STOPPED_S)
    old.settings = {**settings, "enableDLegerCommitLog": "true", "dLegerGroup": NAME, "dLegerPeers": f"n0-127.0.0.1:{free_port()}",
                    "dLegerSelfId": "n0"}
    old.start()
    old.booted()
    wait_until("the node leads", lambda: old_names.leader() == old.address and succeeds(old), 2 * ROUTE_S)
    old_names.java("fill", TOPIC, "first", ALL_KINDS)
    old_names.consume()
    moved = Moved.of(old_names)
    if [line for line in moved.messages if line in set(before)] != before:
        raise Failure("Apache's DLedger node has lost what it had before")
    old.process.stop(STOPPED_S)

    names, nodes, told = moved_to_ours([old], folder, started)
    moved.check(names)
    return f"ok {len(before)} messages of before and {len(moved.messages) - len(before)} entries, {told}"


def succeeds(broker):
    """Whether it takes requests as a leader, and not only registers as one."""
    return ask(broker.address, MAX_OFFSET, {"topic": TOPIC, "queueId": "0"}).code == 0
