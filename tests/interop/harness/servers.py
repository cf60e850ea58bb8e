"""The servers that scenarios run against, all on loopback and on ports nobody else has.

Their kind says whose they are: apache, ferrymq, or mixed, which is our name server with Apache's brokers.

    single   one asynchronous master                               its own name server
    pair     a synchronous master, which waits for its slave       its own name server
    group    three nodes that elect a leader (DLedger)             two name servers of its own
    admin    single and pair registered with two more name servers: the one under test, and Apache's as the reference

Topologies do not share the name server that clients use: a topic is created automatically on any broker that it knows.
"""

import contextlib
import os
from pathlib import Path

from harness import install, no_processes
from harness.processes import Failure, Process, free_port, wait_until
from harness.remoting import UPDATE_TOPIC, ask, broker_addresses, route, slaves_in_sync

BOOT_S = 60
# Longer than a broker's period of registration plus an election.
ROUTE_S = 60
# The topic that every broker with automatic topic creation registers.
DEFAULT_TOPIC = "TBW102"
NAME_SERVER_JVM = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
BROKER_JVM = [
    "-Xms512m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]


class Server:
    """One server process and its configuration file. It can be killed and started again on what it left behind."""

    def __init__(self, name, folder, host="127.0.0.1"):
        self.name, self.folder, self.host = name, Path(folder) / name, host
        self.port = free_port(host)
        self.starts, self.process = 0, None

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def alive(self):
        return self.process is not None and self.process.alive()

    def kill(self):
        self.process.kill()

    def launch(self, command, settings):
        """Starts the command with `-c` and a file of the settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.conf.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self.launch_again(command)

    @property
    def conf(self):
        return self.folder / f"{self.name}.conf"

    def launch_again(self, command):
        """The same with the file as it is now, whoever has changed it."""
        self.starts += 1
        prepare = no_processes.forbid if command[0] == ferrymq() and no_processes.can_be_forbidden() else None
        self.process = Process(
            self.name, [*command, "-c", self.conf], self.folder / f"start-{self.starts}.log", prepare=prepare)

    def booted(self):
        self.process.wait_for_output("boot success", BOOT_S)

    def java(self, flags, main):
        home = [f"-Drocketmq.home.dir={self.folder}", f"-Duser.home={self.folder}"]
        return ["java", *flags, *home, "-cp", install.servers(), main]


class NameServer(Server):
    """Apache's name server, or ours with any other kind of servers."""

    def __init__(self, name, kind, folder, host="127.0.0.1", **settings):
        super().__init__(name, folder, host)
        self.kind, self.settings = kind, settings

    def start(self):
        apache = self.java(NAME_SERVER_JVM, "org.apache.rocketmq.namesrv.NamesrvStartup")
        command = apache if self.kind == "apache" else [ferrymq(), "namesrv"]
        self.launch(command, {
            "listenPort": self.port, "bindAddress": self.host,
            "kvConfigPath": self.folder / "kvConfig.json", "configStorePath": self.folder / "namesrv.properties",
            **self.settings})


class Broker(Server):
    """Our broker, or Apache's with any other kind of servers; the file of settings is the same."""

    def __init__(self, name, folder, name_servers, settings, host="127.0.0.1", kind="apache"):
        super().__init__(name, folder, host)
        self.name_servers, self.settings, self.kind = name_servers, settings, kind

    def command(self):
        return [ferrymq(), "broker"] if self.kind == "ferrymq" else self.java(BROKER_JVM, "org.apache.rocketmq.broker.BrokerStartup")

    def start_again(self):
        """With the file as it is now."""
        self.launch_again(self.command())

    def start(self):
        store = self.folder / "store"
        self.launch(self.command(), {
            "listenPort": self.port, "bindAddress": self.host, "brokerIP1": "127.0.0.1", "brokerIP2": "127.0.0.1",
            "namesrvAddr": ";".join(server.address for server in self.name_servers), "registerNameServerPeriod": 10_000,
            "storePathRootDir": store, "storePathCommitLog": store / "commitlog", "mappedFileSizeCommitLog": 64 << 20,
            # On a busy machine a broker of 200 ms patience refuses sends, and not every client repeats them.
            "waitTimeMillsInSendQueue": 10_000, "osPageCacheBusyTimeOutMills": 10_000,
            # The disk of a test machine may be rather full.
            "diskSpaceWarningLevelRatio": 99, "cleanFileForciblyEnable": "false", **self.settings})


def make_topic(broker, name_server, topic, queues=4, permission=6):
    """Returns once the name server routes to it."""
    answer = ask(broker, UPDATE_TOPIC, {
        "topic": topic, "defaultTopic": DEFAULT_TOPIC, "readQueueNums": f"{queues}", "writeQueueNums": f"{queues}",
        "perm": f"{permission}", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"})
    if answer.code != 0:
        raise Failure(f"{broker} did not make {topic}: {answer}")
    wait_until(f"{name_server.name} routes {topic}", lambda: route(name_server.address, topic), ROUTE_S)


@contextlib.contextmanager
def killed_afterwards():
    """A list of servers. Those that were started do not run any more in the end, the last one first."""
    servers = []
    try:
        yield servers
    finally:
        for server in reversed(servers):
            if server.process:
                server.kill()


class Topology:
    """Brokers under one broker name, and the name servers that they register with; clients use the first of these."""

    def __init__(self, broker_name, name_servers, brokers):
        self.broker_name, self.name_servers, self.brokers = broker_name, name_servers, brokers

    @property
    def name_server(self):
        return self.name_servers[0]

    def wait_until_complete(self):
        """Until each living name server routes to a master and to all other members."""
        for broker in self.brokers:
            broker.booted()
        for name_server in self.name_servers:
            if name_server.alive():
                self.wait_until_routed_by(name_server)
        # A slave that has just learned of its master may take its time to connect; until then no send succeeds.
        slaves = sum(broker.settings.get("brokerRole") == "SLAVE" for broker in self.brokers)
        if slaves:
            master = self.master(self.name_server)
            wait_until(f"{slaves} slaves follow {master.name}", lambda: slaves_in_sync(master.address) >= slaves, ROUTE_S)

    def wait_until_routed_by(self, name_server):
        def complete():
            addresses = self.addresses(name_server)
            return 0 in addresses and set(addresses.values()) == {broker.address for broker in self.brokers}
        wait_until(f"{name_server.name} routes to all of {self.broker_name}", complete, ROUTE_S)

    def addresses(self, name_server):
        return broker_addresses(name_server.address, DEFAULT_TOPIC, self.broker_name)

    def master(self, name_server):
        """The broker that the name server shows as id 0, or None."""
        address = self.addresses(name_server).get(0)
        return next((broker for broker in self.brokers if broker.address == address), None)

    def create_topic(self, topic):
        make_topic(self.master(self.name_server).address, self.name_server, topic)


class Servers:
    """The topologies that some scenarios need, with servers of one kind."""

    def __init__(self, kind, folder, needs):
        self.kind, self.folder, self.needs = kind, Path(folder), needs
        self.all_name_servers, self.compared = [], []
        if "admin" in needs:
            self.compared = [self._name_server("ns-tested", kind), self._name_server("ns-reference", "apache")]
        self.single = self._single() if "single" in needs else None
        self.pair = self._pair() if "pair" in needs else None
        self.group = self._group() if "group" in needs else None
        self.topologies = [topology for topology in (self.single, self.pair, self.group) if topology]

    def start(self):
        for name_server in self.all_name_servers:
            name_server.start()
        for name_server in self.all_name_servers:
            name_server.booted()
        for topology in self.topologies:
            for broker in topology.brokers:
                broker.start()

    def stop(self):
        for server in [*(broker for topology in self.topologies for broker in topology.brokers), *self.all_name_servers]:
            if server.process:
                server.kill()

    def _name_server(self, name, kind):
        name_server = NameServer(name, kind, self.folder)
        self.all_name_servers.append(name_server)
        return name_server

    def _single(self):
        name_servers = [self._name_server("ns-single", self.kind), *self.compared]
        return Topology("broker-single", name_servers, [self._broker("single", name_servers, {
            "brokerClusterName": "cluster-single", "brokerName": "broker-single", "brokerId": 0, "brokerRole": "ASYNC_MASTER"})])

    def _pair(self):
        name_servers = [self._name_server("ns-pair", self.kind), *self.compared]
        both = {"brokerClusterName": "cluster-pair", "brokerName": "broker-pair"}
        return Topology("broker-pair", name_servers, [
            self._broker("pair-master", name_servers, {
                **both, "brokerId": 0, "brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 2}),
            self._broker("pair-slave", name_servers, {**both, "brokerId": 1, "brokerRole": "SLAVE"})])

    def _group(self):
        name_servers = [self._name_server("ns-group", self.kind), self._name_server("ns-group-second", self.kind)]
        peers = ";".join(f"n{node}-127.0.0.1:{free_port()}" for node in range(3))
        return Topology("broker-group", name_servers, [self._broker(f"group-n{node}", name_servers, {
            "brokerClusterName": "cluster-group", "brokerName": "broker-group", "enableDLegerCommitLog": "true",
            "dLegerGroup": "broker-group", "dLegerPeers": peers, "dLegerSelfId": f"n{node}"}) for node in range(3)])

    def _broker(self, name, name_servers, settings):
        return Broker(name, self.folder, name_servers, settings, kind=self.kind)


def ferrymq():
    binary = Path(os.environ.get("FERRYMQ_BIN", install.REPOSITORY / "target" / "release" / "ferrymq"))
    if not binary.exists():
        raise Failure(f"there is no {binary}: `cargo build --release`, or set FERRYMQ_BIN")
    return binary
