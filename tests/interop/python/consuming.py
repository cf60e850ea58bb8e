"""Consuming, retries, delays, and all of it around a restart of the broker."""

from rocketmq.client import PullConsumer
from rocketmq.ffi import MessageModel
from trial import equal, eventually, message, same_elements, send, send_numbered, send_orderly, send_patiently

# The profile's levels are 1 s, 2 s, 3 s, and 1 s for all others.
LEVELS_MS = [0, 1_000, 2_000, 3_000, 1_000]


def filtered(expression, wanted):
    def prove(trial):
        topic, producer = trial.topic(1), trial.producer()
        expected = []
        for number in range(60):
            tag = ["red", "green", "blue", "Aa", "BB", None][number % 6]
            send(producer, message(topic, f"m{number}", tag))
            if tag in wanted:
                expected.append(f"m{number}")
        send(producer, message(topic, "last", wanted[0]))
        trial.consume(trial.group, topic, expression)[0].exactly([*expected, "last"])
    return prove


def shares_queues(trial):
    topic, producer = trial.topic(4), trial.producer()
    boxes = [trial.consume(trial.group, topic)[0] for _ in range(2)]
    sent = []

    def both():
        sent.extend(send_numbered(producer, topic, f"{len(sent)}-", 4))
        return all(box.all() for box in boxes)
    eventually("both get messages", both)
    eventually("all is consumed", lambda: {*boxes[0].bodies(), *boxes[1].bodies()} == set(sent))


def broadcast_three(trial):
    topic, producer = trial.topic(2), trial.producer()
    boxes = [trial.consume(trial.group, topic, message_model=MessageModel.BROADCASTING)[0] for _ in range(3)]
    # A broadcast consumer of this client begins with what comes after its start.

    def all_have_begun():
        send(producer, message(topic, "warm"))
        return all(box.all() for box in boxes)
    eventually("all have begun", all_have_begun)
    sent = send_numbered(producer, topic, "m", 40)
    for box in boxes:
        box.until("all", lambda messages: sum(got.body.startswith("m") for got in messages) >= 40)
        same_elements("messages of one consumer", sent, [body for body in box.bodies() if body.startswith("m")])


def two_groups(trial):
    topic, producer = trial.topic(2), trial.producer()
    sent = send_numbered(producer, topic, "m", 20)
    for group in ("one", "two"):
        trial.consume(trial.own(group), topic)[0].exactly(sent)


def orderly(trial):
    topic, producer = trial.topic(4), trial.producer()
    for number in range(200):
        send_orderly(producer, message(topic, str(number // 4)), number % 4)
    inbox, _ = trial.consume(trial.group, topic, orderly=True)
    following = dict.fromkeys(range(4), 0)
    for got in inbox.count(200):
        equal(f"next of queue {got.queue}", str(following[got.queue]), got.body)
        following[got.queue] += 1


def young_topic(trial):
    topic, producer = trial.topic(1), trial.producer()
    sent = send_numbered(producer, topic, "m", 10)
    trial.consume(trial.group, topic)[0].exactly(sent)


def after_consumer_restart(trial):
    topic, producer = trial.topic(4), trial.producer()
    sent, got = [], []
    for life in range(3):
        sent += send_numbered(producer, topic, f"life {life} ", 20)
        inbox, consumer = trial.consume(trial.group, topic)
        inbox.until("all of this life", lambda messages: {*got, *(m.body for m in messages)} >= set(sent))
        trial.end(consumer)
        got += inbox.bodies()
    equal("different messages", set(sent), set(got))
    # It may take some twice that it had not yet noted as consumed when it ended.
    trial.notes.append(f"{len(got) - len(sent)} repeated")
    equal("it does not begin anew each time", True, len(got) < 2 * len(sent))


def pull_queue(trial):
    topic, producer = trial.topic(2), trial.producer()
    sent = send_numbered(producer, topic, "m", 50)
    consumer = PullConsumer(trial.group)
    consumer.set_namesrv_addr(trial.place.name_servers)
    consumer.start()
    trial.clients.append(consumer)
    got = []

    def all_pulled():
        got.extend(bytes(each).decode() for each in consumer.pull(topic))
        return len(got) >= len(sent)
    eventually("all is pulled", all_pulled)
    same_elements("messages", sent, got)


def retry_until_success(trial):
    """Message n fails n times. One after the other: when one of several that were pulled together fails, this client sends back
    all of them, and does not show those behind it."""
    topic, producer = trial.topic(1), trial.producer()
    inbox = trial.consume_or_fail(trial.group, topic, lambda got: got.reconsume_times >= int(got.body))
    expected = []
    for number in range(4):
        send(producer, message(topic, str(number), "tag", f"key-{number}"))
        expected += [(str(number), times, topic, "tag", f"key-{number}") for times in range(number + 1)]
        inbox.count(len(expected))
    equal("deliveries", expected, [(got.body, got.times, got.topic, got.tags, got.keys) for got in inbox.all()])


def delay_levels(trial):
    topic, producer = trial.topic(1), trial.producer()
    for level in range(len(LEVELS_MS)):
        delayed = message(topic, str(level), "tag")
        if level:
            delayed.set_delay_time_level(level)
        send(producer, delayed)
    inbox, _ = trial.consume(trial.group, topic, "tag")
    for got in inbox.exactly([str(level) for level in range(len(LEVELS_MS))]):
        waited = got.stored - got.born
        equal(f"level {got.body} waited long enough, {waited} ms", True, waited >= LEVELS_MS[int(got.body)])


def consumed_around(trial, expected, inbox):
    """Exactly these after a restart; after a crash some may have come twice."""
    if not trial.crashes:
        inbox.exactly(expected)
        return
    inbox.until("all", lambda messages: {got.body for got in messages} >= set(expected))
    equal("different messages", set(expected), set(inbox.bodies()))
    trial.notes.append(f"{len(inbox.all()) - len(expected)} repeated")


def messages_around(trial):
    topic, producer = trial.topic(2), trial.producer()
    sent = send_numbered(producer, topic, "m", 100)
    trial.restart_broker()
    send_patiently(producer, message(topic, "after"))
    trial.consume(trial.group, topic)[0].exactly([*sent, "after"])


def offsets_around(trial):
    topic, producer = trial.topic(2), trial.producer()
    early = send_numbered(producer, topic, "early ", 30)
    inbox, consumer = trial.consume(trial.group, topic)
    inbox.exactly(early)
    trial.end(consumer)
    late = send_numbered(producer, topic, "late ", 10)
    trial.restart_broker()
    inbox, _ = trial.consume(trial.group, topic)
    inbox.until("what was not consumed before", lambda messages: {got.body for got in messages} >= set(late))
    trial.notes.append(f"{len(inbox.all()) - len(late)} repeated")
    equal("it does not begin anew", True, trial.crashes or len(inbox.all()) < len(early))


def running_clients_around(trial):
    topic, producer = trial.topic(4), trial.producer()
    inbox, _ = trial.consume(trial.group, topic)
    sent = send_numbered(producer, topic, "before ", 50)
    inbox.count(10)
    trial.restart_broker()
    for number in range(50):
        send_patiently(producer, message(topic, f"after {number}"))
        sent.append(f"after {number}")
    inbox.until("all", lambda messages: {got.body for got in messages} >= set(sent))
    equal("different messages", set(sent), set(inbox.bodies()))


def delay_around(trial):
    topic, producer = trial.topic(1), trial.producer()
    sent = []
    for level in range(1, 4):
        for number in range(10):
            delayed = message(topic, f"level {level} number {number}")
            delayed.set_delay_time_level(level)
            send(producer, delayed)
            sent.append(f"level {level} number {number}")
    trial.restart_broker()
    last = message(topic, "last")
    last.set_delay_time_level(3)
    send_patiently(producer, last)
    consumed_around(trial, [*sent, "last"], trial.consume(trial.group, topic)[0])


FEATURES = {
    "filter-tag-one": filtered("green", ["green"]),
    "filter-tag-several": filtered("red || blue", ["red", "blue"]),
    "filter-tag-same-hash": filtered("Aa", ["Aa"]),
    "group-shares-queues": shares_queues,
    "group-broadcast-three": broadcast_three,
    "group-two-groups": two_groups,
    "group-orderly": orderly,
    "consume-from-last-young-topic": young_topic,
    "offset-after-consumer-restart": after_consumer_restart,
    "pull-queue": pull_queue,
    "retry-until-success": retry_until_success,
    "delay-levels": delay_levels,
    **{f"{name}-{end}": prove for end in ("restart", "crash") for name, prove in {
        "messages": messages_around, "offsets": offsets_around, "running-clients": running_clients_around,
        "delay": delay_around}.items()},
}
