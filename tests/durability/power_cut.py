#!/usr/bin/env python3
"""What is left after a power cut at any moment, and whether that is what was acknowledged before.

    tests/durability/power_cut.py [--cuts N] [--seed N]

recorder.c writes down what a gateway under load does to its files. From that the folder is made as it may be after a cut between any two
entries: what was synced is there; of what was written later each page is there, is not, or is torn at 512 bytes, the file's
length likewise. A gateway is started on it, and all clients come back as they were at that moment (actors.py).

The same log tells whether any acknowledgement was sent before what it stands for was on disk.
"""

import argparse
import bisect
import collections
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from actors import HttpPublisher
from gateway import Gateway, PROGRAM, RecoveryFailed, has_store, need_program, sanitizer_of
from scene import GRACE_S, Scene
from world import KINDS, Struck, Stuck, World

PAGE, SECTOR = 4096, 512
OPEN, WRITE, WRITTEN, SYNC_BEGIN, SYNC_END, TRUNCATE, ALLOCATE, RENAME, UNLINK, SEND = range(1, 11)
HEADER = struct.Struct("=QQIIiIQ")
Entry = collections.namedtuple("Entry", "seconds kind thread file offset extra content")
MARK = re.compile(rb"([a-z0-9]+)\|(\d+)\|")
RECORDER = os.path.join(os.path.dirname(PROGRAM), "tests", "durability", "recorder.so")


def read_log(path):
    """All entries; a last one that is cut short (the process was killed while it wrote it) is left out."""
    with open(path, "rb") as file:
        data = file.read()
    entries, at = [], 0
    while at + HEADER.size <= len(data):
        ns, offset, kind, thread, number, extra, length = HEADER.unpack_from(data, at)
        at += HEADER.size
        if at + length > len(data):
            break
        entries.append(Entry(ns / 1e9, kind, thread, number, offset, extra, data[at:at + length]))
        at += length
    return entries


# ---- the disk


class File:
    """One file: what is certainly on disk, and what was written since."""

    def __init__(self, path):
        self.path = path
        self.exists = False  # certainly
        self.durable = bytearray()
        self.pending = []  # (index, offset, bytes), of a length: (index, size, None)

    def write(self, offset, data):
        if len(self.durable) < offset + len(data):
            self.durable.extend(bytes(offset + len(data) - len(self.durable)))
        self.durable[offset:offset + len(data)] = data

    def resize(self, size, may_shrink):
        if len(self.durable) < size:
            self.durable.extend(bytes(size - len(self.durable)))
        elif may_shrink:
            del self.durable[size:]

    def make_durable(self, before):
        """What was written before entry BEFORE is on disk."""
        late = []
        for index, offset, data in self.pending:
            if index >= before:
                late.append((index, offset, data))
            elif data is None:
                self.resize(offset, True)
            else:
                self.write(offset, data)
        self.pending = late
        self.exists = True

    def after_cut(self, dice):
        """What may be read after a cut now; None: there is no such file."""
        if not self.exists and dice.random() < 0.5:
            return None
        content = File(self.path)
        content.durable = bytearray(self.durable)
        versions = collections.defaultdict(list)  # page -> what was written to it, as (offset, bytes)
        for _, offset, data in self.pending:
            if data is None:
                if dice.random() < 0.5:
                    content.resize(offset, True)
                continue
            at = 0
            while at < len(data):
                part = min(len(data) - at, PAGE - (offset + at) % PAGE)
                versions[(offset + at) // PAGE].append((offset + at, data[at:at + part]))
                at += part
        everything = dice.random()  # a cut that keeps all, or nothing, is worth trying, too
        for writes in versions.values():
            fate = "kept" if everything < 0.1 else "dropped" if everything > 0.9 else dice.choice(("kept", "dropped", "torn"))
            if fate == "dropped":
                continue
            for offset, data in writes if fate == "kept" else writes[:dice.randrange(1, len(writes) + 1)]:
                self.apply(content, offset, data, fate, dice)
        if self.pending and dice.random() < 0.3:
            content.resize(len(content.durable) + PAGE * dice.randrange(1, 4), False)  # a length without what belongs there
        return bytes(content.durable)

    @staticmethod
    def apply(content, offset, data, fate, dice):
        at = 0
        while at < len(data):
            part = min(len(data) - at, SECTOR - (offset + at) % SECTOR)
            if fate == "kept" or dice.random() < 0.5:
                content.write(offset + at, data[at:at + part])
            at += part


class Disk:
    """The folder, as the log goes on."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}  # number -> File
        self.begun = {}  # (thread, file) -> index of the sync that is under way
        self.at = 0

    def advance(self, entries, upto):
        """Entries before UPTO have happened."""
        for index in range(self.at, upto):
            self.happen(index, entries[index])
        self.at = upto

    def happen(self, index, entry):
        if entry.kind == OPEN:
            self.files.setdefault(entry.file, File(entry.content.decode()))
        elif entry.kind == RENAME:
            old, new = entry.content.decode().split("\0")
            for file in self.files.values():
                if file.path == new:
                    file.path = None
            for file in self.files.values():
                if file.path == old:
                    file.path = new
        elif entry.kind == UNLINK:
            for file in self.files.values():
                if file.path == entry.content.decode():
                    file.path = None
        elif entry.file >= 0:
            self.change(index, entry, self.files[entry.file])

    def change(self, index, entry, file):
        if entry.kind == WRITE:
            file.pending.append((index, entry.offset, entry.content))
        elif entry.kind == WRITTEN:
            # the last write of this file at this place is on disk, whatever became of others
            at = max(i for i, one in enumerate(file.pending) if one[1] == entry.offset and one[2] is not None)
            _, offset, data = file.pending.pop(at)
            file.write(offset, data)
            file.exists = True
        elif entry.kind in (TRUNCATE, ALLOCATE):
            size = entry.offset
            if entry.kind == ALLOCATE:
                size = max([size, len(file.durable)] + [offset + len(data) for _, offset, data in file.pending if data is not None])
            file.pending.append((index, size, None))
        elif entry.kind == SYNC_BEGIN:
            self.begun[(entry.thread, entry.file)] = index
        elif entry.kind == SYNC_END and entry.extra == 0:
            file.make_durable(self.begun.pop((entry.thread, entry.file)))

    def rebuild(self, folder, dice):
        """Make FOLDER what may be left after a cut now."""
        shutil.rmtree(folder, ignore_errors=True)
        if any(file.path and os.path.dirname(file.path) == self.folder for file in self.files.values()):
            os.makedirs(folder, mode=0o700)
        for file in self.files.values():
            # locks are no content: LMDB makes its file anew after a restart of the machine
            if not file.path or os.path.isdir(file.path) or file.path.endswith("lock.mdb"):
                continue
            content = file.after_cut(dice)
            if content is not None:
                path = folder + file.path[len(self.folder):]
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                with open(path, "wb") as out:
                    out.write(content)
                os.chmod(path, 0o600)


# ---- a gateway that is recorded


def preload():
    """LD_PRELOAD for PROGRAM: a sanitizer's library has to come first."""
    libraries = [RECORDER]
    if sanitizer_of():
        shared = subprocess.run(["ldd", PROGRAM], stdout=subprocess.PIPE, check=True, text=True).stdout
        libraries = re.findall(r"=> (\S*lib[at]san\S*)", shared) + libraries
    return " ".join(libraries)


def recording_problem():
    """Why nothing can be recorded here, or None."""
    if not os.path.exists(RECORDER):
        return RECORDER + " is not built"
    if sanitizer_of() == "thread":
        return "the thread sanitizer does not let the recorder see its calls"
    return None


class Recording:
    """A load of a second or two, what it did to the disk, and what each client knew when."""

    def __init__(self, seed, load_s=1.5, **scene):
        self.dice = random.Random(seed)
        self.scene_options = dict(wills=False, **scene)
        self.folder = tempfile.mkdtemp(prefix="tidegate-recording-")
        self.store = os.path.join(os.path.realpath(self.folder), "store")
        log = os.path.join(self.folder, "recording")
        gateway = Gateway(store=self.store, limits={"restart_will_grace_s": GRACE_S} if has_store() else {},
                          environment={"LD_PRELOAD": preload(), "RECORDER_LOG": log, "RECORDER_FOLDER": self.store})
        try:
            self.world = World(gateway, random.Random(self.dice.random()), gateway.kill)
            self.world.keep_journal = True
            gateway.start()
            self.shared_maps = self.writable_maps(gateway.process.pid)
            self.scene = Scene(self.world, **self.scene_options)
            try:
                self.scene.prepare()
                self.scene.load()
                self.world.run_for(load_s)
                self.world.strike()
            except Struck:
                pass
        finally:
            gateway.close()
        self.entries = read_log(log)
        self.complaint = gateway_problem(self.entries)
        self.place_acknowledgements()

    def writable_maps(self, pid):
        """Files of the store that are written through memory, which no recorder sees."""
        with open("/proc/%d/maps" % pid) as file:
            return [line.split()[-1] for line in file
                    if self.store in line and line.split()[1][1] == "w" and line.split()[1][3] == "s" and "lock.mdb" not in line]

    def place_acknowledgements(self):
        """Whatever a client was told, it knows from the moment when that was sent."""
        self.sends = collections.defaultdict(list)  # port -> (seconds, index)
        for index, entry in enumerate(self.entries):
            if entry.kind == SEND:
                self.sends[entry.extra].append((entry.seconds, index))
        for actor in self.world.actors:
            actor.journal = sorted(((self.sent(port, when)[0] if port else when, port, name, args)
                                    for when, port, name, args in actor.journal), key=lambda one: one[0])

    def sent(self, port, when):
        """(seconds, index) of the last send to PORT that a client can have read at WHEN."""
        sends = self.sends[port]
        at = bisect.bisect_right(sends, (when, len(self.entries)))
        return sends[at - 1] if at else (when, None)

    def close(self):
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- cuts

    def choose(self, count):
        """Indexes of COUNT entries: before some of all kinds, and right after some acknowledgements."""
        chosen = set()
        changes = [i for i, entry in enumerate(self.entries) if entry.kind != SEND]
        sends = [i for i, entry in enumerate(self.entries) if entry.kind == SEND]
        while len(chosen) < min(count, len(self.entries)):
            chosen.add(self.dice.choice(changes if self.dice.random() < 0.6 else sends) + self.dice.randrange(2))
        return sorted(chosen)

    def cut(self, disk, upto, say):
        """Cut before entry UPTO, and see what is there; returns the problems."""
        disk.advance(self.entries, upto)
        moment = self.entries[upto - 1].seconds if upto else 0.0
        store = os.path.join(self.folder, "cut")
        disk.rebuild(store, self.dice)
        gateway = Gateway(store=store, limits={"restart_will_grace_s": GRACE_S} if has_store() else {})
        world = World(gateway, random.Random(self.dice.random()))
        scene = Scene(world, **self.scene_options)
        for actor, original in zip(world.actors, self.world.actors):
            actor.replay(original.journal, moment)
        world.struck = moment
        promised = sum(op.promised is not None for one in world.publishers.values() for op in one.operations)
        try:
            gateway.start()
            scene.settle()
            scene.finish()
            complaint = gateway.complaint()
            if complaint:
                world.problem("wrong", "%s", complaint)
        except (RecoveryFailed, Stuck, AssertionError, OSError) as error:
            world.problem("wrong", "%s: %s", type(error).__name__, error)
        finally:
            if world.problems and os.environ.get("DURABILITY_KEEP"):
                shutil.copytree(store, "%s/cut-%d" % (os.environ["DURABILITY_KEEP"], upto), dirs_exist_ok=True)
            log = gateway.log()
            world.close()
            gateway.close()
        if world.problems:
            say("cut before entry %d of %d, with %d acknowledged: %d problems" % (upto, len(self.entries), promised, len(world.problems)))
            for kind, text in world.problems[:10]:
                say("  %s: %s" % (kind, text))
            say("  " + "\n  ".join([line for line in log.splitlines() if "store" in line][-5:]))
        return world.counts, promised

    # ---- the order of sync and acknowledgement

    def early_acknowledgements(self):
        """(number of publications looked at, [what was acknowledged before it was on disk])."""
        durable = self.moments_of_durability()
        early, looked_at = [], 0
        # not those of the shared subscription: what its members acknowledge at once need not be written
        for publisher in self.scene.publishers:
            for when, port, name, args in publisher.journal:
                if port is None or name != ("acked" if publisher.qos == 1 or isinstance(publisher, HttpPublisher) else "received"):
                    continue
                number = self.number_of(publisher, when, name, args)
                key = (publisher.stream, number)
                _, sent = self.sent(port, when)
                looked_at += 1
                if key not in durable:
                    early.append("%s was acknowledged and never synced" % (key,))
                elif durable[key] > sent:
                    early.append("%s was acknowledged at entry %d and on disk at entry %d" % (key, sent, durable[key]))
        return looked_at, early

    @staticmethod
    def number_of(publisher, when, name, args):
        if isinstance(publisher, HttpPublisher):
            return args[0]
        field = "acked" if name == "acked" else "received"
        ids = [op.number for op in publisher.operations if op.packet_id == args[0] and getattr(op, field) is not None]
        return ids[0] if len(ids) == 1 else max(ids)

    def moments_of_durability(self):
        """(stream, number) -> index of the entry from which on a store that is cut has it: it was written, synced, and then the root of the tree was written with a write that waits."""
        written = {}  # key -> index of its first write
        syncs, roots = [], []  # (begin, end); index of the end of each write that waits
        begun = {}
        for index, entry in enumerate(self.entries):
            if entry.kind == WRITE:
                for stream, number in set(MARK.findall(entry.content)):
                    written.setdefault((stream.decode(), int(number)), index)
            elif entry.kind == SYNC_BEGIN:
                begun[entry.thread] = index
            elif entry.kind == SYNC_END and entry.extra == 0:
                syncs.append((begun.pop(entry.thread), index))
            elif entry.kind == WRITTEN:
                roots.append(index)
        out = {}
        for key, index in written.items():
            at = bisect.bisect_right(syncs, (index, 0))
            if at < len(syncs):
                root = bisect.bisect_right(roots, syncs[at][1])
                if root < len(roots):
                    out[key] = roots[root]
        return out


def gateway_problem(entries):
    syncs = sum(entry.kind == SYNC_END for entry in entries)
    return None if syncs else "nothing was synced: %d entries" % len(entries)


def run(seed, cuts, say=print, load_s=1.5):
    """True if nothing was wrong."""
    recording = Recording(seed, load_s)
    try:
        kinds = collections.Counter(entry.kind for entry in recording.entries)
        say("recorded %d entries: %d writes (%d of them synchronous), %d syncs, %d sends" % (
            len(recording.entries), kinds[WRITE], kinds[WRITTEN], kinds[SYNC_END], kinds[SEND]))
        if recording.complaint or recording.shared_maps:
            say(recording.complaint or "written through memory: %s" % recording.shared_maps)
            return False
        looked_at, early = recording.early_acknowledgements()
        say("%d acknowledgements looked at, %d sent too early" % (looked_at, len(early)))
        for text in early[:10]:
            say("  " + text)
        total = collections.Counter()
        disk = Disk(recording.store)
        since = time.monotonic()
        chosen = recording.choose(cuts)
        promises = 0
        for number, upto in enumerate(chosen, 1):
            counts, promised = recording.cut(disk, upto, say)
            total += counts
            promises += promised
            if number % 20 == 0 or number == len(chosen):
                say("%d cuts, %.1f s: %s" % (number, time.monotonic() - since, ", ".join("%d %s" % (total[kind], kind) for kind in KINDS)))
        say("%d power cuts, %d acknowledged publications looked for: %s (seed %d)" % (
            len(chosen), promises, ", ".join("%d %s" % (total[kind], kind) for kind in KINDS), seed))
        return looked_at > 0 and not early and not sum(total.values())
    finally:
        recording.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=int(os.environ.get("DURABILITY_CUTS", "200")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DURABILITY_SEED", "0")) or random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    need_program()
    problem = recording_problem()
    if problem:
        print(problem)
        return 77
    print("seed", options.seed, flush=True)
    return 0 if run(options.seed, options.cuts, lambda text: print(text, flush=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
