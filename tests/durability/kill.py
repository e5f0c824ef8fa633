#!/usr/bin/env python3
"""kill -9 at random moments under load, again and again on the same store, with a record of what was acknowledged.

    tests/durability/kill.py [--rounds N] [--seed N] [--program FILE]

prints a line for each round and a total; exits 1 if anything acknowledged is lost, anything of QoS 2 came twice, or what was gone is back.
With --strike cut the connections are cut and the gateway goes on: it must find nothing wrong then, whatever the store.
"""

import argparse
import os
import random
import sys
import time

from gateway import Gateway, RecoveryFailed, has_store, need_program
from scene import GRACE_S, Scene
from world import KINDS, Struck, Stuck, World


class Rounds:
    def __init__(self, seed, strike="kill", program=None, load_s=1.0, say=print):
        self.seed = seed
        self.dice = random.Random(seed)
        self.strike = strike
        self.load_s = load_s
        self.say = say
        grace = GRACE_S if strike == "kill" else 0
        self.gateway = Gateway(program=program, limits={"restart_will_grace_s": GRACE_S} if has_store() else {})
        self.world = World(self.gateway, random.Random(self.dice.random()), self.on_strike)
        self.gateway.start()
        self.scene = Scene(self.world, grace=grace)
        self.kills = 0
        self.shown = 0
        self.ready_s = []

    def on_strike(self):
        self.kills += 1
        if self.strike == "kill":
            self.gateway.kill()
        else:
            for link in list(self.world.links):
                link.drop()
                link.actor.on_lost(link)
        self.world.struck = time.monotonic()
        self.scene.wills.on_killed()

    def restart(self):
        if self.strike == "kill":
            self.gateway.start()
            self.ready_s.append(self.gateway.ready_s)

    def run(self, rounds):
        """True if nothing was wrong."""
        try:
            self.scene.prepare()
            for number in range(1, rounds + 1):
                self.round(number)
            self.scene.finish()
        except (RecoveryFailed, Stuck, AssertionError, OSError) as error:
            self.world.problem("wrong", "%s: %s", type(error).__name__, error)
            self.say("\n".join([line for line in self.gateway.log().splitlines() if " client " not in line][-40:]))
        self.show_problems()
        return not self.world.problems

    def round(self, number):
        before = self.promises()
        since = time.monotonic()
        try:
            self.scene.load()
            self.world.strike_at(time.monotonic() + 0.05 + self.dice.random() * self.load_s)
            self.world.run_for(self.load_s / 3)
            self.scene.leave_some()
            self.world.run_for(60)
        except Struck:
            pass
        strikes = 1
        while True:
            self.restart()
            if strikes < 3 and self.dice.random() < 0.3:
                # again, while everybody comes back
                self.world.strike_at(time.monotonic() + self.dice.random() * 0.6)
            try:
                self.scene.settle()
                self.world.strike_at(None)
                break
            except Struck:
                strikes += 1
        promised = self.promises() - before
        counts = self.world.counts
        self.say("round %d: %d kills, %d acknowledged, ready in %.3f s, %.1f s; so far %s" % (
            number, strikes, promised, self.ready_s[-1] if self.ready_s else 0, time.monotonic() - since,
            ", ".join("%d %s" % (counts[kind], kind) for kind in KINDS)))
        self.show_problems()
        complaint = self.gateway.complaint()
        if complaint:
            self.world.problem("wrong", "%s", complaint)

    def promises(self):
        return sum(op.promised is not None for one in self.world.publishers.values() for op in one.operations)

    def show_problems(self, most=100):
        new = self.world.problems[self.shown:]
        for kind, text in new[:most]:
            self.say("  %s: %s" % (kind, text))
        if len(new) > most:
            self.say("  ... and %d more" % (len(new) - most))
        self.shown = len(self.world.problems)

    def total(self):
        counts = self.world.counts
        repeats = sum(one.repeats for one in self.scene.receivers + [self.scene.absent])
        return "%d kills, %d publications acknowledged: %s; %d redeliveries with DUP (seed %d)" % (
            self.kills, self.promises(), ", ".join("%d %s" % (counts[kind], kind) for kind in KINDS), repeats, self.seed)

    def close(self):
        self.world.close()
        self.gateway.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("DURABILITY_ROUNDS", "100")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DURABILITY_SEED", "0")) or random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--program")
    parser.add_argument("--strike", choices=("kill", "cut"), default="kill")
    options = parser.parse_args()
    if not options.program:
        need_program()
    print("seed", options.seed, flush=True)
    rounds = Rounds(options.seed, options.strike, options.program, say=lambda text: print(text, flush=True))
    try:
        good = rounds.run(options.rounds)
    finally:
        rounds.close()
    print(rounds.total())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
