"""Scenario mqadmin: each command is run against the name server under test and against Apache's, and the prints compared.

The same brokers are registered with both. Only what must differ is made equal first, by the rules named below.
"""

import difflib
import json
import re
import subprocess
import time

from harness.processes import Failure, Process, wait_until
from harness.remoting import route

END = "--- end of command ---"
COMMAND_S = 30
REGISTERED_S = 30

# Settings of Apache's that ferrymq does not have, so getNamesrvConfig need not print them: the threads, queues and
# buffers of Java's network library. All other settings must be there.
SETTINGS_OF_JAVA = {
    "enableShutdownGracefully", "serverAsyncSemaphoreValue", "serverCallbackExecutorThreads", "serverNettyWorkerGroupEnable",
    "serverOnewaySemaphoreValue", "serverPooledByteBufAllocatorEnable", "serverSelectorThreads", "serverSocketBacklog",
    "serverSocketRcvBufSize", "serverSocketSndBufSize", "serverWorkerThreads", "shutdownWaitTimeSeconds",
    "useEpollNativeSelector", "writeBufferHighWaterMark", "writeBufferLowWaterMark",
}
# Settings of ferrymq's own.
SETTINGS_OF_FERRYMQ = {"connectionsMax", "connectionsPerAddressMax", "frameBytesMax", "heldBytesMax", "logFilter"}
# Settings whose values are the process's own.
SETTINGS_OF_PROCESS = {"listenPort", "kvConfigPath", "configStorePath", "rocketmqHome"}


class Console:
    """One JVM that runs commands."""

    def __init__(self, server, folder):
        command = server.java(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"], "Admin")
        self.process = Process("mqadmin", command, folder / "mqadmin.log", stdin=subprocess.PIPE)
        self.read = 0

    def run(self, *words):
        stdin = self.process.child.stdin
        stdin.write(("\t".join(words) + "\n").encode())
        stdin.flush()

        def answer():
            if not self.process.alive():
                raise Failure(f"mqadmin ended:\n{self.process.log_tail()}")
            said = self.process.output()[self.read:]
            return said if said.endswith(f"\n{END}\n") else None
        said = wait_until(f"mqadmin has run {words}", answer, COMMAND_S)
        self.read += len(said)
        return said.removesuffix(f"\n{END}\n").splitlines()


# --- rules that make two prints equal: lines → lines ---

def exact(lines):
    return lines


def unordered(lines):
    """Apache prints a hash set."""
    return sorted(lines)


def route_json(lines):
    """A route in JSON whose keys may be bare numbers: the lists of brokers and queues are in the order of Apache's hash
    maps. Anything else, an error say, is kept as it is."""
    try:
        data = json.loads(re.sub(r"([{,]\s*)(\d+):", r'\1"\2":', "\n".join(lines)))
    except ValueError:
        return lines
    for listed in ("brokerDatas", "queueDatas"):
        data[listed].sort(key=lambda entry: entry["brokerName"])
    return json.dumps(data, indent=1).splitlines()


def cluster_load(lines):
    """Behind the version, clusterList prints what the broker measures at this moment; the clusters come from a hash map."""
    return sorted(re.sub(r"(V\d+_\d+_\d+).*", r"\1", line) for line in lines)


def refusal(lines):
    """Behind the code of a refusal stands a text for humans, in which ferrymq tells more."""
    return [re.sub(r"(CODE: \d+).*", r"\1", line) for line in lines]


def settings(lines):
    """Lines `key = value` from a hash table."""
    kept = []
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() not in SETTINGS_OF_JAVA | SETTINGS_OF_FERRYMQ:
            kept.append(f"{key.strip()} = {'the own' if key.strip() in SETTINGS_OF_PROCESS else value.strip()}")
    return sorted(kept)


def steps():
    """(rule, command, what its print must contain). The order matters: what a command changes, the next ones show."""
    topic, order = "mqadmin-topic", "broker-single:4;broker-pair:8"
    config = "mqadmin getNamesrvConfig"
    route_, order_conf = f"mqadmin topicRoute -t {topic}", f"mqadmin updateOrderConf -t {topic}"
    return [
        (cluster_load, "mqadmin clusterList", "broker-pair"),
        (unordered, "mqadmin clusterList -m", "broker-single"),
        (cluster_load, "mqadmin clusterList -c cluster-pair", "broker-pair"),
        (cluster_load, "mqadmin clusterList -c no-such-cluster", "#Cluster Name"),
        (unordered, "mqadmin topicList", "mqadmin-topic"),
        (unordered, "mqadmin topicList -c", "cluster-single        mqadmin-topic"),
        (route_json, route_, '"perm": 6'),
        (exact, f"{route_} -l", "broker-single"),
        (route_json, "mqadmin topicRoute -t TBW102", "broker-pair"),
        (exact, "mqadmin topicRoute -t TBW102 -l", "broker-pair"),
        (exact, "mqadmin topicRoute -t no-such-topic", "CODE: 17"),
        (unordered, "mqadmin topicClusterList -t TBW102", "cluster-pair"),
        (unordered, f"mqadmin topicClusterList -t {topic}", "cluster-single"),
        (exact, "mqadmin topicClusterList -t no-such-topic", "CODE: 17"),
        (exact, "mqadmin updateKvConfig -s some-namespace -k some-key -v some-value", "success"),
        (exact, "api kv some-namespace some-key", "some-value"),
        (exact, "mqadmin updateKvConfig -s some-namespace -k some-key -v žluťoučký,消息", "success"),
        (exact, "mqadmin updateKvConfig -s some-namespace -k other-key -v a=b;c:d", "success"),
        (exact, "api kv some-namespace some-key", "žluťoučký,消息"),
        (exact, "api kv-namespace some-namespace", "other-key=a=b;c:d"),
        (exact, "mqadmin deleteKvConfig -s some-namespace -k some-key", "success"),
        (exact, "api kv some-namespace some-key", "CODE: 22"),
        (exact, "mqadmin deleteKvConfig -s some-namespace -k some-key", "success"),
        (exact, "api kv-namespace some-namespace", "{other-key=a=b;c:d}"),
        (exact, "api kv-namespace no-such-namespace", "CODE: 22"),
        (exact, f"{order_conf} -m put -v {order}", "success"),
        (exact, f"{order_conf} -m get", order),
        (route_json, route_, "broker-single"),
        (settings, config, "orderMessageEnable = false"),
        (exact, "mqadmin updateNamesrvConfig -k orderMessageEnable -v true", "success"),
        (settings, config, "orderMessageEnable = true"),
        (route_json, route_, order),
        (exact, "mqadmin updateNamesrvConfig -k orderMessageEnable -v false", "success"),
        (refusal, "mqadmin updateNamesrvConfig -k kvConfigPath -v /nowhere", "CODE: 16"),
        (settings, config, "orderMessageEnable = false"),
        (exact, f"{order_conf} -m delete", "success"),
        (exact, f"{order_conf} -m get", "CODE: 22"),
        (exact, "mqadmin wipeWritePerm -b broker-single", "OK"),
        (route_json, route_, '"perm": 4'),
        (exact, "mqadmin addWritePerm -b broker-single", "OK"),
        (route_json, route_, '"perm": 6'),
        (exact, "mqadmin wipeWritePerm -b no-such-broker", "OK, 0"),
        (exact, "mqadmin addWritePerm -b no-such-broker", "OK, 0"),
        (exact, "api topics-of-cluster cluster-single", "mqadmin-topic"),
        (exact, "api topics-of-cluster cluster-pair", "broker-pair"),
        (exact, "api topics-of-cluster no-such-cluster", "topics []"),
        (exact, "api system-topics", "cluster-single"),
        (exact, "api unit-topics", "[mqadmin-unit, mqadmin-unit-sub]"),
        (exact, "api unit-sub-topics", "[mqadmin-sub, mqadmin-unit-sub]"),
        (exact, "api unit-sub-not-unit-topics", "[mqadmin-sub]"),
        (exact, "api members cluster-pair broker-pair", "1="),
        (exact, f"mqadmin deleteTopic -t {topic} -c cluster-single", "from NameServer success"),
        (exact, route_, "CODE: 17"),
        (unordered, "mqadmin topicList", "mqadmin-unit"),
    ]


def run(servers, _clients, folder):
    started = time.monotonic()
    for topology in (servers.single, servers.pair):
        topology.wait_until_complete()
    single = servers.single.brokers[0]
    console = Console(single, folder)
    create_topics(console, servers, single)
    problems = []
    for rule, command, expected in steps():
        tested, reference = [rule(ask(console, name_server, command)) for name_server in servers.compared]
        problems += difflib.unified_diff(reference, tested, f"Apache: {command}", f"tested: {command}", lineterm="")
        if expected not in "\n".join(reference):
            problems += [f"Apache: {command}: no '{expected}' in", *reference]
    console.process.kill()
    verdict = "prints differ\n" + "\n".join(problems) if problems else f"ok {len(steps())} prints compared"
    yield "mqadmin", time.monotonic() - started, verdict


def create_topics(console, servers, broker):
    """Topics of all unit kinds, before anything is compared, and only on one broker. Both name servers learn of them."""
    topics = {"mqadmin-topic": "", "mqadmin-unit": "-u true", "mqadmin-sub": "-s true", "mqadmin-unit-sub": "-u true -s true"}
    tested = servers.compared[0]
    for topic, options in topics.items():
        words = f"mqadmin updateTopic -n {tested.address} -b {broker.address} -t {topic} -r 4 -w 4 {options}"
        printed = console.run(*words.split())
        for name_server in servers.compared:
            wait_until(f"{name_server.name} routes {topic}; mqadmin said {printed}",
                       lambda: route(name_server.address, topic), REGISTERED_S)


def ask(console, name_server, command):
    """The print of a command against one name server, whose own address is left out of it."""
    program, *words = command.split()
    place = ["-n", name_server.address] if program == "mqadmin" else [name_server.address]
    words = [words[0], *place, *words[1:]] if program == "mqadmin" else [*place, *words]
    return [line.replace(name_server.address, "NAME-SERVER") for line in console.run(program, *words)]
