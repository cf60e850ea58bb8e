"""Requests that no client sends: wrong ones, hostile ones. The codes of the answers are Apache's; nobody ends, nobody hangs."""

import json
import struct

from harness.prints import compared
from harness.processes import Failure, wait_until
from harness.remoting import UPDATE_TOPIC, Connection, route

(SEND, PULL, QUERY_OFFSET, COMMIT, MAX_OFFSET, VIEW, HEART_BEAT, SEND_BACK, END_TRANSACTION, CONSUMERS,
 CHECK_CLIENT, BATCH) = 10, 11, 14, 15, 30, 33, 34, 36, 37, 38, 46, 320
TOPIC, GROUP = "raw-topic", "raw-group"
ROUTE_S = 30
COMMIT_TYPE = str(8)


def send(**changes):
    fields = {"producerGroup": "raw-producer", "topic": TOPIC, "defaultTopic": "no-such-template", "defaultTopicQueueNums": "4",
              "queueId": "0", "sysFlag": "0", "bornTimestamp": "1700000000000", "flag": "0", "properties": "WAIT\x01true\x02"}
    return {**fields, **changes}


def batch(**changes):
    long = send(**changes)
    names = ("producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag", "properties")
    return {**dict(zip("abcdefghi", (long[name] for name in names))), "m": "true"}


def entry(body, properties=b""):
    return struct.pack(">iiiii", 22 + len(body) + len(properties), 0, 0, 0, len(body)) + body + struct.pack(">h", len(properties)) + properties


def pull(**changes):
    fields = {"consumerGroup": GROUP, "topic": TOPIC, "queueId": "0", "queueOffset": "0", "maxMsgNums": "32", "sysFlag": "4",
              "commitOffset": "0", "suspendTimeoutMillis": "100", "subscription": "*", "subVersion": "1", "expressionType": "TAG"}
    return {**fields, **changes}


def offset(**changes):
    return {"consumerGroup": GROUP, "topic": TOPIC, "queueId": "0", "commitOffset": "1", "offset": "0", "timestamp": "0", **changes}


def heartbeat(**changes):
    group = {"groupName": GROUP, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
             "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "subscriptionDataSet": [], "unitMode": False, **changes}
    return json.dumps({"clientID": "raw-client", "producerDataSet": [], "consumerDataSet": [group]}).encode()


def ending(**changes):
    return {"topic": TOPIC, "producerGroup": "raw-producer", "tranStateTableOffset": "0", "commitLogOffset": "0",
            "commitOrRollback": COMMIT_TYPE, "fromTransactionCheck": "false", "msgId": "none", "transactionId": "none", **changes}


def refusals():
    """(what, code of the request, fields, body)"""
    many = [{"classFilterMode": False, "topic": f"topic-{number}", "subString": "*", "tagsSet": [], "codeSet": [], "subVersion": 1,
             "expressionType": "TAG"} for number in range(10_000)]
    return [
        ("a code nobody knows", 9_999, {}, b""),
        ("a topic with a blank", SEND, send(topic="a b"), b"x"),
        ("an empty topic", SEND, send(topic=""), b"x"),
        ("a topic of 128 letters", SEND, send(topic="t" * 128), b"x"),
        ("a topic that leads out of its folder", SEND, send(topic="../../etc"), b"x"),
        ("a topic that does not exist", SEND, send(topic="no-such-topic"), b"x"),
        ("a topic of the system", SEND, send(topic="SCHEDULE_TOPIC_XXXX"), b"x"),
        ("halves of others", SEND, send(topic="RMQ_SYS_TRANS_HALF_TOPIC"), b"x"),
        ("a queue that the topic does not have", SEND, send(queueId="99"), b"x"),
        ("a retry of a group that does not exist", SEND, send(topic="%RETRY%no-such-group"), b"x"),
        ("a body over the limit", SEND, send(), bytes((4 << 20) + 1)),
        ("properties over the limit", SEND, send(properties="a\x01" + "x" * 32_768 + "\x02"), b"x"),
        ("properties that are none", SEND, send(properties="\x01\x02\x02\x01a\x01\x02b"), b"x"),
        ("a good message", SEND, send(), b"x"),
        ("a batch", BATCH, batch(), entry(b"a") + entry(b"b")),
        ("a batch that is delayed", BATCH, batch(properties="DELAY\x013\x02"), entry(b"a")),
        ("a batch to a retry topic", BATCH, batch(topic=f"%RETRY%{GROUP}"), entry(b"a")),
        ("a batch within a transaction", BATCH, batch(sysFlag="4"), entry(b"a")),
        ("pulling a topic that does not exist", PULL, pull(topic="no-such-topic"), b""),
        ("pulling a queue that does not exist", PULL, pull(queueId="99"), b""),
        ("pulling a negative queue", PULL, pull(queueId="-1"), b""),
        ("pulling a negative offset", PULL, pull(queueOffset="-5"), b""),
        ("pulling far past the end", PULL, pull(queueOffset="1000000"), b""),
        ("pulling for a group with an illegal name", PULL, pull(consumerGroup="a b"), b""),
        ("pulling without a subscription", PULL, pull(sysFlag="0"), b""),
        ("SQL that is none", PULL, pull(expressionType="SQL92", subscription="a >"), b""),
        ("SQL that opens 10,000 parentheses", PULL, pull(expressionType="SQL92", subscription="(" * 10_000), b""),
        ("an expression of a kind nobody knows", PULL, pull(expressionType="COBOL", subscription="a"), b""),
        ("the offset of a group that has none", QUERY_OFFSET, offset(consumerGroup="raw-nobody", queueId="3", setZeroIfNotFound="false"), b""),
        ("an offset of a topic that does not exist", COMMIT, offset(topic="no-such-topic"), b""),
        ("an offset of a group that does not exist", COMMIT, offset(consumerGroup="raw-never"), b""),
        ("the largest offset of a queue that does not exist", MAX_OFFSET, offset(queueId="99"), b""),
        ("no message at an offset", VIEW, {"offset": "123456789"}, b""),
        ("a message at a negative offset", VIEW, {"offset": "-1"}, b""),
        ("a heartbeat without a body", HEART_BEAT, {}, b""),
        ("a heartbeat that is no JSON", HEART_BEAT, {}, b"{{{{"),
        ("a heartbeat with a good group", HEART_BEAT, {}, heartbeat()),
        ("a heartbeat with 10,000 subscriptions", HEART_BEAT, {}, heartbeat(groupName="raw-many", subscriptionDataSet=many)),
        ("the consumers of a group that does not exist", CONSUMERS, {"consumerGroup": "no-such-group"}, b""),
        ("giving back for a group that does not exist", SEND_BACK, {"offset": "0", "group": "no-such-group", "delayLevel": "3"}, b""),
        ("giving back what is no message", SEND_BACK, {"offset": "123456789", "group": GROUP, "delayLevel": "3"}, b""),
        ("ending a transaction that is none", END_TRANSACTION, ending(), b""),
        ("ending a transaction at a foreign offset", END_TRANSACTION, ending(commitLogOffset="7"), b""),
        ("ending a transaction before the log", END_TRANSACTION, ending(commitLogOffset="-9"), b""),
        ("still a good message", SEND, send(), b"x"),
    ]


def long_expressions():
    """SQL of a mebibyte, as a client checks it, states it with a heartbeat and brings it along with a pull.

    One that does not compile is not brought along: Apache's broker takes such a pull and filters nothing, ours refuses it. Ours has a limit
    for the parts of an expression, so that there are none of very many.
    """
    literal = "x" * (1 << 20)
    expressions = [
        ("a literal of 1 MiB", f"a = '{literal}'"),
        ("a literal of 1 MiB, or what is there", f"a = '{literal}' OR n = '1'"),
        ("a literal of 1 MiB to search for", f"a CONTAINS '{literal}'"),
        ("a literal of 1 MiB without an end", f"a = '{literal}"),
        ("a number of 1 MiB", "n = " + "9" * (1 << 20)),
        ("a comment of 1 MiB", f"n = '1' /* {literal} */"),
        ("a name of 1 MiB", f"{literal} IS NULL"),
        ("1 MiB of parentheses", "(" * (1 << 20)),
    ]
    wrong = ("a literal of 1 MiB without an end", "a number of 1 MiB", "1 MiB of parentheses")
    for number, (what, text) in enumerate(expressions):
        group = f"raw-sql-{number}"
        data = {"classFilterMode": False, "topic": TOPIC, "subString": text, "tagsSet": [], "codeSet": [], "subVersion": 1,
                "expressionType": "SQL92"}
        check = json.dumps({"clientId": "raw-client", "group": group, "namespace": "", "subscriptionData": data}).encode()
        yield f"{what}, checked", CHECK_CLIENT, {}, check
        yield f"{what}, in a heartbeat", HEART_BEAT, {}, heartbeat(groupName=group, subscriptionDataSet=[data])
        yield f"{what}, and a pull behind it", PULL, pull(consumerGroup=group, sysFlag="0", expressionType="SQL92"), b""
        if what not in wrong:
            yield f"{what}, with a pull", PULL, pull(consumerGroup=group, expressionType="SQL92", subscription=text), b""


def answers(deployment, name, is_recording):
    with Connection(deployment.broker.address, timeout_s=30) as connection:
        made = connection.ask(UPDATE_TOPIC, {
            "topic": TOPIC, "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6",
            "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"})
        if made.code != 0:
            raise Failure(f"no topic: {made}")
        wait_until("there is a route", lambda: route(deployment.name_server.address, TOPIC), ROUTE_S)
        connection.ask(SEND, send(properties="n\x011\x02"), b"x")
        return compared(name, [f"{what}: {asked(connection, *request)}" for what, *request in REQUESTS[name]()], is_recording)


def asked(connection, *request):
    """The code of the answer; not its remark, which is for humans, and in which ferrymq tells more."""
    return connection.ask(*request).code


def run(deployment, name, _folder, is_recording):
    """A verdict; who passed has one that begins with "ok"."""
    return TRIALS[name](deployment, name, is_recording)


REQUESTS = {"refusals": refusals, "filter-sql-bombs": long_expressions}
TRIALS = dict.fromkeys(REQUESTS, answers)
