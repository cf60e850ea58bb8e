"""Runs features: many trials in one driver process of each client, against one broker of each profile.

A trial is one feature tried by one client. The runner tells a driver on its stdin, words separated by tabs:

    run FEATURE NAME    begin this trial, in a thread of its own
    resume NAME         the broker is back

and the driver answers on its stdout with lines that begin with "@":

    @ ok NAME DETAIL    it has passed
    @ failed NAME WHY
    @ pause NAME        it waits for the broker's restart

The broker is restarted once all trials that run have come to their pause or to their end.
"""

import contextlib
import os
import subprocess
import time
from typing import NamedTuple

from harness import failovers, install, raw_broker
from harness.admin_prints import compare_prints
from harness.own_admin import compare_own
from harness.processes import POLL_S, Failure, Process
from harness.profiles import PROFILES, Deployment

# Trials at the same time, by client. Most of them wait most of the time.
WIDTH = {"java": 6, "java4": 4, "go": 5, "python": 4}
TRIAL_S = 180
ALL_AT_ONCE = ("restart", "crash")
# These kill the leader themselves, or print what depends on who leads.
KILLED_ANYHOW = ("restart", "crash", "admin")
# Here a trial may delete what another has sent.
ONE_BY_ONE = ("old",)
FEATURE_JVM = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
IN_HARNESS = {"raw": raw_broker.run, "mqadmin": compare_prints, "own": compare_own}


class Trial(NamedTuple):
    feature: object
    client: str
    tries: int = 1
    not_before: float = 0

    @property
    def name(self):
        return self.feature.name if self.tries == 1 else f"{self.feature.name}-again{self.tries}"


def run(kind, trials, folder, is_recording, kill_every_s=None):
    """Rows (scenario, client, servers, seconds, verdict) of all trials against one kind of servers."""
    for profile in PROFILES:
        of_profile = [trial for trial in trials if trial.feature.profile == profile]
        if kill_every_s:
            if profile in KILLED_ANYHOW:
                continue
            of_profile = [trial for trial in of_profile if failovers.is_tried(trial.feature.name, trial.client)]
        if not of_profile:
            continue
        deployment = Deployment(kind, profile, folder / profile)
        started = time.monotonic()
        try:
            deployment.start()
            outside = [trial for trial in of_profile if trial.client not in IN_HARNESS]
            with failovers.Failovers(deployment, kill_every_s) if kill_every_s else contextlib.nullcontext() as killing:
                yield from Round(deployment, outside, folder / profile, killing).results()
            for trial in of_profile:
                if trial.client in IN_HARNESS and not kill_every_s:
                    yield in_harness(deployment, trial, folder / profile, is_recording)
            if killing:
                print(f"{profile}: the leader was killed {killing.kills} times", flush=True)
        except Failure as failure:
            print(failure)
            yield f"start of {profile}", "", kind, time.monotonic() - started, str(failure)
        finally:
            deployment.stop()


def in_harness(deployment, trial, folder, is_recording):
    started = time.monotonic()
    try:
        verdict = IN_HARNESS[trial.client](deployment, trial.feature.name, folder, is_recording)
    except (Failure, OSError) as failure:
        verdict = f"{type(failure).__name__}: {failure}"
    return trial.feature.name, trial.client, deployment.kind, time.monotonic() - started, verdict


class Round:
    """All trials of one profile."""

    def __init__(self, deployment, trials, folder, killing=None):
        self.deployment, self.killing = deployment, killing
        self.waiting = list(trials)
        self.began = {}  # (client, name) → trial and when
        self.paused = set()
        broker = killing.door.address if killing else deployment.broker.address
        self.drivers = {client: FeatureDriver(client, deployment, broker, folder) for client in {trial.client for trial in trials}}

    def results(self):
        try:
            while self.waiting or self.began:
                self._begin_more()
                ended = [(client, *news) for client, driver in self.drivers.items() for news in driver.news()]
                for client, what, name, detail in ended:
                    if (client, name) not in self.began:
                        continue  # given up before
                    if what == "pause":
                        self.paused.add((client, name))
                        continue
                    yield from self._end(client, name, f"ok {detail}" if what == "ok" else f"failed: {detail}")
                yield from self._give_up()
                if self.paused and self.paused == set(self.began) and not self.waiting:
                    self._restart()
                time.sleep(POLL_S)
        finally:
            for driver in self.drivers.values():
                driver.process.kill()

    def _begin_more(self):
        for trial in list(self.waiting):
            is_due = time.monotonic() >= trial.not_before
            if is_due and (self.deployment.profile in ALL_AT_ONCE or self._has_room(trial.client)):
                self.waiting.remove(trial)
                self.began[trial.client, trial.name] = trial, time.monotonic()
                self.drivers[trial.client].tell("run", trial.feature.name, trial.name)

    def _has_room(self, wanted):
        if self.deployment.profile in ONE_BY_ONE:
            return not self.began
        return sum(client == wanted for client, _ in self.began) < WIDTH[wanted]

    def _give_up(self):
        """Trials whose driver has ended, or that take too long."""
        for (client, name), (_, began) in list(self.began.items()):
            driver = self.drivers[client]
            if not driver.process.alive():
                yield from self._end(
                    client, name, f"the driver ended, exit code {driver.process.exit_code()}\n{driver.process.log_tail()}")
            elif time.monotonic() - began > TRIAL_S:
                yield from self._end(client, name, f"failed: no end within {TRIAL_S} s")

    def _end(self, client, name, verdict):
        self.paused.discard((client, name))
        trial, began = self.began.pop((client, name))
        is_over = verdict.startswith("ok") or not self.killing or not self.drivers[client].process.alive()
        if not is_over and failovers.may_try_again(trial.tries, verdict):
            print(f"{name} {client}: again, it {verdict}", flush=True)
            pause_s = failovers.PAUSE_S * trial.tries
            self.waiting.append(trial._replace(tries=trial.tries + 1, not_before=time.monotonic() + pause_s))
        else:
            yield trial.feature.name, client, self.deployment.kind, time.monotonic() - began, verdict

    def _restart(self):
        resumed, self.paused = self.paused, set()
        if self.deployment.profile == "crash":
            self.deployment.restart_after_kill()
        else:
            self.deployment.restart_cleanly()
        for client, name in resumed:
            self.drivers[client].tell("resume", name)


class FeatureDriver:
    def __init__(self, client, deployment, broker, folder):
        command, env = _command(client, folder)
        env["TRIAL_NODES"] = ";".join(node.address for node in deployment.nodes)
        place = [deployment.name_server.address, broker, deployment.cluster, deployment.broker_name]
        self.process = Process(client, [*command, *place], folder / f"{client}.log", env, subprocess.PIPE)
        self.read = 0

    def tell(self, *words):
        try:
            self.process.child.stdin.write(("\t".join(words) + "\n").encode())
            self.process.child.stdin.flush()
        except BrokenPipeError:
            pass  # its end is noticed elsewhere

    def news(self):
        """(what, name, detail) of each line for us since the last time."""
        with self.process.log.open("rb") as log:
            log.seek(self.read)
            fresh = log.read()
        whole = fresh[:fresh.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith("@ "):
                what, name, *detail = line[2:].split(" ", 2)
                yield what, name, detail[0] if detail else ""


def prepare(clients):
    for client in sorted(clients):
        _command(client, install.STATE)


def _command(client, folder):
    """The command of a driver, and the environment that keeps its logs in the folder."""
    home = folder / f"{client}-home"
    if client in install.JAVA_CLIENTS:
        main = "Features5" if client == "java" else "Features"
        return ["java", *FEATURE_JVM, f"-Duser.home={home}", "-cp", install.java_features(client), main], {}
    if client == "go":
        return [install.go_features()], {"ROCKETMQ_GO_LOG_LEVEL": "error"}
    return [install.python_client(), "-X", "utf8", "-u", install.HERE / "python" / "features.py"], {"HOME": os.fspath(home)}
