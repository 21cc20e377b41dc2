"""Whatever is edited, promoted, killed, recovered, returned to, backed up, restored and cleaned up: nothing is lost.

Definitions and data of one production, in whatever order things happen to them.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.test_switch import POSIX, Files, Pair, _points

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.environment.schema import KINDS
from agent_studio.release import prune, recovery
from agent_studio.release.backups import backup, pruning, restore, verifying
from agent_studio.release.content import manifest
from agent_studio.release.production import history, proof, switch

pytestmark = POSIX
Data = dict[str, bytes]
_data_names = st.sampled_from(["memory/a.md", "memory/b/c.md", "metrics/hooks.jsonl", "agents/r/hot.jsonl"])
_data = st.sampled_from([b'{"a":1}\n', b'{"b":2}\n{"c":3}\n', b"{}\n"])
_dies = st.one_of(st.just(0), st.integers(1, 60))
"""Before which change of a file the process dies; 0 for never."""
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
        self.live = Project(self.folder / "live")
        for kind in KINDS:
            self.context.root.folder(kind).make()
        self.data = self._tree()
        self.backups: dict[str, Data] = {}
        self.restoring = ""

    @property
    def context(self) -> Context:
        return open_context(self.live, Choice(Environment.PRODUCTION, "a test"), {})

    def _tree(self) -> Data:
        root = self.context.root
        return {
            f"{kind}/{name}": root.folder(kind).read(name) for kind in KINDS for name, _ in root.folder(kind).files()
        }

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
        restore.recover(self.live, Environment.PRODUCTION)

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
        self._settle_data()
        assert not self.restoring

    @rule(at=st.integers(1, 60))
    def recover_and_die(self, at: int) -> None:
        _points(at, self._recover)
        self._settle_data()

    @rule(name=_data_names, data=_data)
    @precondition(lambda self: not self.restoring)
    def work(self, name: str, data: bytes) -> None:
        kind, _, path = name.partition("/")
        self.context.root.folder(kind).make(path.rpartition("/")[0])
        self.context.root.folder(kind).replace(path, data)
        self.data = self._tree()

    @rule(name=_data_names)
    @precondition(lambda self: not self.restoring)
    def forget(self, name: str) -> None:
        (self.folder / "live/.claude" / name).unlink(missing_ok=True)
        self.data = self._tree()

    @rule(at=_dies)
    @precondition(lambda self: not self.restoring)
    def back_up(self, at: int) -> None:
        if at:
            _points(at, partial(backup.create, self.context, "a test"))
        else:
            self.backups[backup.create(self.context, "a test").id] = self.data

    def _chosen(self, data: st.DataObject) -> str:
        there = [own for own in self._listed() if own in self.backups]
        return data.draw(st.sampled_from(there)) if there else ""

    def _listed(self) -> list[str]:
        return [str(one["id"]) for one in backup.listed(self.context.root)]

    @rule(data=st.data(), at=_dies)
    @precondition(lambda self: not self.restoring)
    def restore(self, data: st.DataObject, at: int) -> None:
        own = self._chosen(data)
        if own and at:
            _points(at, partial(restore.restore, self.context, own, lambda _: None))
            if self._is_half():
                self.restoring = own
                return
            assert self._tree() in (self.data, self.backups[own])
            self.data = self._tree()
        elif own:
            self.backups[restore.restore(self.context, own, lambda _: None).before] = self.data
            self.data = self._tree()
            assert self.data == self.backups[own]

    def _is_half(self) -> bool:
        return (self.folder / "live/.agent-studio/production/backups/restore.json").exists()

    def _settle_data(self) -> None:
        """What was decided on is done, or still to be done."""
        if self.restoring and not self._is_half():
            self.data = self._tree()
            assert self.data == self.backups[self.restoring]
            self.restoring = ""

    @rule(keep=st.integers(1, 3), at=_dies)
    @precondition(lambda self: not self.restoring)
    def remove_old_backups(self, keep: int, at: int) -> None:
        before = self._listed()
        remove = partial(pruning.prune, self.context.root, lambda _: None, keep=keep)
        _points(at, remove) if at else remove()
        assert self._listed()[-keep:] == before[-keep:]

    @rule(data=st.sampled_from([b"by hand", b"again by hand"]))
    @precondition(lambda self: not self.interrupted)
    def edit(self, data: bytes) -> None:
        self.pair.write({"agents/a.md": (data, False)})

    @rule(keep=st.integers(1, 3), at=_dies)
    @precondition(lambda self: not self.interrupted)
    def clean_up(self, keep: int, at: int) -> None:
        _points(at, partial(self._clean_up, keep)) if at else self._clean_up(keep)

    def _clean_up(self, keep: int) -> None:
        with mock.patch.object(prune, "_NEW_S", -1):
            prune.prune(self.pair.project, lambda _: None, keep=keep)

    @invariant()
    def the_history_is_whole_and_every_release_that_was_not_removed_can_be_read(self) -> None:
        past = history.read(self.pair.project)
        for one in past.releases:
            if one.release not in past.pruned:
                for entry in self.pair.store.manifest(one.release).values():
                    self.pair.store.read(entry.sha256)
        for sha256 in past.kept:
            self.pair.store.read(sha256)
        assert past.pruned.isdisjoint({one.release for one in past.releases if one.healthy})
        assert past.current is None or past.current.release not in past.pruned

    @invariant()
    def data_are_what_was_worked_or_restored_and_no_switch_touches_them(self) -> None:
        if not self.restoring:
            assert self._tree() == self.data

    @invariant()
    def production_is_the_release_that_the_history_names_but_for_edits_by_hand(self) -> None:
        current = history.read(self.pair.project).current
        if current is None or self.interrupted:
            return
        known = self.pair.store.manifest(current.release)
        differing = [one.path for one in manifest.differences(known, self.pair.live())]
        assert set(differing) <= {"agents/a.md"}

    def teardown(self) -> None:
        """See that every backup that is listed verifies, and is what was backed up."""
        self._recover()
        for own in self._listed():
            assert verifying.verify(self.context.root, own).passed
        shutil.rmtree(self.folder, ignore_errors=True)


Releases.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_releases = Releases.TestCase
