"""Scenario migration: an application of Apache's client goes on while its broker is exchanged, and every message is accounted for.

    in-place   Apache's broker is stopped, ours takes its file and its folder, and back
    sync       Apache's broker, which is killed; our slave of it, promoted; Apache's slave of that one, promoted when ours is
               killed. Masters wait for their slave: nothing that was acknowledged may be missing
    async      the same with masters that do not wait; how much was lost is printed

Under live traffic, with messages of all kinds (java/tools/Migration.java), and at each exchange with delayed messages, timers,
undecided transactions and refused messages that wait for the next broker.
"""

import contextlib
import json
import re
import subprocess
import time

from harness import install
from harness.processes import Failure, Process, wait_until
from harness.remoting import ask, broker_addresses
from harness.servers import DEFAULT_TOPIC, ROUTE_S, Broker, NameServer, ferrymq, make_topic

MODES = ("in-place", "sync", "async")
MESSAGES = 200_000
TOPIC, QUEUES, SIDE_TOPIC = "migrating", 4, "beside"
GROUP, RETRIES = "beside-group", 7
BODY_BYTES, HELD = 1024, 40
STOPPED_S, CAUGHT_UP_S, CLIENT_S = 60, 300, 600
CLIENT_JVM = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
QUERY_OFFSET, UPDATE_CONFIG, GET_TOPICS, RUNTIME_INFO, UPDATE_GROUP, GET_GROUPS = 14, 25, 21, 28, 200, 201
COMMON = {
    "brokerClusterName": "cluster-migration", "brokerName": "broker-migration",
    "diskMaxUsedSpaceRatio": 95, "diskSpaceCleanForciblyRatio": 99, "mappedFileSizeCommitLog": 32 << 20,
    # The last level is what is held back; the others are for what is refused.
    "messageDelayLevel": " ".join(["1s", *["3s"] * 16, "30s"]),
    "transactionTimeOut": 3_000, "transactionCheckInterval": 3_000, "transactionCheckMax": 1_000,
    "haSendHeartbeatInterval": 1_000, "slaveTimeout": 1_000}
WAITS_NOT = {"brokerRole": "ASYNC_MASTER"}
# Alone each goes on alone; that it must wait for its slave, it is told when it has one. Ours waits already while one is near; Apache's
# adapts only with acting masters.
WAITS = {"apache": {"brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 1},
         "ferrymq": {"brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 2, "minInSyncReplicas": 1,
                     "enableAutoInSyncReplicas": "true"}}
MUST_WAIT = {"apache": {"inSyncReplicas": 2}, "ferrymq": {"minInSyncReplicas": 2}}


def run(_servers, modes, folder, messages=MESSAGES):
    for mode in modes:
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            try:
                verdict = (in_place if mode == "in-place" else by_slaves)(stack, folder / mode, mode, messages)
            except Failure as failure:
                verdict = str(failure)
        yield mode, time.monotonic() - started, verdict


def in_place(stack, folder, _mode, messages):
    name_server = started(stack, NameServer("ns", "apache", folder))
    broker = Broker("broker", folder, [name_server], {**COMMON, **WAITS_NOT, "brokerId": 0})
    master = begin(stack, broker, name_server)
    application = Application(stack, folder, name_server)
    application.ask(f"fill {messages}")
    application.ask("live")
    waited = []
    for kind in ("ferrymq", "apache"):
        application.ask("rest")
        application.ask("hold")
        before = tables(broker)
        broker.process.stop(STOPPED_S)
        application.ask("moved")
        broker.kind = kind
        broker.start()
        master(broker)
        same_tables(before, tables(broker), kind)
        waited.append(application.ask("release"))
        application.ask("rest")
    application.ask("quiet")
    found = Found(application.ask("verify"))
    found.demand_none("lost", "elsewhere", "unwanted", "unknown", "unconsumed", "unsettled", "unfindable")
    return f"ok {found}; {'; '.join(waited)}"


def by_slaves(stack, folder, mode, messages):
    rules = WAITS if mode == "sync" else {"apache": WAITS_NOT, "ferrymq": WAITS_NOT}
    name_server = started(stack, NameServer("ns", "apache", folder))
    first = Broker("first", folder, [name_server], {**COMMON, **rules["apache"], "brokerId": 0})
    slave_rules = {"brokerId": 1, "brokerRole": "SLAVE"}
    ours = Broker("ours", folder, [name_server], {**COMMON, **rules["ferrymq"], **slave_rules}, kind="ferrymq")
    last = Broker("last", folder, [name_server], {**COMMON, **rules["apache"], **slave_rules})
    become_master = begin(stack, first, name_server)
    application = Application(stack, folder, name_server)
    application.ask(f"fill {messages}")
    application.ask("live")
    said = []

    def exchange(master, slave, promote):
        began = time.monotonic()
        said.append(catch_up(stack, master, slave))
        if mode == "sync":
            configure(master, MUST_WAIT[master.kind])
        wait_for_offsets(slave, application.ask("rest"))
        before = tables(master)
        wait_until("the slave has the tables", lambda: tables(slave) == before, ROUTE_S)
        application.ask("hold")
        # A master that does not wait may lose what is sent now, but what is held must be there to come.
        held = end_of_log(master)
        wait_until(f"{slave.name} has what is held", lambda: end_of_log(slave) >= held, ROUTE_S)
        if mode == "sync":
            wait_until(f"{slave.name} knows that it is waited for", lambda: knows_its_master(slave), ROUTE_S)
        master.kill()
        application.ask("moved")
        promote(slave)
        become_master(slave)
        bytes_ = end_of_log(slave)
        same_tables(before, tables(slave), slave.name)
        said.append(f"{slave.name} took over {rate(bytes_, time.monotonic() - began)}")
        said.append(application.ask("release"))
        application.ask("rest")

    def promote_ours(slave):
        promoted(name_server, slave, "sync-master" if mode == "sync" else "async-master", is_forced=mode != "sync")
        slave.process.stop(STOPPED_S)
        slave.start_again()

    def promote_apaches(slave):
        slave.process.stop(STOPPED_S)
        slave.settings = {**COMMON, **rules["apache"], "brokerId": 0}
        slave.start()

    exchange(first, ours, promote_ours)
    exchange(ours, last, promote_apaches)
    application.ask("quiet")
    found = Found(application.ask("verify"))
    # In the moment in which a master is killed, a consumer may have what its slave has not; another message gets that place then.
    found.demand_none("unwanted", "unknown", "unsettled", "unfindable", *(("lost", "elsewhere") if mode == "sync" else ()))
    return f"ok {found}; {'; '.join(said)}"


def started(stack, server):
    server.start()
    stack.callback(server.kill)
    server.booted()
    return server


def begin(stack, broker, name_server):
    """Starts the first broker with its topics and groups. What waits until one is the master, as clients see it."""
    started(stack, broker)

    def is_master(broker):
        broker.booted()
        wait_until(f"{broker.name} is routed to", lambda: broker_addresses(
            name_server.address, DEFAULT_TOPIC, "broker-migration").get(0) == broker.address, ROUTE_S)
    is_master(broker)
    for topic, queues, permission in ((TOPIC, QUEUES, 6), (SIDE_TOPIC, 3, 4)):
        make_topic(broker.address, name_server, topic, queues, permission)
    succeeded(ask(broker.address, UPDATE_GROUP, {}, json.dumps({"groupName": GROUP, "retryMaxTimes": RETRIES}).encode()))
    return is_master


def succeeded(answer):
    if answer.code != 0:
        raise Failure(f"refused: {answer}")
    return answer


def succeeds(answer):
    return answer if answer.code == 0 else None


class Application:
    def __init__(self, stack, folder, name_server):
        command = ["java", *CLIENT_JVM, f"-Duser.home={folder}", "-cp", install.servers(), "Migration"]
        arguments = [name_server.address, TOPIC, BODY_BYTES, HELD]
        self.process = Process("application", [*command, *arguments], folder / "application.log", stdin=subprocess.PIPE)
        self.answers = 0
        stack.callback(self.process.kill)

    def ask(self, command):
        began = time.monotonic()
        self.process.child.stdin.write(f"{command}\n".encode())
        self.process.child.stdin.flush()
        self.answers += 1

        def answer():
            if not self.process.alive():
                raise Failure(f"{command}: the application ended\n{self.process.log_tail()}")
            said = [line for line in self.process.output().splitlines() if line.startswith("> ")]
            return len(said) >= self.answers and said[self.answers - 1][2:]
        said = wait_until(f"the application is done with: {command}", answer, CLIENT_S)
        print(f"migration: {command}, {time.monotonic() - began:.1f} s: {said}", flush=True)
        return said


class Found:
    """What the application says of all messages: words `what=count …`, with examples."""

    def __init__(self, text):
        self.text = text
        self.counts = {what: int(count) for what, count in re.findall(r"(?:^|\t)(\w+)=(\d+)", text)}

    def demand_none(self, *whats):
        wrong = [what for what in whats if self.counts[what]]
        if wrong:
            raise Failure(f"there are {', '.join(wrong)} messages: {self.text}")

    def __str__(self):
        return re.sub(r" such as \[[^\t]*\]", "", self.text).replace("\t", " ")


def catch_up(stack, master, slave):
    """Starts a slave that has nothing, and waits until it has what its master had then."""
    wanted = end_of_log(master)
    slave.start()
    stack.callback(slave.kill)
    slave.booted()
    began = time.monotonic()
    wait_until(f"{slave.name} has caught up", lambda: end_of_log(slave) >= wanted, CAUGHT_UP_S)
    took = time.monotonic() - began
    # From the beginning, and not only from the last file on.
    if runtime(slave)["commitLogMinOffset"] != runtime(master)["commitLogMinOffset"]:
        raise Failure(f"{slave.name} begins at {runtime(slave)['commitLogMinOffset']}")
    return f"{slave.name} caught up {rate(wanted, took)}"


def rate(bytes_, seconds):
    return f"{bytes_ >> 20} MiB in {seconds:.1f} s, {bytes_ / seconds / 1e6:.0f} MB/s"


def end_of_log(broker):
    return int(runtime(broker)["commitLogMaxOffset"])


def runtime(broker):
    """Apache's broker fails to say it in its first second."""
    answer = wait_until(f"{broker.name} says how it is", lambda: succeeds(ask(broker.address, RUNTIME_INFO)), ROUTE_S)
    return json.loads(answer.body)["table"]


def configure(broker, settings):
    body = "".join(f"{key}={value}\n" for key, value in settings.items())
    succeeded(ask(broker.address, UPDATE_CONFIG, {}, body.encode()))


def wait_for_offsets(slave, rested):
    """Until the slave has the offsets that a consumer has committed at its master: "QUEUE=OFFSET …"."""
    def has_them():
        return all(offset_at(slave, queue) == offset for queue, offset in (pair.split("=") for pair in rested.split()))
    wait_until(f"{slave.name} has the offsets {rested}", has_them, ROUTE_S)


def offset_at(broker, queue):
    answer = ask(broker.address, QUERY_OFFSET, {"consumerGroup": f"{TOPIC}-resting", "topic": TOPIC, "queueId": queue})
    return answer.fields.get("offset")


def tables(broker):
    """Topics and groups that somebody made, with what was said of them."""
    topics = json.loads(succeeded(ask(broker.address, GET_TOPICS)).body)["topicConfigTable"]
    groups = json.loads(succeeded(ask(broker.address, GET_GROUPS)).body)["subscriptionGroupTable"]
    own = (TOPIC, SIDE_TOPIC, GROUP)
    return (
        {name: (topic["readQueueNums"], topic["writeQueueNums"], topic["perm"]) for name, topic in topics.items()
         if name.removeprefix("%RETRY%").startswith(own)},
        {name: (group["retryMaxTimes"], group["consumeEnable"]) for name, group in groups.items() if name.startswith(own)})


def same_tables(before, after, name):
    if (TOPIC not in before[0] or before[1].get(GROUP) != (RETRIES, True)) or before != after:
        raise Failure(f"topics and groups were {before}, and {name} has {after}")


def knows_its_master(slave):
    """Ours says how many copies its master waits for, and how long its log was; Apache's need not know."""
    info = runtime(slave)
    return slave.kind != "ferrymq" or info.get("haMasterInSyncReplicas") == "2"


def promoted(name_server, slave, role, is_forced):
    command = [ferrymq(), "broker", "promote", "-c", slave.conf, "--role", role, "-n", name_server.address]
    done = subprocess.run([*command, *(["--force"] if is_forced else [])], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"promote: {done.stdout} {done.stderr}")
