"""The official Java client as the load of a measurement, and what one asks of the servers under it."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, os.fspath(ROOT / "tests" / "interop"))

from harness import install
from harness.processes import wait_until
from harness.remoting import UPDATE_TOPIC, ask, route

TICKS = os.sysconf("SC_CLK_TCK")
CLIENT_JVM = ["-Xms512m", "-Xmx512m", "-XX:+UseG1GC"]
ROUTE_S = 60


def broker_jvm(heap):
    """The flags of Apache's own runbroker.sh, with another heap."""
    return [
        f"-Xms{heap}", f"-Xmx{heap}", f"-XX:MaxDirectMemorySize={heap}", "-XX:+UseG1GC",
        "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]


def rss_mib(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def cpu_seconds(processes):
    """What they have used together since they were started."""
    stats = [Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split() for process in processes]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS


def create_topic(address, name_server, topic, queues):
    answer = ask(address, UPDATE_TOPIC, {
        "topic": topic, "defaultTopic": "TBW102", "readQueueNums": str(queues), "writeQueueNums": str(queues), "perm": "6",
        "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"})
    if answer.code != 0:
        sys.exit(f"{address} did not create {topic}: {answer}")
    wait_until(f"{topic} is routed", lambda: route(name_server, topic), ROUTE_S)


class Client:
    """The Java client, compiled against its artifacts."""

    def __init__(self, work):
        library = install.jars("client-5.5.0", "5.5.0")
        classes = work / "classes"
        subprocess.run(["javac", "-encoding", "UTF-8", "-d", classes, "-cp", f"{library}/*", ROOT / "tests" / "bench" / "java" / "Load.java"],
                       check=True)
        self.command = ["java", *CLIENT_JVM, f"-Duser.home={work}", "-cp", f"{classes}:{library}/*", "Load"]

    def run(self, servers, name_server, what, *arguments):
        """The numbers that a load prints, the CPU seconds of the servers between its begin and its end, and how many it sent."""
        numbers, used, sent = {}, 0.0, 0
        command = [*self.command, what, name_server, *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            for line in load.stdout:
                if line.startswith("@ begin"):
                    used = cpu_seconds(servers)
                elif line.startswith("@ end"):
                    used = cpu_seconds(servers) - used
                    numbers = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
                elif line.startswith("@ sent"):
                    sent = int(line.split()[2])
        if not numbers or numbers.get("failed"):
            sys.exit(f"the load on {name_server} failed: {numbers}")
        return numbers, used, sent

    def produce(self, servers, name_server, topic, options):
        """The figures of a load that sends, and how many it sent."""
        numbers, used, sent = self.run(
            servers, name_server, "produce", topic, options.threads, options.bytes, options.warm, options.seconds)
        return {
            "messages/s": numbers["per_second"], "messages per CPU-second of the servers": numbers["count"] / used,
            "CPU-seconds per million messages": used / numbers["count"] * 1e6,
            "p50, us": numbers["p50_us"], "p99, us": numbers["p99_us"], "p99.9, us": numbers["p999_us"]}, sent


def report(rounds, reference, path):
    """Prints the median of each figure for each kind, and its ratio to the one of the reference."""
    kinds = list(rounds)
    print(f"{'median of ' + str(len(rounds[reference])):40}" + "".join(f" {kind:>14}" for kind in kinds)
          + "".join(f" {kind + '/' + reference:>22}" for kind in kinds if kind != reference))
    for name in rounds[reference][0]:
        medians = {kind: statistics.median(figures[name] for figures in rounds[kind]) for kind in kinds}
        print(f"{name:40}" + "".join(f" {median:14.1f}" for median in medians.values())
              + "".join(f" {medians[kind] / medians[reference]:22.4f}" for kind in kinds if kind != reference))
    if path:
        path.write_text(json.dumps(rounds, indent=1))
