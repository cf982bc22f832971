"""Several players side by side: who plays what, on which stage, and what came of it."""
import base64
import json
import multiprocessing
import queue
import signal
import time
import traceback

from .netns import Laboratory
from .player import Failed, Player, cuts_of
from .stage import Places, Stage

FIRST_PORT, LAST_PORT = 10000, 60000
CHUNK = 24              # scenarios of one configuration that one player takes at a time


class Wish:
    """What the command line asks for."""

    def __init__(self, **settings):
        self.__dict__.update(settings)


def chunks(scenarios, modes):
    """[(mode, scenarios)]: those of a chunk may share a stage."""
    found = []
    for mode in modes:
        groups = {}
        for scenario in scenarios:
            groups.setdefault(mode.key(scenario), []).append(scenario)
        for group in groups.values():
            found += [(mode, group[at:at + CHUNK]) for at in range(0, len(group), CHUNK)]
    return sorted(found, key=lambda chunk: -len(chunk[1]))


def record_of(transcript, scenario, mode):
    """A connection for the JSON lines file."""
    def text(octets):
        return base64.b64encode(bytes(octets)).decode()
    client, server = transcript.clients_end()
    record = {"scenario": scenario, "mode": mode, "wire": transcript.wire, "client": client, "server": server,
              "began": transcript.began, "ended": transcript.ended, "end": transcript.end,
              "sent": text(transcript.sent), "received": text(transcript.received)}
    if transcript.is_tls:
        record.update(clear_sent=text(transcript.clear_sent), clear_received=text(transcript.clear_received))
    return record


class Troupe:
    """One process: takes chunks, plays them, reports."""

    def __init__(self, wish, lab, ports, results, number):
        self.wish, self.lab, self.ports, self.results = wish, lab, ports, results
        self.places = Places(lab)
        self.stage = None
        self.transcripts = open(wish.out / ("transcripts-%d.jsonl" % number), "w") if wish.transcripts else None

    def play_chunk(self, mode, scenarios):
        for scenario in scenarios:
            reason = scenario.reason_not_to_play(mode, self.wish.patience, self.places.is_loopback)
            if reason:
                self.report(scenario, mode, "not played", reason)
                continue
            for cut in cuts_of(scenario, mode.cuts, self.wish.seed) if mode.cuts not in (None, "octets") else [None]:
                self.play(scenario, mode, cut)
        self.leave_stage()

    def new_stage(self, scenario, mode):
        with self.ports.get_lock():
            port = self.ports.value
            self.ports.value = port + 1 if port < LAST_PORT else FIRST_PORT
        self.stage = Stage(self.lab, self.places, self.wish.binary, port, mode.sections(scenario), scenario.offers(),
                           self.wish.keylog, ":" in scenario.client()[0], "south stalls" in scenario.words())

    def leave_stage(self):
        """None, or what was wrong with the gateway's end."""
        stage, self.stage = self.stage, None
        trouble = stage.stop() if stage else None
        if stage:
            self.keep(stage, "(its end)", "")
        return trouble

    def play(self, scenario, mode, cut):
        began, player, result, reason = time.time(), None, "passed", None
        try:
            if self.stage is None:
                self.new_stage(scenario, mode)
                self.keep(self.stage, "(probes)", mode.name)
            player = Player(self.stage, scenario, mode, cut)
            player.play()
        except Failed as why:
            result, reason = "failed", str(why)
        except Exception:   # the harness itself: that, too, is a failure, and the next scenario gets its chance
            result, reason = "failed", traceback.format_exc()
        stage = self.stage
        if stage:
            stage.drop_legs()
            spoiled = stage.is_spoiled or result == "failed"
            sessions = [[list(client), list(stage.endpoint)] for client in player.sessions] if player else []
            if result == "failed" and player:
                player.transcript += ["    " + line for line in player.log()]
            self.keep(stage, scenario.title, mode.name)
            if spoiled:
                trouble = self.leave_stage()
                if trouble and result == "passed":
                    result, reason = "failed", trouble
        self.report(scenario, mode, result, reason, cut=cut, north=sessions if stage else [], began=began,
                    ini=stage.ini_file.parent.name if stage else None, notes=player.notes if player else [],
                    transcript=player.transcript if player and result == "failed" else None)

    def keep(self, stage, title, mode):
        """Transcripts of connections that are over."""
        if self.transcripts:
            for transcript in stage.transcripts:
                self.transcripts.write(json.dumps(record_of(transcript, title, mode)) + "\n")
            self.transcripts.flush()
        stage.transcripts.clear()

    def report(self, scenario, mode, result, reason, **more):
        self.results.put({"scenario": scenario.title, "file": scenario.file, "line": scenario.line, "mode": mode.name,
                          "result": result, "reason": reason, "ended": time.time(), **more})

    def run(self, tasks):
        while True:
            task = tasks.get()
            if task is None:
                break
            self.play_chunk(*task)
        if self.transcripts:
            self.transcripts.close()


def _job(wish, lab_name, ports, tasks, results, number):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lab = Laboratory(lab_name)
    lab.open()
    try:
        Troupe(wish, lab, ports, results, number).run(tasks)
    except BaseException:
        results.put({"broken": traceback.format_exc()})
    finally:
        lab.down()
        results.put(None)


def play_all(wish, lab, scenarios, modes, tell):
    """All results, each told as it comes. A player that breaks is an error of the whole."""
    fork = multiprocessing.get_context("fork")
    tasks, results, ports = fork.Queue(), fork.Queue(), fork.Value("i", FIRST_PORT)
    tasks.cancel_join_thread()      # a run that is broken off does not wait for somebody to take the rest
    for chunk in chunks(scenarios, modes):
        tasks.put(chunk)
    jobs = []
    for number in range(wish.jobs):
        tasks.put(None)
        jobs.append(fork.Process(target=_job, args=(wish, lab.name, ports, tasks, results, number), daemon=True))
        jobs[-1].start()
    found = []
    for result in _arriving(jobs, results):
        if "broken" in result:
            raise AssertionError(result["broken"])
        found.append(result)
        tell(result)
    for job in jobs:
        job.join()
    return found


def _arriving(jobs, results):
    """Results until all players have ended; one that was killed is an error, not a wait."""
    ended = 0
    while ended < len(jobs):
        try:
            result = results.get(timeout=5)
        except queue.Empty:
            if any(job.exitcode for job in jobs):
                raise AssertionError("a player was killed") from None
            continue
        if result is None:
            ended += 1
        else:
            yield result
