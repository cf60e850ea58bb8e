"""Scenario damaged: what is left of a store of Apache's broker after something bad, given to our broker and to `ferrymq migrate --check`.

What cannot be made anew is refused with a sentence that names the file, and nothing in the folder is changed: nobody has asked to cut
anything off. What can be made anew is: every message is served as before, at its offset, and found by its key."""

import hashlib
import json
import shutil
import subprocess

from harness.migrate import DISK, NAME, TOPIC, Names, Node, our_nodes
from harness.processes import Failure, verdicts
from harness.servers import Broker, ferrymq, killed_afterwards
from harness.stores import KEYED, STOPPED_S, different, logs, written

KINDS = ("plain", "refused", "cut", "rocksdb")
SEGMENT_BYTES = 4 << 20
FILLED = "plain,keyed,big,batch"
REFUSED_S = 60
REFUSED, FAILED, DAMAGED = 5, 1, 3


def run(_servers, kinds, folder):
    play = {"plain": mended, "refused": refused, "cut": cut, "rocksdb": rocksdb}

    def verdict_of(kind):
        with killed_afterwards() as started:
            return play[kind](folder / kind, started)
    return verdicts(kinds, verdict_of)


class Source:
    """A store that Apache's broker has left in order, and what was in it."""

    def __init__(self, folder, started, **more):
        self.folder, self.names = folder, Names("ns", "apache", folder, started)
        self.settings = {"brokerClusterName": "cluster-moved", "brokerName": NAME, "brokerId": 0, "brokerRole": "ASYNC_MASTER",
                         "mappedFileSizeCommitLog": SEGMENT_BYTES, **DISK}
        broker = Broker("old", folder, [self.names.server], {**self.settings, **more})
        started.append(broker)
        broker.start()
        broker.booted()
        self.names.wait_for_leader()
        self.names.make_topic()
        self.names.java("fill", TOPIC, "first", FILLED)
        self.messages = self.names.read()
        broker.process.stop(STOPPED_S)
        self.store = broker.folder / "store"

    def damaged(self, name, damage):
        """A broker of ours on a copy of the store, to which something was done."""
        broker = Node(name, self.folder, [self.names.server], self.settings, kind="ferrymq")
        shutil.copytree(self.store, broker.folder / "store")
        damage(broker.folder / "store")
        return broker


def last_byte(file):
    return len(file.read_bytes().rstrip(b"\0")) - 1


def change(file, at, to=None):
    with file.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)
        opened.seek(at)
        opened.write(to or bytes([byte[0] ^ 1]))


def wipe(file, at):
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(bytes(file.stat().st_size - at))


def remove_last(store):
    for file in logs(store)[len(written(store)) - 1:]:
        file.unlink()


def cut_short(store):
    file = written(store)[-1]
    for empty in set(logs(store)) - set(written(store)):
        empty.unlink()
    with file.open("r+b") as opened:
        opened.truncate(last_byte(file) // 2)


def half(file):
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def half_without_copy(store):
    half(store / "config" / "topics.json")
    (store / "config" / "topics.json.bak").unlink(missing_ok=True)


def half_with_copy(store):
    shutil.copy(store / "config" / "topics.json", store / "config" / "topics.json.bak")
    half(store / "config" / "topics.json")


def damage_queues(store):
    for file in (store / "consumequeue" / TOPIC).rglob("0*"):
        if file.is_file():
            wipe(file, 7)


# The words that are said, and by whom: a broker that starts, and one who migrates.
REFUSALS = {
    "middle": (lambda store: change(written(store)[0], SEGMENT_BYTES // 2), "is damaged at"),
    "last-file": (lambda store: change(written(store)[-1], last_byte(written(store)[-1]) // 2), "is damaged at"),
    "last-record": (lambda store: wipe(written(store)[-1], last_byte(written(store)[-1]) - 120), "is damaged at"),
    "nothing-in-last-file": (lambda store: wipe(written(store)[-1], 0), "was on the disk"),
    "no-last-file": (remove_last, "was on the disk"),
    "short-last-file": (cut_short, "commitlog"),
    "half-a-config-file": (half_without_copy, "topics.json is damaged"),
}
# What is made anew.
MENDED = {
    "queues-damaged": damage_queues,
    "queues-missing": lambda store: shutil.rmtree(store / "consumequeue"),
    "index-missing": lambda store: shutil.rmtree(store / "index"),
    "checkpoint-missing": lambda store: (store / "checkpoint").unlink(),
    "config-file-with-copy": half_with_copy,
}


def state(store):
    """All that counts in a folder: the log and the tables."""
    files = [*written(store), *(file for file in (store / "config").rglob("*") if file.is_file())]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def refuses(broker, group, words):
    """Our broker does not start on it, nor is it moved, and it stays as it is."""
    store = broker.folder / "store"
    before = state(store)
    broker.write()
    check = ["migrate", "--from", store, "--to", *(node.configuration for node in group), "--check"]
    for command, code in (([*check, "--config-of", broker.configuration], REFUSED), (["broker", "-c", broker.configuration], FAILED)):
        done = subprocess.run([str(word) for word in (ferrymq(), *command)], capture_output=True, text=True, timeout=REFUSED_S)
        if done.returncode != code or words not in done.stderr or "panic" in done.stderr:
            raise Failure(f"{broker.name}: {command[0]} ends with {done.returncode} and says {done.stdout[-600:]}{done.stderr[-1500:]}")
    if state(store) != before:
        raise Failure(f"{broker.name}: something was changed")
    shutil.rmtree(broker.folder)


def written_group(source):
    group = our_nodes(source.names, source.folder / "group")
    for node in group:
        node.write()
    return group


def refused(folder, started):
    source = Source(folder, started)
    group = written_group(source)
    for name, (damage, words) in REFUSALS.items():
        refuses(source.damaged(name, damage), group, words)
    return f"ok {len(REFUSALS)} kinds of damage are refused, and nothing is cut off"


def cut(folder, started):
    """What is refused is cut off when `ferrymq store cut` is told to, and what it names, and no more, is gone for Apache's client."""
    source = Source(folder, started)
    told = []
    for name in ("middle", "last-record", "no-last-file"):
        damage, _ = REFUSALS[name]
        broker = source.damaged(name, damage)
        ask = ["store", "cut", broker.folder / "store", "--segment-bytes", SEGMENT_BYTES, "-o", "json"]
        before = state(broker.folder / "store")
        found = json.loads(run_ours(ask, DAMAGED))
        if state(broker.folder / "store") != before:
            raise Failure(f"{name}: something was changed that was only asked for")
        run_ours([*ask, "--at", found["offset"]], 0)
        read = served(source, broker, started)
        for queue in sorted({line.split("\t")[0] for line in source.messages}):
            of_queue = [[line for line in lines if line.startswith(f"{queue}\t")] for lines in (source.messages, read)]
            left = len(of_queue[1])
            if of_queue[1] != of_queue[0][:left]:
                raise Failure(different(*of_queue, f"{name}: queue {queue} has other messages"))
            lost = [each for each in found["queues"] if (each["topic"], each["queue"]) == (TOPIC, int(queue))]
            if any(each["first"] < left or each["last"] != len(of_queue[0]) - 1 for each in lost):
                raise Failure(f"{name}: queue {queue} has {left} of {len(of_queue[0])} messages left, and lost were said to be {lost}")
        told.append(f"{name}: {len(read)} of {len(source.messages)}")
    return f"ok messages that are left: {', '.join(told)}"


def run_ours(command, code):
    done = subprocess.run([str(word) for word in (ferrymq(), *command)], capture_output=True, text=True, timeout=REFUSED_S)
    if done.returncode != code:
        raise Failure(f"{command}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def served(source, broker, started):
    """What Apache's client reads from our broker, which is stopped then, and its folder removed."""
    started.append(broker)
    broker.start()
    broker.booted()
    source.names.wait_for_leader()
    found = source.names.read()
    broker.process.stop(STOPPED_S)
    shutil.rmtree(broker.folder)
    return found


def mended(folder, started):
    source = Source(folder, started)
    group = written_group(source)
    for name, damage in MENDED.items():
        broker = source.damaged(name, damage)
        broker.write()
        check = ["migrate", "--from", broker.folder / "store", "--config-of", broker.configuration, "--check",
                 "--to", *(node.configuration for node in group)]
        run_ours(check, 0)
        started.append(broker)
        broker.start()
        broker.booted()
        source.names.wait_for_leader()
        found = source.names.read()
        if found != source.messages:
            raise Failure(different(source.messages, found, f"{name}: other messages"))
        keyed = source.names.java("find", TOPIC, "first-all")
        if keyed != [str(KEYED)]:
            raise Failure(f"{name}: {keyed} messages are found by a key, not {KEYED}")
        broker.process.stop(STOPPED_S)
        shutil.rmtree(broker.folder)
    return f"ok {len(source.messages)} messages after {len(MENDED)} kinds of damage"


def rocksdb(folder, started):
    """Topics, groups and offsets are where we do not look; so it is refused, rather than that nobody finds them."""
    told = []
    for name, more in (("v1", {"storeType": "defaultRocksDB"}), ("v2", {"configManagerVersion": "v2"})):
        source = Source(folder / name, started, **more)
        refuses(source.damaged(f"kept-{name}", lambda _store: None), written_group(source), "RocksDB")
        told.append(name)
    return f"ok refused: tables of {' and '.join(told)}"
