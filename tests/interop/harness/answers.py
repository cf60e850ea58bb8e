"""Scenario answers: the same requests, one after the other, to the name server under test and to Apache's; the answers
must be equal. It covers what no tool sends: registrations of brokers in all their forms, and wrong requests.

The broker of these requests exists nowhere. Answers about Apache's real brokers are covered by the scenario mqadmin.
"""

import json
import re
import struct
import time
import zlib

from harness.processes import wait_until
from harness.remoting import Connection

GONE_S = 15
OLD_CLIENT = 317  # V4_5_2, which the Go client always claims to be
LAST_OLD_BROKER = 36  # before V3_0_11, whose body is the topic table alone
CLUSTER, GROUP = "cluster-imagined", "broker-imagined"
# Where ferrymq explains a refusal in other words than Apache.
OWN_REMARKS = {"value: put without a key"}
MASTER, SLAVE, HEIR = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"


def topic(name, perm=6, queues=4, unit_flags=0):
    return {"attributes": {}, "order": False, "perm": perm, "readQueueNums": queues, "topicFilterType": "SINGLE_TAG",
            "topicName": name, "topicSysFlag": unit_flags, "writeQueueNums": queues}


TOPICS = [topic("imagined-a"), topic("imagined-b", perm=4, queues=1), topic("imagined-unit", unit_flags=1),
          topic("imagined-sub", unit_flags=2), topic("imagined-unit-sub", unit_flags=3)]


def version(counter, state=0):
    return {"counter": counter, "stateVersion": state, "timestamp": 1_700_000_000_000}


def broker(address=MASTER, broker_id=0, **more):
    return {"brokerName": GROUP, "brokerAddr": address, "clusterName": CLUSTER, "brokerId": str(broker_id),
            "haServerAddr": f"{address}0", **more}


def body(topics, data_version):
    table = {"dataVersion": data_version, "topicConfigTable": {each["topicName"]: each for each in topics}}
    return encoded({"filterServerList": [], "topicConfigSerializeWrapper": table})


def compressed_body(topics, data_version):
    texts = ["{topicName} {readQueueNums} {writeQueueNums} {perm} {topicFilterType} {{}}".format(**each) for each in topics]
    parts = [encoded(data_version), len(texts), *(text.encode() for text in texts), b"[]", 0]
    packed = b"".join(struct.pack(">i", part) if isinstance(part, int) else struct.pack(">i", len(part)) + part for part in parts)
    return zlib.compress(packed)


def encoded(value):
    return json.dumps(value, separators=(",", ":")).encode()


def crc(data):
    return str(zlib.crc32(data) & 0x7FFFFFFF)


def requests():
    """(what, code, fields, body, version of the sender) in order: later ones depend on earlier ones."""
    full = body(TOPICS, version(1))
    changed = body([*TOPICS, topic("imagined-new")], version(2))
    packed = compressed_body([*TOPICS, topic("imagined-packed")], version(4))
    one = body([topic("imagined-single")], version(1))
    route = [(f"route of {each['topicName']}", 105, {"topic": each["topicName"]}) for each in TOPICS]
    lists = [("topics of the cluster", 224, {"cluster": CLUSTER}), ("members", 901, {"clusterName": CLUSTER, "brokerName": GROUP})]
    kv = {"namespace": "imagined", "key": "k"}
    properties = b"enableTopicList=true\nenableAllTopicList=true\n"
    return [
        ("a single topic before the full registration", 103, broker(), one),
        ("no such topic", 105, {"topic": "imagined-a"}),
        ("wrong checksum", 103, broker(bodyCrc32="7"), full),
        ("registration of a master", 103, broker(bodyCrc32=crc(full)), full),
        *route, *lists,
        ("route for an old client", 105, {"topic": "imagined-a"}, b"", OLD_CLIENT),
        ("route in standard JSON for an old client", 105, {"topic": "imagined-a", "acceptStandardJsonOnly": "true"}, b"", OLD_CLIENT),
        ("version: the same", 322, broker(), encoded(version(1))),
        ("version: another", 322, broker(), encoded(version(2))),
        ("version: of nobody", 322, broker("127.0.0.1:9"), encoded(version(1))),
        ("heartbeat", 904, broker(), b""),
        ("heartbeat of nobody", 904, broker("127.0.0.1:9"), b""),
        ("registration of a slave", 103, broker(SLAVE, 1), full),
        *route[:1], *lists,
        ("write permission taken", 205, {"brokerName": GROUP}),
        *route,
        ("registration with the same version", 103, broker(), full),
        *route[:2],
        ("write permission given", 327, {"brokerName": GROUP}),
        *route,
        ("write permission taken from nobody", 205, {"brokerName": "no-such-broker"}),
        ("registration with a new topic", 103, broker(), changed),
        *route, *lists, ("route of the new topic", 105, {"topic": "imagined-new"}),
        ("a single topic after the full registration", 103, broker(), body([topic("imagined-single")], version(3))),
        *lists, ("route of the single topic", 105, {"topic": "imagined-single"}),
        ("compressed registration", 103, broker(compressed="true", bodyCrc32=crc(packed)), packed),
        *lists, ("route of the packed topic", 105, {"topic": "imagined-packed"}),
        ("registration without a body", 103, broker(), b""),
        *lists, *route[:1],
        ("registration of a broker older than 3.0.11", 103, broker(), encoded({
            "dataVersion": version(5), "topicConfigTable": {"imagined-old": topic("imagined-old")}}), LAST_OLD_BROKER),
        *lists, ("route of the old broker's topic", 105, {"topic": "imagined-old"}),
        ("a leader of term 7", 103, broker(), body(TOPICS, version(1, 7))),
        ("its heir of term 8", 103, broker(HEIR), body(TOPICS, version(1, 8))),
        *route[:1], *lists,
        ("the old leader comes back", 103, broker(), body(TOPICS, version(2, 7))),
        *route[:1], *lists,
        ("the slave becomes the master of term 9", 103, broker(SLAVE, 0), body(TOPICS, version(1, 9))),
        *route[:1], *lists,
        ("a slave with an acting master", 103, broker(HEIR, 1, enableActingMaster="true", heartbeatTimeoutMillis="60000"), full),
        *route[:2], *lists,
        ("a topic on its own", 217, {"topic": "imagined-alone"}, encoded({"queueDatas": [
            {"brokerName": GROUP, "perm": 6, "readQueueNums": 2, "writeQueueNums": 2, "topicSysFlag": 0}]})),
        ("route of it", 105, {"topic": "imagined-alone"}),
        ("a topic of an unknown broker", 217, {"topic": "imagined-lost"}, encoded({"queueDatas": [
            {"brokerName": "no-such-broker", "perm": 6, "readQueueNums": 2, "writeQueueNums": 2, "topicSysFlag": 0}]})),
        ("route of it", 105, {"topic": "imagined-lost"}),
        ("a topic deleted from another cluster", 216, {"topic": "imagined-a", "clusterName": "no-such-cluster"}),
        *route[:1],
        ("a topic deleted from its cluster", 216, {"topic": "imagined-a", "clusterName": CLUSTER}),
        *route[:1],
        ("a topic deleted", 216, {"topic": "imagined-b"}),
        *route[:2],
        ("an unknown topic deleted", 216, {"topic": "no-such-topic"}),
        ("topics of no cluster", 224, {"cluster": "no-such-cluster"}),
        ("members of nobody", 901, {"clusterName": "no-such-cluster", "brokerName": "no-such-broker"}),
        ("value: none", 101, kv), ("value: put", 100, {**kv, "value": "v, \"ž\" {}"}), ("value: got", 101, kv),
        ("namespace", 219, {"namespace": "imagined"}), ("namespace: none", 219, {"namespace": "no-such-namespace"}),
        ("value: put without a key", 100, {"namespace": "imagined", "value": "v"}),
        ("value: deleted", 102, kv), ("value: deleted again", 102, kv), ("value: gone", 101, kv),
        ("namespace: emptied", 219, {"namespace": "imagined"}),
        ("settings: harmless", 318, {}, properties), ("settings: none", 318, {}),
        ("a request of brokers", 10, {}), ("a request of nobody", 9999, {}),
        *[(f"departure of {address}", 104, broker(address, broker_id))
          for address, broker_id in ((MASTER, 0), (SLAVE, 0), (HEIR, 1))],
        ("departure of nobody", 104, broker("127.0.0.1:9")),
    ]


def run(servers, _clients, _folder):
    started = time.monotonic()
    with Connection(servers.compared[0].address) as tested, Connection(servers.compared[1].address) as reference:
        problems = []
        for what, code, fields, *more in requests():
            answers = [connection.ask(code, fields, *more) for connection in (tested, reference)]
            if not equal(what, *answers):
                problems += [f"{what} ({code}):", f"  tested: {answers[0]}", f"  Apache: {answers[1]}"]
        for name_server, connection in (("the tested", tested), ("Apache's", reference)):
            wait_until(f"all have departed from {name_server} name server", lambda: all_have_departed(connection), GONE_S)
    verdict = "answers differ\n" + "\n".join(problems) if problems else f"ok {len(requests())} answers compared"
    yield "raw", time.monotonic() - started, verdict


def all_have_departed(connection):
    """Departures are answered at once and carried out later."""
    return all(connection.ask(105, {"topic": each["topicName"]}).code == 17 for each in TOPICS)


def equal(what, tested, reference):
    """Remarks are for humans: that of a success is ignored, that of a refusal may say more than Apache's."""
    same = tested.code == reference.code and tested.fields == reference.fields and content(tested) == content(reference)
    return same and (tested.code == 0 or what in OWN_REMARKS or (tested.remark or "").startswith(reference.remark or ""))


def content(answer):
    """The body so that nothing depends on the order of a hash map, nor on whether numeric keys are quoted."""
    text = re.sub(r"([{,])(\d+):", r'\1"\2":', answer.body.decode())
    return json.dumps(in_order(json.loads(text)), sort_keys=True) if text else ""


def in_order(value):
    if isinstance(value, dict):
        return {key: in_order(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((in_order(inner) for inner in value), key=json.dumps)
    return value
