"""The scenarios of the Python client, which is a thin layer over the C++ client.

    client.py SCENARIO NAME-SERVERS TOPIC GROUP COUNT

Its last line of output begins with "ok" when all that was sent came back; anything else comes with exit code 1.
While the scenario `steady` runs it prints "acked N", and it ends its sending when stdin ends.
"""

import sys
import threading
import time
import traceback

from ledger import Entry, Ledger
from rocketmq.client import Message, Producer, PushConsumer, SendStatus

CONSUMED_WITHIN_S = 90
SEND_PAUSE_S = 0.05
# Long enough for a busy machine; a killed server is noticed by its closed connection.
SEND_TIMEOUT_MS = 10_000


class Client:
    def __init__(self, name_servers, topic, group):
        self.name_servers, self.topic, self.group = name_servers, topic, group
        self.ledger = Ledger()

    def produce_then_consume(self, count):
        producer = self.start_producer()
        for number in range(count):
            self.send(producer, number)
        return self.finish(producer, self.start_consumer())

    def produce_and_consume_until_told_to_stop(self):
        """Failed sends are allowed here, because servers are killed meanwhile. What was acknowledged must be consumed."""
        producer, consumer = self.start_producer(), None
        told = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
        number = 0
        while not told.is_set():
            try:
                self.send(producer, number)
            except Exception as error:
                print(f"send {number}: {error}", file=sys.stderr)
            if consumer is None and self.ledger.acked():
                consumer = self.start_consumer()
            if number % 10 == 0:
                print(f"acked {self.ledger.acked()} consumed {self.ledger.received()}", flush=True)
            number += 1
            time.sleep(SEND_PAUSE_S)
        return self.finish(producer, consumer) if consumer else ["no send was ever acknowledged"]

    def start_producer(self):
        producer = Producer(self.group + "-producer")
        producer.set_namesrv_addr(self.name_servers)
        producer.set_timeout(SEND_TIMEOUT_MS)
        producer.start()
        return producer

    def start_consumer(self):
        consumer = PushConsumer(self.group)
        consumer.set_namesrv_addr(self.name_servers)
        consumer.subscribe(self.topic, self.receive)
        consumer.start()
        return consumer

    def send(self, producer, number):
        sent = Entry.numbered(self.topic, number)
        self.ledger.attempt(sent)
        message = Message(self.topic)
        message.set_keys(sent.keys)
        message.set_tags(sent.tags)
        message.set_body(sent.body)
        result = producer.send_sync(message)
        if result.status != SendStatus.OK:
            raise RuntimeError(f"send {number} ended with {result}")
        self.ledger.ack(sent, result.offset)

    def receive(self, message):
        entry = Entry(message.keys.decode(), message.tags.decode(), message.body.decode())
        self.ledger.receive(entry, message.queue_offset)

    def finish(self, producer, consumer):
        self.ledger.await_all_received(CONSUMED_WITHIN_S)
        consumer.shutdown()
        producer.shutdown()
        return self.ledger.problems()


def main(scenario, name_servers, topic, group, count):
    client = Client(name_servers, topic, group)
    try:
        if scenario == "produce-consume":
            problems = client.produce_then_consume(int(count))
        elif scenario == "steady":
            problems = client.produce_and_consume_until_told_to_stop()
        else:
            problems = [f"no such scenario: {scenario}"]
    except Exception as error:
        traceback.print_exc()
        problems = [repr(error)]
    print(f"failed: {len(problems)} problems: {problems[:10]}" if problems else f"ok {client.ledger.summary()}", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
