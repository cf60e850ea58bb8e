"""Kills the leader of a group again and again while features are tried, and lets its node come back.

A trial that an error has ended is tried again from its beginning with a topic of its own, as an application would; one that misses
messages is not. Requests for "the broker" of a trial go through a door that leads to whoever leads.
"""

import re
import socket
import threading
import time

from harness.processes import Failure, wait_until

TRIES = 6
AWAY_S = 1
LOST = re.compile(r"are missing [1-9]|lost|crossed|out of order|reordered")
CHUNK = 1 << 16
PATIENCE_S = 2
# Before the second try; each one waits longer. Go's client asks for routes every 30 s.
PAUSE_S = 4

# Not tried while leaders are killed, by all clients or by one, and why.
LEFT_OUT = {
    "admin-broker-stats": "what was counted is summed up every 10 s, and lost with the process, as with Apache: no leader lives for so long",
    "pull-queue go": "a pull at the end of a queue stays for 20 s, and Go's client waits 30 s for an answer though the connection has broken",
    "rebalance-orderly-join-and-die": "the dead keeps its locks for a minute from when a leader last knew it alive, and each leader begins anew",
    "transaction-too-many-checks": "counts the times a producer is asked, and a question that nobody answers is not asked again, as with Apache",
}


def is_tried(feature, client):
    return feature not in LEFT_OUT and f"{feature} {client}" not in LEFT_OUT


def may_try_again(tries, why):
    return tries < TRIES and not LOST.search(why)


class Failovers:
    def __init__(self, deployment, every_s):
        self.deployment, self.every_s = deployment, every_s
        self.kills = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.door = Door(deployment.leader_address)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.door.close()

    def _run(self):
        while not self.ending.wait(self.every_s - AWAY_S):
            leader = self.deployment.broker
            leader.kill()
            self.kills += 1
            self.door.cut()
            time.sleep(AWAY_S)
            leader.start()
            try:
                wait_until("another leads", lambda: self.deployment.has_leader(), self.every_s)
            except Failure as failure:
                print(failure, flush=True)
            self.door.cut()


class Door:
    """Listens, and carries each connection to where it should go at that moment."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.guard = threading.Lock()  # guards open
        self.open = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self):
        with self.guard:
            ending, self.open = self.open, set()
        for end in ending:
            _shut(end)

    def close(self):
        self.listener.close()
        self.cut()

    def _listen(self):
        while True:
            try:
                inside, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(inside,), daemon=True).start()

    def _through(self):
        """A connection to whoever leads, once one does."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                host, port = (self.target() or "").rsplit(":", 1)
                outside = socket.create_connection((host, int(port)), 1)
                outside.settimeout(None)
                return outside
            except (OSError, ValueError):
                time.sleep(0.05)
        return None

    def _carry(self, inside):
        outside = self._through()
        if not outside:
            _shut(inside)
            return
        with self.guard:
            self.open |= {inside, outside}
        threading.Thread(target=_copy, args=(outside, inside), daemon=True).start()
        _copy(inside, outside)
        with self.guard:
            self.open -= {inside, outside}


def _copy(source, target):
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
    except OSError:
        pass
    _shut(source)
    _shut(target)


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
