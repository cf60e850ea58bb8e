"""The features that the Python client proves, which is a thin layer over the C++ client.

    features.py NAME-SERVERS BROKER CLUSTER BROKER-NAME

Told on stdin which trials to run, it answers on stdout: harness/trials.py has the words of both.
"""

import sys
import threading
import traceback

from trial import Place, Trial, say

import consuming
import sending

FEATURES = {**sending.FEATURES, **consuming.FEATURES}


def main(place):
    paused = {}
    for line in sys.stdin:
        word, *names = line.rstrip("\n").split("\t")
        name = names[-1]
        if word == "resume":
            paused.pop(name).set()
        else:
            paused[name] = threading.Event()
            arguments = Trial(place, name, paused[name]), FEATURES[names[0]]
            threading.Thread(target=run, args=arguments, daemon=True).start()


def run(trial, prove):
    try:
        prove(trial)
        say(f"ok {trial.name} {', '.join(trial.notes)}")
    except BaseException as problem:
        traceback.print_exc()
        say(f"failed {trial.name} {problem!r}")
    trial.close()


if __name__ == "__main__":
    main(Place(*sys.argv[1:]))
