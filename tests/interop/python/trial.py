"""One feature being tried: its own topics and groups, and the clients that it has started."""

import itertools
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from harness.remoting import UPDATE_TOPIC, ask, route
from rocketmq.client import Message, Producer, PushConsumer, RecvMessage, SendStatus
from rocketmq.exceptions import ProducerSendOrderlyFailed, ProducerSendSyncFailed
from rocketmq.ffi import _CConsumeStatus as ConsumeStatus, dll

PATIENCE_S = 90
POLL_S = 0.05
# Wide, because the machine that all trials share may be busy. The client gives up after 3 s as it comes.
SEND_TIMEOUT_MS = 10_000
CONNECTED_S = 5
_instances = itertools.count()
_speaking = threading.Lock()
# Clients that have ended. To free them while one of the library's threads still runs would crash it.
_ended = []


def say(words):
    with _speaking:
        print("\n@ " + " ".join(words.split()), flush=True)


class Place(NamedTuple):
    name_servers: str
    broker: str
    cluster: str
    broker_name: str


class Received(NamedTuple):
    """What a consumer was given; the library's own message lives no longer than its callback."""
    body: str
    keys: str
    tags: str
    queue: int
    offset: int
    times: int
    topic: str
    stored: int
    born: int
    size: int
    properties: dict


class Inbox:
    def __init__(self):
        self.changed = threading.Condition()  # guards messages
        self.messages = []

    def receive(self, message, properties=()):
        with self.changed:
            self.messages.append(Received(
                text(message.body), text(message.keys), text(message.tags), message.queue_id, message.queue_offset,
                message.reconsume_times, message.topic, message.store_timestamp, message.born_timestamp, message.store_size,
                {name: text(message.get_property(name)) for name in properties}))
            self.changed.notify_all()

    def all(self):
        with self.changed:
            return list(self.messages)

    def bodies(self):
        return [message.body for message in self.all()]

    def until(self, what, condition):
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self.messages), PATIENCE_S):
                raise AssertionError(f"not in time: {what}; there are {len(self.messages)}: {[m.body for m in self.messages[:10]]}")
            return list(self.messages)

    def count(self, count):
        return self.until(f"{count} messages", lambda messages: len(messages) >= count)

    def exactly(self, bodies):
        """Just these have come, each once. The last of each queue should be among them."""
        self.count(len(bodies))
        same_elements("what is consumed", bodies, self.bodies())
        return self.all()


def send_orderly(producer, message, order):
    return _once_connected(lambda: producer.send_orderly(message, order))


def _once_connected(send):
    """While its own heartbeat is just making the connection, the client fails a send at once, four times in 0.1 ms."""
    until = time.monotonic() + CONNECTED_S
    while True:
        try:
            return send()
        except (ProducerSendOrderlyFailed, ProducerSendSyncFailed) as problem:
            if "No route info" not in str(problem) or time.monotonic() > until:
                raise
        time.sleep(POLL_S)


def text(data):
    return data.decode() if data is not None else ""


class Trial:
    def __init__(self, place, name, resumed):
        self.place, self.name = place, name
        self.resumed = resumed
        self.notes, self.clients = [], []

    def own(self, suffix=""):
        """A name that no other trial and no other client has."""
        return "-".join(filter(None, (self.name, "python", suffix)))

    @property
    def group(self):
        return self.own("group")

    @property
    def crashes(self):
        return self.name.endswith("-crash")

    def topic(self, queues, suffix=""):
        fields = {"topic": self.own(suffix), "defaultTopic": "TBW102", "readQueueNums": str(queues), "writeQueueNums": str(queues),
                  "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"}
        equal("answer", 0, ask(self.place.broker, UPDATE_TOPIC, fields).code)
        eventually("there is a route", lambda: route(self.place.name_servers, self.own(suffix)))
        return self.own(suffix)

    def producer(self):
        producer = Producer(self.own(f"producer-{next(_instances)}"))
        producer.set_namesrv_addr(self.place.name_servers)
        producer.set_timeout(SEND_TIMEOUT_MS)
        # Producers of one instance share connections, and a send fails at once whose connection another is just making.
        dll.SetProducerInstanceName(producer._handle, f"{os.getpid()}-{next(_instances)}".encode())
        producer.start()
        self.clients.append(producer)
        return producer

    def consume(self, group, topic, expression="*", callback=None, inbox=None, **how):
        """The inbox of a started consumer, and the consumer."""
        inbox = inbox or Inbox()
        consumer = PushConsumer(group, **how)
        consumer.set_namesrv_addr(self.place.name_servers)
        consumer.set_instance_name(f"{os.getpid()}-{next(_instances)}")
        consumer.subscribe(topic, callback or inbox.receive, expression)
        consumer.start()
        self.clients.append(consumer)
        return inbox, consumer

    def consume_or_fail(self, group, topic, succeeds):
        """The inbox of a consumer to which what does not succeed is to come again. The wrapper has no way to say so: after an
        exception in a callback, what it tells the library is left to chance. So the library is told without it."""
        inbox = Inbox()

        def told(_consumer, handle):
            got = RecvMessage(handle)
            inbox.receive(got)
            return (ConsumeStatus.CONSUME_SUCCESS if succeeds(got) else ConsumeStatus.RECONSUME_LATER).value
        consumer = PushConsumer(group)
        consumer.set_namesrv_addr(self.place.name_servers)
        consumer.set_instance_name(f"{os.getpid()}-{next(_instances)}")
        dll.Subscribe(consumer._handle, topic.encode(), b"*")
        consumer._register_callback(told)
        consumer.start()
        self.clients.append(consumer)
        return inbox

    def end(self, client):
        self.clients.remove(client)
        client.shutdown()
        _ended.append(client)

    def restart_broker(self):
        say(f"pause {self.name}")
        self.resumed.wait()

    def close(self):
        if self.resumed.is_set():
            # To shut a client down soon after its broker was gone ends the process now and then: an exception with which the
            # library interrupts its threads (boost::thread_interrupted) is caught by none of them.
            _ended.extend(self.clients)
            return
        for client in reversed(list(self.clients)):
            self.end(client)


def message(topic, body, tags=None, keys=None):
    made = Message(topic)
    made.set_body(body)
    if tags:
        made.set_tags(tags)
    if keys:
        made.set_keys(keys)
    return made


def send(producer, message_):
    result = _once_connected(lambda: producer.send_sync(message_))
    equal("status", SendStatus.OK, result.status)
    return result


def send_numbered(producer, topic, prefix, count):
    bodies = [f"{prefix}{number}" for number in range(count)]
    for body in bodies:
        send(producer, message(topic, body))
    return bodies


def send_patiently(producer, message_):
    """Clients notice within their own time that the broker is back."""
    def sent():
        try:
            return send(producer, message_)
        except Exception:
            return None
    return eventually("sent", sent)


def eventually(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}")
        time.sleep(POLL_S)


def equal(what, expected, actual):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, is {actual!r}")


def same_elements(what, expected, actual):
    missing, surplus = Counter(expected) - Counter(actual), Counter(actual) - Counter(expected)
    if missing or surplus:
        raise AssertionError(f"{what}: of {len(expected)} are missing {list(missing)[:10]}, too many are {list(surplus)[:10]}")
