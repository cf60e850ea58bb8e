"""Scenario pairs: a master and its slave, one of them or both ours, waiting for the slave and not. Under load from Apache's
client the slave is killed and comes back; when the master is killed the slave hands out every message; when the master is back,
both write on, and in the end their logs are the same files, byte for byte."""

import json
import os
import signal
import threading
import time

from harness import decode
from harness.processes import Failure, wait_until
from harness.remoting import GET_HA_STATUS, UPDATE_TOPIC, ask, broker_addresses, route, slaves_in_sync
from harness.servers import DEFAULT_TOPIC, ROUTE_S, Broker, NameServer

TOPIC, QUEUES = "paired", 4
PULL = 11
KINDS = "plain,batch,keyed,delayed,transactional,big"
# While the slave is away: Apache's producer rolls back a half that only the master has.
KINDS_ALONE = "plain,batch,keyed,delayed,big"
# Longer than its own patience.
CLIENT_S = 300
STOPPED_S = 60
# Whose master, and whose slave.
SIDES = {"ours-ours": ("ferrymq", "ferrymq"), "ours-apache": ("ferrymq", "apache"), "apache-ours": ("apache", "ferrymq")}
MODES = {"sync": {"brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 2, "slaveTimeout": 300},
         "async": {"brokerRole": "ASYNC_MASTER"}}
PAIRS = tuple(f"{sides}-{mode}" for sides in SIDES for mode in MODES)


def run(_servers, clients, folder):
    for name in clients:
        started = time.monotonic()
        sides, mode = name.rsplit("-", 1)
        try:
            verdict = play(folder / name, *SIDES[sides], MODES[mode])
        except Failure as failure:
            verdict = str(failure)
        yield name, time.monotonic() - started, verdict


def run_acting(_servers, clients, folder):
    for name in clients:
        started = time.monotonic()
        try:
            verdict = act(folder / name, name)
        except Failure as failure:
            verdict = str(failure)
        yield name, time.monotonic() - started, verdict


def act(folder, kind):
    """The master is killed, and name servers present its slave in its place: Apache's client consumes there, in order as well."""
    name_server = NameServer("ns-acting", kind, folder, supportActingMaster="true")
    both = {"brokerClusterName": "cluster-pairs", "brokerName": "broker-pairs", "slaveReadEnable": "true", "totalReplicas": 2,
            "enableSlaveActingMaster": "true", "brokerNotActiveTimeoutMillis": 4000, "diskMaxUsedSpaceRatio": 95}
    master = Broker("master", folder, [name_server], {**both, "brokerId": 0, "brokerRole": "ASYNC_MASTER"}, kind=kind)
    slave = Broker("slave", folder, [name_server], {**both, "brokerId": 1, "brokerRole": "SLAVE"}, kind=kind)
    started = [name_server, master, slave]
    try:
        for server in started:
            server.start()
            server.booted()
        pair = Pair(name_server, master, slave)
        pair.make_topic()
        pair.follow()
        pair.fill("first", KINDS_ALONE)
        pair.level()
        before = java_reads(pair, "read")
        wait_until("the slave has the topic", lambda: all_of(slave, 0), ROUTE_S)
        master.kill()
        wait_until("the slave acts for the master", lambda: broker_addresses(
            name_server.address, TOPIC, "broker-pairs").get(0) == slave.address, ROUTE_S)
        if java_reads(pair, "read") != before:
            raise Failure("other messages than before")
        places = [line.split("\t")[:2] for line in before]
        for group in ("ordered", "ordered-as-well"):
            seen = java_reads(pair, "ordered", group, len(places))
            for queue in range(QUEUES):
                if [line.split("\t") for line in seen if line.startswith(f"{queue}\t")] != [
                        place for place in places if place[0] == str(queue)]:
                    raise Failure(f"{group}: queue {queue} is another one: {seen[:5]} of {places[:5]}")
        return f"ok {len(places)} messages from the acting master, in order as well"
    finally:
        for server in reversed(started):
            if server.process:
                server.kill()


def run_statuses(_servers, clients, folder):
    for name in clients:
        started = time.monotonic()
        try:
            verdict = statuses(folder / name)
        except Failure as failure:
            verdict = str(failure)
        yield name, time.monotonic() - started, verdict


def statuses(folder):
    """What a producer of Apache's client hears from a master that waits for its slave: while it follows, while it does not answer, and
    when it is gone."""
    name_server = NameServer("ns-statuses", "ferrymq", folder)
    both = {"brokerClusterName": "cluster-pairs", "brokerName": "broker-pairs", "diskMaxUsedSpaceRatio": 95}
    master = Broker("master", folder, [name_server], {**both, "brokerId": 0, **MODES["sync"]}, kind="ferrymq")
    slave = Broker("slave", folder, [name_server], {**both, "brokerId": 1, "brokerRole": "SLAVE"}, kind="ferrymq")
    started = [name_server, master, slave]
    try:
        for server in started:
            server.start()
            server.booted()
        pair = Pair(name_server, master, slave)
        pair.make_topic()
        pair.follow()

        def hears(expected):
            heard = java_reads(pair, "send", 3)
            if heard != [expected] * 3:
                raise Failure(f"{heard}, not {expected}")
        hears("SEND_OK")
        os.kill(slave.process.child.pid, signal.SIGSTOP)
        hears("FLUSH_SLAVE_TIMEOUT")
        slave.kill()
        wait_until("the master is alone", lambda: slaves_in_sync(master.address) == 0, ROUTE_S)
        hears("SLAVE_NOT_AVAILABLE")
        slave.start()
        slave.booted()
        pair.follow()
        pair.level()
        hears("SEND_OK")
        return "ok SEND_OK, FLUSH_SLAVE_TIMEOUT, SLAVE_NOT_AVAILABLE and SEND_OK again"
    finally:
        for server in reversed(started):
            if server.process:
                server.kill()


def java_reads(pair, command, *arguments):
    lines = decode.java(pair.master.folder, "Stores", command, pair.name_server.address, TOPIC, *arguments, seconds=CLIENT_S)
    return [line.removeprefix("> ") for line in lines if line.startswith("> ")]


def play(folder, master_kind, slave_kind, mode):
    name_server = NameServer("ns-pairs", "ferrymq", folder)
    both = {"brokerClusterName": "cluster-pairs", "brokerName": "broker-pairs", "slaveReadEnable": "true",
            "diskMaxUsedSpaceRatio": 95, "diskSpaceCleanForciblyRatio": 99, "mappedFileSizeCommitLog": 16 << 20}
    master = Broker("master", folder, [name_server], {**both, "brokerId": 0, **mode}, kind=master_kind)
    slave = Broker("slave", folder, [name_server], {**both, "brokerId": 1, "brokerRole": "SLAVE"}, kind=slave_kind)
    started = [name_server]
    try:
        name_server.start()
        name_server.booted()
        for broker in (master, slave):
            started.append(broker)
            broker.start()
            broker.booted()
        pair = Pair(name_server, master, slave)
        pair.make_topic()
        pair.follow()
        pair.fill("first")
        pair.fill_and_meanwhile("second", pair.kill_slave)
        pair.follow()
        pair.level()
        messages = pair.read_on_without_master()
        pair.fill("third")
        pair.level()
        for broker in (master, slave):
            broker.process.stop(STOPPED_S)
        return f"ok {messages} bytes read from the slave alone, {same_files(master, slave)} bytes of log are the same"
    finally:
        for server in reversed(started):
            server.kill()


class Pair:
    def __init__(self, name_server, master, slave):
        self.name_server, self.master, self.slave = name_server, master, slave

    def make_topic(self):
        wait_until("the master is routed to", lambda: 0 in broker_addresses(
            self.name_server.address, DEFAULT_TOPIC, "broker-pairs"), ROUTE_S)
        fields = {"topic": TOPIC, "defaultTopic": DEFAULT_TOPIC, "readQueueNums": f"{QUEUES}", "writeQueueNums": f"{QUEUES}",
                  "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"}
        answer = ask(self.master.address, UPDATE_TOPIC, fields)
        if answer.code != 0:
            raise Failure(f"the topic was not made: {answer}")
        wait_until(f"{TOPIC} is routed", lambda: route(self.name_server.address, TOPIC), ROUTE_S)

    def follow(self):
        wait_until("the slave follows", lambda: slaves_in_sync(self.master.address) == 1, ROUTE_S)

    def level(self):
        def is_level():
            status = json.loads(ask(self.master.address, GET_HA_STATUS).body)
            return [connection["diff"] for connection in status["haConnectionInfo"]] == [0]
        wait_until("the slave has everything", is_level, ROUTE_S)

    def fill(self, round_name, kinds=KINDS):
        decode.java(self.master.folder, "Stores", "fill", self.name_server.address, TOPIC, round_name, kinds, seconds=CLIENT_S)

    def fill_and_meanwhile(self, round_name, what):
        failures = []

        def fill():
            try:
                self.fill(round_name, KINDS_ALONE)
            except Failure as failure:
                failures.append(failure)
        filling = threading.Thread(target=fill)
        before = self.end_of_log()
        filling.start()
        wait_until("the load has begun", lambda: self.end_of_log() > before or failures, ROUTE_S)
        what()
        filling.join()
        for failure in failures:
            raise failure

    def end_of_log(self):
        return json.loads(ask(self.master.address, GET_HA_STATUS).body)["masterCommitLogMaxOffset"]

    def kill_slave(self):
        self.slave.kill()
        self.slave.start()
        self.slave.booted()

    def read_on_without_master(self):
        """All that the master handed out, the slave hands out alone. How many bytes that is."""
        expected = [all_of(self.master, queue) for queue in range(QUEUES)]
        found = []

        def has_all():
            found[:] = [all_of(self.slave, queue) for queue in range(QUEUES)]
            return found == expected
        try:
            wait_until("the slave hands out what the master did", has_all, ROUTE_S)
            # It learned of the topic in its own time. From now on it is alone.
            self.master.kill()
            wait_until("the slave hands out the same alone", has_all, ROUTE_S)
        except Failure as failure:
            raise Failure(f"{failure}: {[len(queue) for queue in found]} bytes of {[len(queue) for queue in expected]}") from failure
        self.master.start()
        self.master.booted()
        wait_until("the master is routed to", lambda: 0 in broker_addresses(
            self.name_server.address, TOPIC, "broker-pairs"), ROUTE_S)
        self.follow()
        return sum(map(len, expected))


def all_of(broker, queue):
    """The records of a queue as a broker hands them out."""
    records, at = b"", 0
    while True:
        answer = ask(broker.address, PULL, {
            "consumerGroup": "pairs-reader", "topic": TOPIC, "queueId": f"{queue}", "queueOffset": f"{at}", "maxMsgNums": "32",
            "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0", "subscription": "*", "subVersion": "0"})
        if answer.code != 0:
            return records
        records, at = records + answer.body, int(answer.fields["nextBeginOffset"])


def same_files(master, slave):
    logs = [log_of(master), log_of(slave)]
    if list(logs[0]) != list(logs[1]):
        raise Failure(f"the logs are other files: {list(logs[0])} and {list(logs[1])}")
    for name, bytes_ in logs[0].items():
        if bytes_ != logs[1][name]:
            at = next(at for at, pair in enumerate(zip(bytes_, logs[1][name])) if pair[0] != pair[1])
            raise Failure(f"{name} differs at byte {at}")
    return sum(len(bytes_.rstrip(b"\0")) for bytes_ in logs[0].values())


def log_of(broker):
    """Name → bytes of each file, but for those that were only prepared."""
    files = {file.name: file.read_bytes() for file in sorted((broker.folder / "store" / "commitlog").glob("0*")) if file.is_file()}
    while files and not files[list(files)[-1]].strip(b"\0"):
        files.popitem()
    return files
