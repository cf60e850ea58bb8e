"""The brokers that features are proven on: each profile is one name server and one broker with settings of its own.

The file of settings is the same for Apache's broker and for ours.
"""

from pathlib import Path

from harness.processes import wait_until
from harness.remoting import route
from harness.servers import ROUTE_S, Broker, NameServer

STOPPED_S = 60
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
AROUND = {**SHORT, "transactionCheckMax": 60}
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
}


class Deployment:
    """A running profile."""

    def __init__(self, kind, profile, folder):
        self.kind, self.profile, self.folder = kind, profile, Path(folder)
        self.cluster, self.broker_name = f"cluster-{profile}", f"broker-{profile}"
        self.name_server = NameServer(f"ns-{profile}", kind, folder)
        self.broker = Broker(self.broker_name, folder, [self.name_server], {
            "brokerClusterName": self.cluster, "brokerName": self.broker_name, "brokerId": 0, "brokerRole": "ASYNC_MASTER",
            **PROFILES[profile]}, kind=kind)

    def start(self):
        self.name_server.start()
        self.name_server.booted()
        self.broker.start()
        self.wait_until_serving()

    def stop(self):
        for server in (self.broker, self.name_server):
            if server.process:
                server.kill()

    def wait_until_serving(self):
        self.broker.booted()
        # A broker that does not make topics by itself has no default topic; one named after the broker, all have.
        wait_until(f"{self.name_server.name} routes to {self.broker_name}",
                   lambda: route(self.name_server.address, self.broker_name), ROUTE_S)

    def restart_cleanly(self):
        self.broker.process.stop(STOPPED_S)
        self._again()

    def restart_after_kill(self):
        self.broker.kill()
        self._again()

    def _again(self):
        self.broker.start()
        self.wait_until_serving()
