"""The brokers that features are proven on: each profile is one name server and one broker with settings of its own.

The file of settings is the same for Apache's broker and for ours. With `--servers ferrymq-raft` three nodes of ours that elect
their leader stand in the place of the broker, and to restart it means to restart the one that leads. With `ferrymq-pair` and
`ferrymq-java-slave` it is a master of ours that waits for its slave, which is ours or Apache's.
"""

from pathlib import Path

from harness.processes import free_port, wait_until
from harness.remoting import broker_addresses, slaves_in_sync
from harness.servers import ROUTE_S, Broker, NameServer

STOPPED_S = 60
GROUP = "ferrymq-raft"
# Whose slave our master has.
SLAVES = {"ferrymq-pair": "ferrymq", "ferrymq-java-slave": "apache"}
# Levels 1 to 18. The first three differ, so that a scenario can tell them apart; a consumer's retries begin with level 3.
SHORT_LEVELS = " ".join(["1s", "2s", "3s"] + ["1s"] * 15)
SHORT = {
    "messageDelayLevel": SHORT_LEVELS, "enablePropertyFilter": "true", "recallMessageEnable": "true",
    "timerPrecisionMs": 100, "transactionTimeOut": 2_000, "transactionCheckInterval": 1_000, "transactionCheckMax": 10,
    # Decisions are noted that often. A broker that asks back before it has noted a commit would commit twice.
    "transactionOpBatchInterval": 100,
    "traceTopicEnable": "true",
}
# A Go producer registers with a broker that is back by its next heartbeat, within 30 s; until then it is asked in vain.
AROUND = {**SHORT, "transactionCheckMax": 60, "timerMaxDelaySec": 40 * 86_400}
PROFILES = {
    # As it comes out of the box.
    "plain": {},
    # Everything switched on, and all that waits waits for seconds.
    "short": SHORT,
    # Everything that can be refused is refused.
    "strict": {
        "autoCreateTopicEnable": "false", "autoCreateSubscriptionGroup": "false", "rejectTransactionMessage": "true",
        "maxMessageSize": 64 << 10},
    # Small files that expire at once when asked, and no message counts as being in memory: pulls are small.
    "old": {"mappedFileSizeCommitLog": 1 << 20, "fileReservedTime": 0, "cleanResourceInterval": 500,
            "accessMessageInMemoryMaxRatio": 0},
    # Stopped and started again in the middle of its scenarios.
    "restart": AROUND,
    # Killed and started again in the middle of its scenarios.
    "crash": AROUND,
    # Nobody else uses it, so that what mqadmin prints is the same in each run.
    "admin": SHORT,
    "admin-own": SHORT,
}


class Deployment:
    """A running profile."""

    def __init__(self, kind, profile, folder):
        self.kind, self.profile, self.folder = kind, profile, Path(folder)
        self.cluster, self.broker_name = f"cluster-{profile}", f"broker-{profile}"
        self.name_server = NameServer(f"ns-{profile}", kind, folder)
        self.slaves = int(kind in SLAVES)
        settings = {"brokerClusterName": self.cluster, "brokerName": self.broker_name, **PROFILES[profile]}
        if kind == GROUP:
            self.nodes = [Broker(f"{self.broker_name}-n{number}", folder, [self.name_server], {**settings, **node}, kind="ferrymq")
                          for number, node in enumerate(group_settings(self.broker_name))]
        elif kind in SLAVES:
            master = {**settings, "brokerId": 0, "brokerRole": "SYNC_MASTER", "totalReplicas": 2, "inSyncReplicas": 2}
            slave = {**settings, "brokerId": 1, "brokerRole": "SLAVE"}
            self.nodes = [Broker(self.broker_name, folder, [self.name_server], master, kind="ferrymq"),
                          Broker(f"{self.broker_name}-slave", folder, [self.name_server], slave, kind=SLAVES[kind])]
        else:
            self.nodes = [Broker(self.broker_name, folder, [self.name_server],
                                 {**settings, "brokerId": 0, "brokerRole": "ASYNC_MASTER"}, kind=kind)]

    @property
    def broker(self):
        """The one that takes messages, as the name server knows it."""
        if len(self.nodes) == 1:
            return self.nodes[0]
        address = self.leader_address()
        return next((node for node in self.nodes if node.address == address), self.nodes[0])

    def leader_address(self):
        return self._addresses().get(0)

    def _addresses(self):
        # A broker that does not make topics by itself has no default topic; one named after the broker, all have.
        return broker_addresses(self.name_server.address, self.broker_name, self.broker_name)

    def has_leader(self):
        """Whether the name server leads to one that runs."""
        address = self.leader_address()
        return any(node.address == address and node.alive() for node in self.nodes)

    def start(self):
        self.name_server.start()
        self.name_server.booted()
        for node in self.nodes:
            node.start()
        self.wait_until_serving()

    def stop(self):
        for server in (*self.nodes, self.name_server):
            if server.process:
                server.kill()

    def wait_until_serving(self):
        for node in self.nodes:
            node.booted()

        def complete():
            addresses = self._addresses()
            return 0 in addresses and set(addresses.values()) == {node.address for node in self.nodes}
        wait_until(f"{self.name_server.name} routes to {self.broker_name}", complete, ROUTE_S)
        if self.slaves:
            wait_until("the slave follows", lambda: slaves_in_sync(self.broker.address) == self.slaves, ROUTE_S)

    def restart_cleanly(self):
        node = self.broker
        node.process.stop(STOPPED_S)
        self._again(node)

    def restart_after_kill(self):
        node = self.broker
        node.kill()
        self._again(node)

    def _again(self, node):
        node.start()
        self.wait_until_serving()


def group_settings(name):
    """What each node of a group says about it."""
    peers = ";".join(f"n{number}-127.0.0.1:{free_port()}" for number in range(3))
    return [{"enableDLegerCommitLog": "true", "dLegerGroup": name, "dLegerPeers": peers, "dLegerSelfId": f"n{number}"}
            for number in range(3)]
