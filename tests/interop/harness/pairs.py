"""Scenario pairs: a master and its slave, one of them or both ours, waiting for the slave and not. Under load from Apache's
client the slave is killed and comes back; when the master is killed the slave hands out every message; when the master is back,
both write on, and in the end their logs are the same files, byte for byte."""

import contextlib
import json
import threading
import time

from harness.decode import java_command
from harness.processes import Failure, Process, verdicts, wait_until
from harness.remoting import GET_HA_STATUS, ask, broker_addresses, slaves_in_sync
from harness.servers import DEFAULT_TOPIC, ROUTE_S, Broker, NameServer, killed_afterwards, make_topic
from harness.stores import STOPPED_S, told_by_java, written

TOPIC, QUEUES = "paired", 4
PULL, RUNTIME_INFO = 11, 28
# Messages that a consumer has who takes few at a time, and of them before something happens.
SLOWLY, SEEN = 3000, 200
KINDS = "plain,batch,keyed,delayed,transactional,big"
# While the slave is away: Apache's producer rolls back a half that only the master has.
KINDS_ALONE = "plain,batch,keyed,delayed,big"
CAUGHT_UP_S = 600
# What a slave misses while it is away is sent in parts that Apache's client is patient enough for.
AWAY_ROUND_MIB = 256
# Whose master, and whose slave.
SIDES = {"ours-ours": ("ferrymq", "ferrymq"), "ours-apache": ("ferrymq", "apache"), "apache-ours": ("apache", "ferrymq")}
OURS = ("ferrymq",) * 3
MODES = {"sync": {"brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 2, "slaveTimeout": 300},
         "async": {"brokerRole": "ASYNC_MASTER"}}
PAIRS = tuple(f"{sides}-{mode}" for sides in SIDES for mode in MODES)


def run(_servers, names, folder, away_mib=None):
    def verdict_of(name):
        sides, mode = name.rsplit("-", 1)
        if away_mib:
            return away(folder / name, *SIDES[sides], MODES[mode], away_mib)
        return play(folder / name, *SIDES[sides], MODES[mode])
    return verdicts(names, verdict_of)


def run_acting(_servers, kinds, folder):
    return verdicts(kinds, lambda kind: act(folder / kind, kind))


def run_silence(_servers, kinds, folder):
    return verdicts(kinds, lambda kind: silence(folder / kind, kind))


def run_statuses(_servers, kinds, folder):
    return verdicts(kinds, lambda kind: statuses(folder / kind))


@contextlib.contextmanager
def following(folder, kinds, of_master, of_both=None, of_name_server=None):
    """A name server, a master and its slave, of these kinds; with the topic, and the slave follows. None of them runs afterwards."""
    name_server_kind, master_kind, slave_kind = kinds
    name_server = NameServer("ns-pairs", name_server_kind, folder, **(of_name_server or {}))
    both = {"brokerClusterName": "cluster-pairs", "brokerName": "broker-pairs", "diskMaxUsedSpaceRatio": 95, **(of_both or {})}
    master = Broker("master", folder, [name_server], {**both, "brokerId": 0, **of_master}, kind=master_kind)
    slave = Broker("slave", folder, [name_server], {**both, "brokerId": 1, "brokerRole": "SLAVE"}, kind=slave_kind)
    with killed_afterwards() as started:
        for server in (name_server, master, slave):
            started.append(server)
            server.start()
            server.booted()
        pair = Pair(name_server, master, slave)
        pair.make_topic()
        pair.follow()
        yield pair


def act(folder, kind):
    """The master is killed, and name servers present its slave in its place: Apache's client consumes there, in order as well."""
    both = {"slaveReadEnable": "true", "totalReplicas": 2, "enableSlaveActingMaster": "true", "brokerNotActiveTimeoutMillis": 4000}
    with following(folder, (kind,) * 3, MODES["async"], both, {"supportActingMaster": "true"}) as pair:
        pair.fill("first", KINDS_ALONE)
        pair.level()
        before = pair.java("read")
        wait_until("the slave has the topic", lambda: all_of(pair.slave, 0), ROUTE_S)
        pair.master.kill()
        wait_until("the slave acts for the master", lambda: pair.routed(TOPIC).get(0) == pair.slave.address, ROUTE_S)
        if pair.java("read") != before:
            raise Failure("other messages than before")
        places = [line.split("\t")[:2] for line in before]
        for group in ("ordered", "ordered-as-well"):
            seen = pair.java("ordered", group, len(places))
            for queue in range(QUEUES):
                if [line.split("\t") for line in seen if line.startswith(f"{queue}\t")] != [
                        place for place in places if place[0] == str(queue)]:
                    raise Failure(f"{group}: queue {queue} is another one: {seen[:5]} of {places[:5]}")
        return f"ok {len(places)} messages from the acting master, in order as well"


def silence(folder, kind):
    """A consumer that lags is told to read from the slave, which then falls silent as one whose machine is lost: name servers show
    it no more, and the consumer goes on at the master. As soon as the slave is heard again, it is shown again."""
    both = {"slaveReadEnable": "true", "enableSlaveActingMaster": "true", "brokerNotActiveTimeoutMillis": 4000,
            "accessMessageInMemoryMaxRatio": 0}
    with following(folder, (kind,) * 3, MODES["async"], both) as pair:
        pair.fill("first", f"plain:{SLOWLY}")
        pair.level()
        wait_until("the slave has the topic", lambda: all_of(pair.slave, 0), ROUTE_S)
        wait_until("both are routed to", lambda: len(pair.routed(TOPIC)) == 2, ROUTE_S)
        before = handed_out(pair.slave)
        reader = Process("reader", java_command(folder, "Stores", "slowly", pair.name_server.address, TOPIC, "slow", SLOWLY),
                         folder / "reader.log")

        def seen():
            return sum(line.startswith("> ") for line in reader.output().splitlines())
        wait_until("the consumer reads from the slave", lambda: handed_out(pair.slave) > before + SEEN and seen() > SEEN, ROUTE_S)
        pair.slave.process.freeze()
        at = seen()
        wait_until("the slave is routed to no more", lambda: list(pair.routed(TOPIC)) == [0], ROUTE_S)
        wait_until("the consumer has all", lambda: seen() == SLOWLY or not reader.alive(), CAUGHT_UP_S)
        if at == SLOWLY or seen() != SLOWLY:
            raise Failure(f"the consumer has {seen()} of {SLOWLY} messages, and {at} before the slave was silent:\n{reader.log_tail()}")
        reader.kill()
        pair.slave.process.thaw()
        wait_until("the slave is routed to again", lambda: len(pair.routed(TOPIC)) == 2, ROUTE_S)
        pair.follow()
        pair.level()
        return f"ok {at} of {SLOWLY} messages before the slave was silent, the others from the master"


def statuses(folder):
    """What a producer of Apache's client hears from a master that waits for its slave: while it follows, while it does not answer, and
    when it is gone."""
    with following(folder, OURS, MODES["sync"]) as pair:
        def hears(expected):
            heard = pair.java("send", 3)
            if heard != [expected] * 3:
                raise Failure(f"{heard}, not {expected}")
        hears("SEND_OK")
        pair.slave.process.freeze()
        hears("FLUSH_SLAVE_TIMEOUT")
        pair.slave.kill()
        wait_until("the master is alone", lambda: slaves_in_sync(pair.master.address) == 0, ROUTE_S)
        hears("SLAVE_NOT_AVAILABLE")
        pair.slave.start()
        pair.slave.booted()
        pair.follow()
        pair.level()
        hears("SEND_OK")
        return "ok SEND_OK, FLUSH_SLAVE_TIMEOUT, SLAVE_NOT_AVAILABLE and SEND_OK again"


def play(folder, master_kind, slave_kind, mode):
    both = {"slaveReadEnable": "true", "diskSpaceCleanForciblyRatio": 99, "mappedFileSizeCommitLog": 16 << 20}
    with following(folder, ("ferrymq", master_kind, slave_kind), mode, both) as pair:
        pair.fill("first")
        pair.fill_and_meanwhile("second", pair.kill_slave)
        pair.follow()
        pair.level()
        messages = pair.read_on_without_master()
        pair.fill("third")
        pair.level()
        for broker in (pair.master, pair.slave):
            broker.process.stop(STOPPED_S)
        same = same_files(pair.master, pair.slave)
        return f"ok {messages} bytes read from the slave alone, {same} bytes of log are the same"


def away(folder, master_kind, slave_kind, mode, mebibytes):
    """The slave is killed, and misses that much."""
    with following(folder, ("ferrymq", master_kind, slave_kind), mode) as pair:
        pair.fill("first", KINDS_ALONE)
        pair.level()
        had = pair.end_of_log()
        pair.slave.kill()
        for number in range(0, mebibytes, AWAY_ROUND_MIB):
            # Every second one is nothing but zeros, which Apache's client compresses.
            pair.fill(f"away-{number}", f"big:{2 * min(AWAY_ROUND_MIB, mebibytes - number)}")
        missed = pair.end_of_log() - had
        began = time.monotonic()
        pair.slave.start()
        pair.slave.booted()
        booted = time.monotonic() - began
        pair.level(CAUGHT_UP_S)
        took = time.monotonic() - began
        for broker in (pair.master, pair.slave):
            broker.process.stop(STOPPED_S)
        return (f"ok {missed >> 20} MiB came in {took:.1f} s from the slave's start, of which it took {booted:.1f} s to start: "
                f"{missed / took / 1e6:.0f} MB/s; {same_files(pair.master, pair.slave)} bytes of log are the same")


class Pair:
    def __init__(self, name_server, master, slave):
        self.name_server, self.master, self.slave = name_server, master, slave

    def routed(self, topic):
        """Id → address of those that a client is told of."""
        return broker_addresses(self.name_server.address, topic, "broker-pairs")

    def java(self, command, *arguments):
        return told_by_java(self.master.folder, command, self.name_server, TOPIC, *arguments)

    def make_topic(self):
        wait_until("the master is routed to", lambda: 0 in self.routed(DEFAULT_TOPIC), ROUTE_S)
        make_topic(self.master.address, self.name_server, TOPIC, QUEUES)

    def follow(self):
        wait_until("the slave follows", lambda: slaves_in_sync(self.master.address) == 1, ROUTE_S)

    def level(self, seconds=ROUTE_S):
        def is_level():
            status = json.loads(ask(self.master.address, GET_HA_STATUS).body)
            return [connection["diff"] for connection in status["haConnectionInfo"]] == [0]
        wait_until("the slave has everything", is_level, seconds)

    def fill(self, round_name, kinds=KINDS):
        self.java("fill", round_name, kinds)

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
        wait_until("the master is routed to", lambda: 0 in self.routed(TOPIC), ROUTE_S)
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


def handed_out(broker):
    """How many messages it has given to consumers."""
    return int(json.loads(ask(broker.address, RUNTIME_INFO).body)["table"]["msgGetTotalTodayNow"])


def same_files(master, slave):
    """How many bytes of log both have."""
    logs = [{file.name: file for file in written(broker.folder / "store")} for broker in (master, slave)]
    if list(logs[0]) != list(logs[1]):
        raise Failure(f"the logs are other files: {list(logs[0])} and {list(logs[1])}")
    total = 0
    for name in logs[0]:
        one, other = (log[name].read_bytes() for log in logs)
        if one != other:
            at = next(at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1])
            raise Failure(f"{name} differs at byte {at}")
        total += len(one.rstrip(b"\0"))
    return total
