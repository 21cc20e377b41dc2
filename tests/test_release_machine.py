"""Whatever is edited, promoted, killed, recovered, returned to and cleaned up in whatever order: nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.test_switch import POSIX, Files, Pair, _points

from agent_studio.release import collect, history, manifest, proof, recovery, switch

pytestmark = [pytest.mark.slow, POSIX]
GOOD, BAD = proof.Proof(15, 0, ()), proof.Proof(14, 1, ("a check: it fails",))
_names = st.sampled_from(["agents/a.md", "agents/b.md", "skills/x/SKILL.md", "CLAUDE.md", "hooks/h.sh"])
_files = st.dictionaries(_names, st.tuples(st.sampled_from([b"1", b"2\r\n", b""]), st.booleans()), min_size=1)


class Releases(RuleBasedStateMachine):
    """Production under everything that may happen to it."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.pair = Pair(self.folder)
        (self.folder / "work/.claude/config.yaml").write_text("release:\n  target: ../live\n")
        self.works = True

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prove(self) -> proof.Proof:
        return GOOD if self.works else BAD

    def _promote(self, files: Files) -> None:
        with switch.alone(self.pair.project, "a test"):
            switch.refuse_pending(self.pair.project)
            store = self.pair.store
            live = self.pair.tree.read(store.put).entries
            entries = self.pair.entries(files)
            release = store.put(manifest.render(entries))
            past = history.read(self.pair.project)
            if past.current is not None:
                proof.keep_drift(self.pair.project, manifest.differences(store.manifest(past.current.release), live))
            before = store.put(manifest.render(live))
            record = {"step": history.PROMOTE, "release": release, "candidate": release, "before": before}
            switch.switch(self.pair.project, self.pair.tree, live, entries, record)
            proof.settle(self.pair.project, self.pair.tree, self._prove)

    def _roll_back(self) -> None:
        with switch.alone(self.pair.project, "a test"):
            switch.refuse_pending(self.pair.project)
            back = history.read(self.pair.project).last_healthy
            if back is not None:
                proof.to(self.pair.project, self.pair.tree, back.release, {"step": history.ROLLBACK})
                proof.settle(self.pair.project, self.pair.tree, self._prove)

    def _recover(self) -> None:
        recovery.recover(self.pair.project, {}, (), self._prove)

    @property
    def interrupted(self) -> bool:
        return switch.pending(self.pair.project) is not None

    @rule(files=_files, works=st.booleans())
    @precondition(lambda self: not self.interrupted)
    def promote(self, files: Files, *, works: bool) -> None:
        self.works = works
        self._promote(files)
        self.works = True
        if works:
            assert self.pair.live() == self.pair.entries(files)

    @rule(files=_files, at=st.integers(1, 60))
    @precondition(lambda self: not self.interrupted)
    def promote_and_die(self, files: Files, at: int) -> None:
        _points(at, partial(self._promote, files))

    @rule(at=st.integers(1, 40))
    @precondition(lambda self: not self.interrupted)
    def roll_back_and_die(self, at: int) -> None:
        _points(at, self._roll_back)

    @rule()
    @precondition(lambda self: not self.interrupted)
    def roll_back(self) -> None:
        wanted = history.read(self.pair.project).last_healthy
        self._roll_back()
        if wanted is not None:
            assert self.pair.live() == self.pair.store.manifest(wanted.release)

    @rule()
    def recover(self) -> None:
        self._recover()
        assert not self.interrupted

    @rule(at=st.integers(1, 30))
    def recover_and_die(self, at: int) -> None:
        _points(at, self._recover)

    @rule(data=st.sampled_from([b"by hand", b"again by hand"]))
    @precondition(lambda self: not self.interrupted)
    def edit(self, data: bytes) -> None:
        self.pair.write({"agents/a.md": (data, False)})

    @rule()
    @precondition(lambda self: not self.interrupted)
    def clean_up(self) -> None:
        with switch.alone(self.pair.project, "a test"):
            collect.collect(self.pair.project)

    @invariant()
    def the_history_is_whole_and_every_release_of_it_can_be_read(self) -> None:
        past = history.read(self.pair.project)
        for one in past.releases:
            for entry in self.pair.store.manifest(one.release).values():
                self.pair.store.read(entry.sha256)
        for record in past.records:
            if record["step"] == history.KEPT and record["sha256"]:
                self.pair.store.read(record["sha256"])

    @invariant()
    def production_is_the_release_that_the_history_names_but_for_edits_by_hand(self) -> None:
        current = history.read(self.pair.project).current
        if current is None or self.interrupted:
            return
        known = self.pair.store.manifest(current.release)
        differing = [one.path for one in manifest.differences(known, self.pair.live())]
        assert set(differing) <= {"agents/a.md"}


Releases.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
test_releases = pytest.mark.slow(Releases.TestCase)
