"""Sending."""

import threading

from trial import PATIENCE_S, Inbox, equal, message, send, send_numbered, send_orderly


def sync(trial):
    topic, producer = trial.topic(4), trial.producer()
    offsets = {}
    for number in range(200):
        body = f"message {number} žluťoučký kůň 消息"
        offsets[body] = send(producer, message(topic, body, f"tag-{number % 3}", f"key-{number}")).offset
    inbox, _ = trial.consume(trial.group, topic)
    for got in inbox.exactly(list(offsets)):
        number = int(got.body.split()[1])
        equal("key, tag, offset, topic", (f"key-{number}", f"tag-{number % 3}", offsets[got.body], topic),
              (got.keys, got.tags, got.offset, got.topic))


def async_(trial):
    topic, producer = trial.topic(4), trial.producer()
    answered, problems = threading.Semaphore(0), []

    def failed(error):
        problems.append(error)
        answered.release()
    bodies = [f"async {number}" for number in range(100)]
    for body in bodies:
        producer.send_async(message(topic, body), lambda result: answered.release(), failed)
    for _ in bodies:
        if not answered.acquire(timeout=PATIENCE_S):
            raise AssertionError("not all are answered")
    equal("problems", [], problems)
    trial.consume(trial.group, topic)[0].exactly(bodies)


def oneway(trial):
    topic, producer = trial.topic(4), trial.producer()
    bodies = [f"oneway {number}" for number in range(100)]
    for body in bodies:
        producer.send_oneway(message(topic, body))
    trial.consume(trial.group, topic)[0].exactly(bodies)


def properties(trial):
    topic, producer = trial.topic(1), trial.producer()
    sent = message(topic, "with properties", "tag", "k1 k2")
    wanted = {"a": "1", "žluť": "消息 with = : ; and spaces", "long": "x" * 1000}
    for name, value in wanted.items():
        sent.set_property(name, value)
    send(producer, sent)
    inbox = Inbox()
    trial.consume(trial.group, topic, "tag", inbox=inbox,
                  callback=lambda got: inbox.receive(got, [*wanted, "CLUSTER", "MSG_REGION"]))
    got = inbox.count(1)[0]
    equal("properties", {**wanted, "CLUSTER": trial.place.cluster, "MSG_REGION": "DefaultRegion"}, got.properties)
    equal("keys", "k1 k2", got.keys)


def compressed(trial):
    topic, producer = trial.topic(1), trial.producer()
    body = "compress me well " * 6_000
    send(producer, message(topic, body))
    got = trial.consume(trial.group, topic)[0].exactly([body])[0]
    equal("it is stored in less than a tenth", True, got.size < len(body) // 10)


def chosen_queue(trial):
    topic, producer = trial.topic(4), trial.producer()
    for number in range(100):
        send_orderly(producer, message(topic, f"{number % 10}:{number}"), number % 10)
    inbox, _ = trial.consume(trial.group, topic, orderly=True)
    newest = {}
    for got in inbox.count(100):
        order, number = map(int, got.body.split(":"))
        equal(f"queue of {order}", order % 4, got.queue)
        equal(f"{number} comes after {newest.get(order)}", True, number > newest.get(order, -1))
        newest[order] = number
    equal("orders", 10, len(newest))


def auto_created(trial):
    producer, topic = trial.producer(), trial.own("fresh")
    bodies = send_numbered(producer, topic, "m", 3)
    trial.consume(trial.group, topic)[0].exactly(bodies)


FEATURES = {
    "send-sync": sync,
    "send-async": async_,
    "send-oneway": oneway,
    "send-properties": properties,
    "send-compressed": compressed,
    "send-chosen-queue": chosen_queue,
    "topic-auto-created": auto_created,
}
