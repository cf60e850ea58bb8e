"""Sends ten messages and consumes them."""

import os
import sys
import time

from rocketmq.client import Message, Producer, PushConsumer

COUNT = 10
TOPIC = "hello-python"
NAME_SERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")


def main():
    producer = Producer("hello-python-producer")
    producer.set_namesrv_addr(NAME_SERVER)
    producer.start()
    # The first message of a topic makes it.
    for number in range(COUNT):
        message = Message(TOPIC)
        message.set_tags("greeting")
        message.set_body(f"hello {number}")
        result = producer.send_sync(message)
        print(f"sent {number} with offset {result.offset}: {result.status.name}")

    received = set()

    def receive(message):
        received.add(message.body)
        return True

    consumer = PushConsumer("hello-python-consumer")
    consumer.set_namesrv_addr(NAME_SERVER)
    consumer.subscribe(TOPIC, receive, "greeting")
    consumer.start()
    deadline = time.monotonic() + 60
    while len(received) < COUNT and time.monotonic() < deadline:
        time.sleep(0.1)
    consumer.shutdown()
    producer.shutdown()
    print(f"received {len(received)}")
    return 0 if len(received) == COUNT else 1


if __name__ == "__main__":
    sys.exit(main())
