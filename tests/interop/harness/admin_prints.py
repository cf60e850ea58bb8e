"""What Apache's mqadmin prints about a broker: the same about ours as about Apache's.

What differs from run to run is replaced first: addresses, ids, times, sizes. What else may differ is named below, with the reason.
"""

import json
import re

from harness.mqadmin import Console, route_json, unordered
from harness.prints import compared
from harness.processes import Failure, wait_until
from harness.remoting import Connection

SEND_MESSAGE, MAX_OFFSET, HEART_BEAT = 10, 30, 34
TOPIC, GROUP, PRODUCER = "prints-topic", "prints-group", "prints-producer"
DISPATCHED_S = 10
# Of a message: where it lies, or what its client called it. The address within may be of either length.
ID = r"\b[0-9A-F]{32,56}\b"
# Where in its own code a tool found a problem, and what Java's logger says about itself.
NOISE = re.compile(r"^\s+at |^\s+\.\.\. \d+ more|\|-(INFO|WARN) in ")

# Topics that only one of the two makes at its start.
TOPICS_OF_ONE = {"RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC", "rmq_sys_wheel_timer"}
# What ferrymq tells of its state beside what Apache's broker does.
STATE_OF_FERRYMQ = {"brokerVersion"}


def exact(lines):
    return lines


def sorted_lines(lines):
    """From a hash table."""
    return unordered(lines)


def topics(lines):
    return sorted(set(lines) - TOPICS_OF_ONE)


def keys_only(lines):
    """`key : value` of what is measured: the keys must be there."""
    return sorted({line.split(":")[0].strip() for line in lines if ":" in line} - STATE_OF_FERRYMQ)


def names_only(lines):
    """Topic and group; the rest is counted in windows of time."""
    return sorted(" ".join(line.split()[:2]) for line in lines)


def chosen_settings(lines):
    """Of hundreds of settings, those that tools change or show."""
    shown = ("autoCreateTopicEnable", "brokerClusterName", "brokerName", "brokerPermission", "brokerRole", "deleteWhen",
             "fileReservedTime", "flushDiskType", "maxMessageSize", "messageDelayLevel", "traceTopicEnable")
    settings = (line.split("=", 1) for line in lines if "=" in line)
    return sorted(f"{key.strip()} = {value.strip()}" for key, value in settings if key.strip() in shown)


def steps():
    """(rule, command). Each sees what those before it have done; {0} is the id of the message sent by command, which Apache's tool
    can do once in its life. Two more follow it."""
    on_broker, of_topic, of_group = "-b {broker}", f"-t {TOPIC}", f"-g {GROUP}"
    return [
        (exact, f"updateTopic {on_broker} {of_topic} -r 4 -w 4"),
        (exact, f"updateSubGroup {on_broker} {of_group} -q 1 -r 5"),
        (topics, "topicList"),
        (sorted_lines, f"topicClusterList {of_topic}"),
        (route_json, f"topicRoute {of_topic}"),
        (exact, f"topicStatus {of_topic}"),
        (exact, "topicStatus -t no-such-topic"),
        (exact, f"sendMessage {of_topic} -p first -k key-a -c red -b {{name}} -i 0"),
        (exact, f"topicStatus {of_topic}"),
        (sorted_lines, f"queryMsgByKey {of_topic} -k key-a"),
        (exact, f"queryMsgByKey {of_topic} -k no-such-key"),
        (exact, f"queryMsgByUniqueKey {of_topic} -i {{0}}"),
        (exact, f"queryMsgByOffset {of_topic} -b {{name}} -i 0 -o 1"),
        (exact, f"queryMsgById {of_topic} -i {{0}}"),
        (sorted_lines, f"printMsg {of_topic}"),
        (sorted_lines, f"printMsg {of_topic} -s red"),
        (exact, f"consumeMessage {of_topic} -b {{name}} -i 0 -o 0 -c 2 -g prints-reader"),
        (sorted_lines, f"resetOffsetByTime {of_group} {of_topic} -s 0"),
        (exact, f"consumerProgress {of_group}"),
        (sorted_lines, f"skipAccumulatedMessage {of_group} {of_topic}"),
        (exact, f"consumerProgress {of_group}"),
        (exact, "consumerProgress -g no-such-group"),
        (exact, f"consumerConnection {of_group}"),
        (exact, "consumerConnection -g no-such-group"),
        (exact, f"producerConnection -g {PRODUCER} {of_topic}"),
        (exact, f"producerConnection -g no-such-producer {of_topic}"),
        (exact, "consumerStatus -g no-such-group"),
        (keys_only, f"brokerStatus {on_broker}"),
        (chosen_settings, f"getBrokerConfig {on_broker}"),
        (exact, f"updateBrokerConfig {on_broker} -k fileReservedTime -v 71"),
        (chosen_settings, f"getBrokerConfig {on_broker}"),
        (exact, f"updateBrokerConfig {on_broker} -k brokerConfigPath -v /nowhere"),
        (names_only, f"statsAll {of_topic}"),
        (exact, "wipeWritePerm -b {name}"),
        (route_json, f"topicRoute {of_topic}"),
        (exact, "addWritePerm -b {name}"),
        (exact, f"updateTopicPerm {on_broker} {of_topic} -p 4"),
        (exact, f"getConsumerConfig {of_group}"),
        (exact, f"deleteSubGroup {on_broker} {of_group}"),
        (exact, f"deleteTopic {of_topic} -c {{cluster}}"),
        (topics, "topicList"),
    ]


def compare_prints(deployment, name, folder, is_recording):
    console = Console(deployment.broker, folder)
    printed = []
    console.run("mqadmin", "help", "topicList")  # the first command also prints what Java's logger says about itself
    try:
        for rule, command, lines in each_step(console, deployment):
            printed += [f"$ mqadmin {command}", *rule(lines), ""]
    finally:
        console.process.kill()
    return compared(name, printed, is_recording)


def each_step(console, deployment):
    """The rule and the command of each step, and what it prints, without noise and without what differs from run to run."""
    ids = []
    with Clients(deployment) as clients:
        for rule, command in steps():
            if command.startswith("updateTopic "):
                clients.beat()
            said = run(console, deployment, ids, command)
            ids += [word for line in said for word in re.findall(ID, line) if command.startswith("sendMessage")]
            yield rule, command, [masked(deployment, line) for line in said if not NOISE.search(line)]
            if command.startswith("sendMessage"):
                clients.send(0, "second", "key-b", "blue")
                clients.send(2, "third", "key-a", "red")
                wait_until_stored(deployment, 3)


def run(console, deployment, ids, command):
    words = command.format(*ids, broker=deployment.broker.address, name=deployment.broker_name, cluster=deployment.cluster).split()
    return console.run("mqadmin", words[0], "-n", deployment.name_server.address, *words[1:])


def wait_until_stored(deployment, count):
    """A message may be found a moment after it was acknowledged."""
    def found():
        with Connection(deployment.broker.address) as connection:
            offsets = [connection.ask(MAX_OFFSET, {"topic": TOPIC, "queueId": str(queue)}).fields["offset"] for queue in range(4)]
        return sum(map(int, offsets)) == count
    wait_until(f"{count} messages are in their queues", found, DISPATCHED_S)


def masked(deployment, line):
    """What differs from run to run, and in width with it, so that blanks count as one."""
    for was, becomes in (
            (deployment.broker.address, "BROKER"), (deployment.name_server.address, "NAME-SERVER"),
            (str(deployment.broker.folder), "FOLDER")):
        line = line.replace(was, becomes)
    line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
    line = re.sub(ID, "ID", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([,.:]\d{3})?", "TIME", line)
    line = re.sub(r"\b1[6-9]\d{11}\b", "MILLISECONDS", line)
    line = re.sub(r"\b\d+\.\d+(?=\s)", "RATE", line)
    line = re.sub(r"(storeSize=|commitLogOffset=|CommitLog Offset: *|bodyCRC=|OK, )\d+", r"\1NUMBER", line)
    # Behind the code of a refusal stands a text for humans, in which ferrymq tells more.
    line = re.sub(r"(CODE: \d+).*", r"\1", line)
    return re.sub(r"\s+", " ", line).strip()


class Clients:
    """A consumer and a producer that do nothing but live."""

    def __init__(self, deployment):
        self.connection = Connection(deployment.broker.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.__exit__()

    def send(self, queue, body, key, tag):
        properties = "".join(f"{name}\x01{value}\x02" for name, value in (
            ("KEYS", key), ("TAGS", tag), ("UNIQ_KEY", f"7F0000010000{queue:020X}"), ("WAIT", "true")))
        answer = self.connection.ask(SEND_MESSAGE, {
            "producerGroup": PRODUCER, "topic": TOPIC, "defaultTopic": "TBW102", "defaultTopicQueueNums": "4", "queueId": str(queue),
            "sysFlag": "0", "bornTimestamp": "1700000000000", "flag": "0", "properties": properties, "reconsumeTimes": "0"},
            body.encode())
        if answer.code != 0:
            raise Failure(f"not sent: {answer}")

    def beat(self):
        subscription = {"classFilterMode": False, "topic": TOPIC, "subString": "red || blue", "tagsSet": ["red", "blue"],
                        "codeSet": [112785, 3027034], "subVersion": 1_700_000_000_000, "expressionType": "TAG"}
        body = {"clientID": "prints-client", "producerDataSet": [{"groupName": PRODUCER}], "consumerDataSet": [
            {"groupName": GROUP, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
             "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "subscriptionDataSet": [subscription], "unitMode": False}]}
        self.connection.ask(HEART_BEAT, body=json.dumps(body).encode())
