"""Groups of three nodes, ours and Apache's DLedger, from one file of settings."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

from load import ROUTE_S, broker_jvm
from harness import install
from harness.processes import Process, free_port, wait_until
from harness.remoting import broker_addresses
from harness.servers import ferrymq

# `sync` and `async` are ours with SYNC_FLUSH and ASYNC_FLUSH, `apache` is DLedger, which syncs nothing before it acknowledges.
KINDS = ("sync", "async", "apache")
NODES = 3
APACHE_HEAP = "1g"
# Every broker registers it.
DEFAULT_TOPIC = "TBW102"


class Group:
    """Three running nodes with a name server of their own, which is ours for all: it has no part in what is measured."""

    def __init__(self, kind, work: Path):
        self.kind, self.folder, self.nodes, self.addresses = kind, work / kind, [], []
        folder = self.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.name_server = f"127.0.0.1:{free_port()}"
        names = folder / "namesrv.conf"
        names.write_text(f"listenPort={self.name_server.rsplit(':')[-1]}\nbindAddress=127.0.0.1\nkvConfigPath={folder}/kv.json\n")
        self.names = Process(f"names of {kind}", [ferrymq(), "namesrv", "-c", names], folder / "namesrv.log")
        self.names.wait_for_output("boot success", ROUTE_S)
        peers = ";".join(f"n{node}-127.0.0.1:{free_port()}" for node in range(NODES))
        for node in range(NODES):
            self.configure(folder / f"n{node}", f"n{node}", peers)
            self.nodes.append(self.start(node))
        wait_until(f"{kind} has a leader", self.leader, ROUTE_S)

    def configure(self, folder, node, peers):
        folder.mkdir()
        port = free_port()
        self.addresses.append(f"127.0.0.1:{port}")
        (folder / "broker.conf").write_text(
            f"brokerClusterName=bench\nbrokerName=broker-{self.kind}\nflushDiskType={'SYNC' if self.kind == 'sync' else 'ASYNC'}_FLUSH\n"
            f"enableDLegerCommitLog=true\ndLegerGroup=broker-{self.kind}\ndLegerPeers={peers}\ndLegerSelfId={node}\n"
            f"listenPort={port}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\nnamesrvAddr={self.name_server}\n"
            f"storePathRootDir={folder}/store\nstorePathCommitLog={folder}/store/commitlog\nsendMessageThreadPoolNums=16\nenableBatchPush=true\n"
            # The disk of a test machine may be rather full.
            "diskSpaceWarningLevelRatio=99\ncleanFileForciblyEnable=false\n")

    def start(self, node):
        folder = self.folder / f"n{node}"
        command = [ferrymq(), "broker"] if self.kind != "apache" else [
            "java", *broker_jvm(APACHE_HEAP), f"-Drocketmq.home.dir={folder}", f"-Duser.home={folder}", "-cp", install.servers(),
            "org.apache.rocketmq.broker.BrokerStartup"]
        command = [str(word) for word in [*command, "-c", folder / "broker.conf"]]
        with (folder / "output.log").open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def leader(self):
        """The address that the name server has."""
        return broker_addresses(self.name_server, DEFAULT_TOPIC, f"broker-{self.kind}").get(0)

    def restart(self, node):
        self.nodes[node] = self.start(node)

    def kill(self, node):
        if self.nodes[node].poll() is None:
            os.killpg(self.nodes[node].pid, signal.SIGKILL)
            self.nodes[node].wait()

    def stop(self):
        for node in range(NODES):
            self.kill(node)
        self.names.kill()
        shutil.rmtree(self.folder)
