"""The scenarios: what is started, what is broken, what must hold. The clients' part of each is in their drivers."""

import json
import subprocess
import time
from typing import Callable, NamedTuple

from harness import answers, damaged, decode, differential, examples, migrate, migration, mqadmin, pairs, stores
from harness.clients import CLIENTS, Driver
from harness.processes import POLL_S, Failure, wait_until
from harness.servers import ROUTE_S, ferrymq

# Clients poll routes every 30 s where they cannot be told otherwise (Go, Python); a leader is elected in about 10 s.
RECOVERED_S = 90
# Longer than a driver waits for the last message.
ENDED_S = 100
# A drain waits 31 s for clients to hear of another leader; and before it, for a node to catch up.
DRAINED_S = 120
STOPPED_S = 60
# Acknowledged sends that show that a client is in its stride.
STEADY_ACKS = 20


class Scenario(NamedTuple):
    name: str
    needs: frozenset  # topologies of servers.py
    clients: tuple
    run: Callable  # (servers, clients, folder) → yields (client, seconds, verdict); who passed has a verdict beginning "ok"
    what: str
    brief: tuple = ()  # with --brief, these clients alone


class Crowd:
    """The drivers of several clients that go through one scenario at the same time. Who fails drops out."""

    def __init__(self, name, clients, driver_scenario, name_servers, folder, jvm=()):
        self.name, self.started = name, time.monotonic()
        self.drivers = [
            Driver(client, driver_scenario, name_servers, topic_of(name, client), f"{name}-{client}-group", folder, jvm)
            for client in clients]
        self.failed = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for driver in self.drivers:
            driver.process.kill()

    def note(self, what):
        print(f"{self.name}: {what} after {time.monotonic() - self.started:.0f} s", flush=True)

    def wait_until_each(self, what, condition, seconds):
        deadline = time.monotonic() + seconds
        waiting = self._in_the_running()
        while waiting and time.monotonic() < deadline:
            time.sleep(POLL_S)
            for driver in waiting:
                if driver.ended() and not condition(driver):
                    self.failed[driver.client] = f"ended before: {what}; {driver.verdict()}"
            waiting = [driver for driver in waiting if not driver.ended() and not condition(driver)]
        for driver in waiting:
            self.failed[driver.client] = f"not within {seconds} s: {what}; {driver.verdict()}"
        self.note(f"each {what}")

    def wait_until_each_is_steady(self):
        self.wait_until_each(
            "sends and consumes", lambda driver: driver.acked() >= STEADY_ACKS and driver.consumed() > 0, RECOVERED_S)

    def wait_until_each_recovers(self):
        before = {driver.client: driver.acked() for driver in self.drivers}
        self.wait_until_each(
            "has new sends acknowledged", lambda driver: driver.acked() >= before[driver.client] + STEADY_ACKS, RECOVERED_S)

    def verdicts(self):
        """Tells the drivers to stop and yields what each found, in the order of their ends."""
        for driver in self.drivers:
            driver.stop_sending()
        deadline = time.monotonic() + ENDED_S
        waiting = list(self.drivers)
        while waiting:
            late = time.monotonic() > deadline
            for driver in [driver for driver in waiting if late or driver.ended()]:
                waiting.remove(driver)
                yield driver.client, time.monotonic() - self.started, self.failed.get(driver.client) or driver.verdict()
            time.sleep(POLL_S)

    def _in_the_running(self):
        return [driver for driver in self.drivers if driver.client not in self.failed]


def topic_of(scenario, client):
    return f"{scenario}-{client}"


def produce_and_consume(name, topology, driver_scenario="produce-consume", jvm=()):
    def run(servers, clients, folder):
        brokers = getattr(servers, topology)
        brokers.wait_until_complete()
        with Crowd(name, clients, driver_scenario, [brokers.name_server], folder, jvm) as crowd:
            yield from crowd.verdicts()
    return run


def leader_failover(servers, clients, folder):
    group = _whole_group(servers, "leader-failover", clients)
    with Crowd("leader-failover", clients, "steady", [group.name_server], folder) as crowd:
        crowd.wait_until_each_is_steady()
        _kill_leader(crowd, group, group.name_server)
        crowd.wait_until_each_recovers()
        yield from crowd.verdicts()


def rolling_restart(servers, clients, folder):
    """Every node is drained, stopped and started again. Producers with Apache's own settings, that try each message once and look
    up routes every 30 s, must not see a failed send."""
    group = _whole_group(servers, "rolling-restart", clients)
    with Crowd("rolling-restart", clients, "steady-untroubled", group.name_servers, folder) as crowd:
        crowd.wait_until_each_is_steady()
        for node in group.brokers:
            _drain(node, group)
            crowd.note(f"{node.name} is drained")
            node.process.stop(STOPPED_S)
            node.start()
            group.wait_until_complete()
            crowd.wait_until_each_recovers()
        yield from crowd.verdicts()


def _drain(node, group):
    """Refused as long as the node that was restarted last has not caught up."""
    name_servers = ";".join(server.address for server in group.name_servers)
    command = [ferrymq(), "node", "drain", node.settings["dLegerSelfId"], "-n", name_servers]

    def drained():
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DRAINED_S)
        return ended.returncode == 0
    wait_until(f"{node.name} is drained", drained, DRAINED_S)


def admin_around_failover(servers, clients, folder):
    """Apache's tools while a group has no leader, and when it has another one."""
    group = _whole_group(servers, "admin-failover", clients)
    started = time.monotonic()
    group.create_topic("admin-failover")
    leader = group.master(group.name_server)
    console = mqadmin.Console(group.brokers[0], folder)
    console.run("mqadmin", "help", "topicList")

    def said(command):
        program, *words = command.split()
        return "\n".join(console.run("mqadmin", program, "-n", group.name_server.address, *words))
    leader.kill()
    during = [(command, said(command)) for command in ("clusterList", "topicList", "topicRoute -t admin-failover",
                                                       "topicClusterList -t admin-failover")]
    wait_until("another one leads", lambda: group.addresses(group.name_server).get(0) not in (None, leader.address), ROUTE_S)
    problems = [f"{command}: no {expected!r} in\n{print_}" for (command, print_), expected in
                zip(during, ("broker-group", "admin-failover", "broker-group", "cluster-group")) if expected not in print_]
    new = group.master(group.name_server).address
    after = [
        (f"updateTopic -b {new} -t admin-new -r 4 -w 4", "create topic to"), ("topicList", "admin-failover"),
        ("topicRoute -t admin-failover", new), ("topicStatus -t admin-failover", "broker-group"),
        ("topicClusterList -t admin-failover", "cluster-group"), ("clusterList", new),
        (f"brokerStatus -b {new}", "brokerVersionDesc"), (f"getBrokerConfig -b {new}", "enableDLegerCommitLog"),
        (f"updateBrokerConfig -b {new} -k fileReservedTime -v 71", "update broker config success"),
        (f"updateSubGroup -b {new} -g admin-group", "create subscription group to"),
        ("sendMessage -t admin-failover -p hello -k admin-key", "SEND_OK"),
        ("consumeMessage -t admin-failover", "BODY: hello"), ("printMsg -t admin-failover", "BODY: hello"),
        ("queryMsgByKey -t admin-failover -k admin-key", "#Message ID"),
        ("resetOffsetByTime -g admin-group -t admin-failover -s 0", "broker-group"),
        ("consumerProgress", "#Group"),
        ("skipAccumulatedMessage -g admin-group -t admin-failover", "#brokerName"),
        ("statsAll -t admin-failover", "admin-failover"), ("wipeWritePerm -b broker-group", "OK"),
        ("addWritePerm -b broker-group", "OK"), (f"deleteSubGroup -b {new} -g admin-group", "success"),
        ("deleteTopic -t admin-new -c cluster-group", "from NameServer success")]
    for command, expected in after:
        print_ = said(command)
        if expected not in print_:
            problems.append(f"{command}: no {expected!r} in\n{print_}")
    console.process.kill()
    verdict = "failed: " + "\n".join(problems) if problems else f"ok {len(during) + len(after)} commands"
    yield "mqadmin", time.monotonic() - started, verdict


def push_to_consumer(servers, clients, folder):
    """`ferrymq message resend --group`: one consumer consumes a message once more, now, and says what came of it."""
    brokers = servers.single
    brokers.wait_until_complete()
    with Crowd("push-to-consumer", clients, "steady", [brokers.name_server], folder) as crowd:
        crowd.wait_until_each_is_steady()
        for driver in crowd.drivers:
            topic, group = topic_of("push-to-consumer", driver.client), f"push-to-consumer-{driver.client}-group"
            first = json.loads(own("topic", "peek", topic, "--count", "1", "-o", "json", "-n", brokers.name_server.address))
            ids = [row["id"] for row in first["rows"]]
            said = json.loads(own("message", "resend", ids[0], "--topic", topic, "--group", group, "-o", "json",
                                  "-n", brokers.name_server.address))
            if said["rows"][0]["result"] != "CR_SUCCESS":
                crowd.failed[driver.client] = f"not consumed: {said}"
        yield from crowd.verdicts()


def own(*words):
    """What a command of ours prints, which must succeed."""
    ended = subprocess.run([ferrymq(), *words], capture_output=True, text=True, timeout=DRAINED_S)
    if ended.returncode != 0:
        raise Failure(f"ferrymq {' '.join(words)} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def name_server_loss(servers, clients, folder):
    """The second name server is away while the clients settle on the first, so that each loses the one it talks to.
    With the first gone, only the second can tell them of the new leader."""
    group = _whole_group(servers, "name-server-loss", clients)
    first, second = group.name_servers
    second.kill()
    with Crowd("name-server-loss", clients, "steady", [first, second], folder) as crowd:
        crowd.wait_until_each_is_steady()
        second.start()
        second.booted()
        wait_until(f"{second.name} routes to a leader", lambda: group.master(second), ROUTE_S)
        first.kill()
        _kill_leader(crowd, group, second)
        crowd.wait_until_each_recovers()
        yield from crowd.verdicts()


def _whole_group(servers, scenario, clients):
    """The group with all its nodes and name servers, whatever scenarios before have killed, and with the clients' topics:
    one whose topic does not exist yet would look for it again after 30 s only."""
    group = servers.group
    for server in [*group.name_servers, *group.brokers]:
        if not server.alive():
            server.start()
            server.booted()
    group.wait_until_complete()
    for client in clients:
        group.create_topic(topic_of(scenario, client))
    return group


def _kill_leader(crowd, group, name_server):
    leader = group.master(name_server)
    if leader is None:
        raise Failure(f"{name_server.name} shows no leader of {group.broker_name}")
    leader.kill()
    crowd.note(f"{leader.name} was killed")

    def moved():
        return group.addresses(name_server).get(0) not in (None, leader.address)
    wait_until(f"{name_server.name} routes to a leader other than {leader.name}", moved, ROUTE_S)
    crowd.note("the route has moved")


BINARY = ("-Drocketmq.serialize.type=ROCKETMQ",)
SCENARIOS = [
    Scenario("produce-consume", frozenset({"single"}), CLIENTS, produce_and_consume("produce-consume", "single"),
             "a topic is made by the first send; all that was sent is consumed"),
    Scenario("binary-headers", frozenset({"single"}), ("java", "java4"),
             produce_and_consume("binary-headers", "single", jvm=BINARY), "the same with headers in the ROCKETMQ form"),
    Scenario("acl-fields", frozenset({"single"}), ("java", "java4"), produce_and_consume("acl-fields", "single", "acl-fields"),
             "the same with signed requests"),
    Scenario("sync-pair", frozenset({"pair"}), CLIENTS, produce_and_consume("sync-pair", "pair"),
             "the same with a master that waits for its slave"),
    Scenario("leader-failover", frozenset({"group"}), CLIENTS, leader_failover,
             "the leader is killed under load; the route moves, nothing acknowledged is lost"),
    Scenario("push-to-consumer", frozenset({"single"}), ("java", "java4"), push_to_consumer,
             "a message is given to one consumer of a group once more, by `ferrymq message resend`"),
    Scenario("rolling-restart", frozenset({"group"}), ("java", "java4"), rolling_restart,
             "every node is drained and restarted under load; no send fails"),
    Scenario("admin-failover", frozenset({"group"}), ("mqadmin",), admin_around_failover,
             "Apache's mqadmin while a group changes its leader, and after"),
    Scenario("name-server-loss", frozenset({"group"}), CLIENTS, name_server_loss,
             "the name server that the clients talk to is killed, then the leader"),
    Scenario("mqadmin", frozenset({"single", "pair", "admin"}), ("mqadmin",), mqadmin.run,
             "Apache's mqadmin prints the same about this name server and about Apache's"),
    Scenario("answers", frozenset({"single", "pair", "admin"}), ("raw",), answers.run,
             "requests that no tool makes, and wrong ones, are answered as Apache's name server does"),
    Scenario("decode", frozenset(), ("apache",), decode.run,
             "Apache's decoders read what they wrote themselves and all frames in tests/compat"),
    Scenario("differential", frozenset(), ("command", "record"), differential.run,
             "generated headers and records are decoded alike by Apache's decoders and ours"),
    Scenario("examples", frozenset(), examples.CLIENTS, examples.run, "the programs of examples/, against `ferrymq dev`"),
    Scenario("stores", frozenset(), ("stop", "kill"), stores.run,
             "a store goes from Apache's broker to ours and back, with all its messages"),
    Scenario("migrate", frozenset(), migrate.KINDS, migrate.run,
             "the store of Apache's broker, or of its DLedger nodes, becomes a group of ours, with every message in its place"),
    Scenario("damaged", frozenset(), damaged.KINDS, damaged.run,
             "what is damaged in a store of Apache's broker is refused or made anew, and nothing is cut off", ("refused",)),
    Scenario("pairs", frozenset(), pairs.PAIRS, pairs.run,
             "a master and its slave, of which one or both are ours: under load, killed and back, with the same log in the end",
             ("ours-ours-sync", "ours-apache-async", "apache-ours-sync")),
    Scenario("send-status", frozenset(), ("ferrymq",), pairs.run_statuses,
             "what Apache's producer hears from a master that waits for a slave which follows, is stuck, or is gone"),
    Scenario("acting-master", frozenset(), ("ferrymq", "apache"), pairs.run_acting,
             "a slave in its dead master's place serves consumers, in order as well", ("ferrymq",)),
    Scenario("silent-slave", frozenset(), ("ferrymq", "apache"), pairs.run_silence,
             "a slave that says nothing any more is shown to nobody, and who reads there goes on at its master", ("ferrymq",)),
    Scenario("migration", frozenset(), migration.MODES, migration.run,
             "from Apache's broker to ours and back under live traffic: in one folder, and by slaves that are promoted",
             ("sync",)),
]
