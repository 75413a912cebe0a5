"""A retrieval on its way to a store: computed batch by batch, looked at, and published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.run.progress import progress_of
from xfusion.run.scheduler import lazy_variables

from .cluster import LostWorkersError
from .draft import Draft, discard, job_of_draft
from .fingerprint import changed_inputs, differences
from .lease import Lease, held
from .place import JOB_KEY, ROOT, Place
from .soundness import broken_blocks, changed_files, is_written
from .tasks import Block, blocks_of, part_of
from .workers import workers_of

ROUNDS = 3  # in which blocks are computed that are not there afterwards


@dataclass(frozen=True)
class Filling:
    """What is to be written, and where."""

    place: Place
    dataset: xr.Dataset
    job: Mapping[str, str]
    template: Mapping[str, bytes]
    timeout: float
    progress: bool

    def write(self, lease: Lease, *, resume: bool) -> None:
        """Compute what no former run has, and make a finished store of it."""
        draft = self._draft(lease, resume=resume)
        draft.write(self.template)
        blocks, graph = blocks_of(self.dataset, partial(draft.target, lease=lease))
        # noted, but lost with the power perhaps
        noted = draft.done() & {*range(len(blocks))}
        done = {number for number in noted if self._is_there(blocks[number], draft)}
        for _ in range(ROUNDS):
            # of a shard that is there Zarr keeps what a block does not cover, if it can be read
            draft.drop(s for n, block in enumerate(blocks) if n not in done for s in block.shards)
            self._fill(draft, lease, blocks, graph, done)
            done = {n for n, block in enumerate(blocks) if self._is_there(block, draft)}
            if len(done) == len(blocks):
                break
        else:
            msg = (
                f"{self.place.name}: {len(blocks) - len(done)} blocks that were written are not "
                "there: check the disk, and call to_zarr again"
            )
            raise OSError(msg)
        self._check_inputs(lease)
        draft.publish(lease)

    def mend(self, *, force: bool) -> None:
        """Write again what of a finished store is not what was written."""
        if changed := changed_files(self.place, self.template):
            with held(self.place, force=force) as lease:
                draft = Draft.begun(self.place, self.job)
                draft.write({key: self.template[key] for key in {*changed, ROOT}})
                draft.publish(lease)
        names = [str(name) for name in lazy_variables(self.dataset)]
        broken = broken_blocks(self.place, names, progress=False)
        if broken:
            warn(f"{self.place.name}: {', '.join(broken)} did not read, and are computed again")
            with held(self.place, force=force) as lease:
                draft = Draft.begun(self.place, self.job)
                draft.write(self.template)
                blocks, graph = blocks_of(self.dataset, partial(draft.target, lease=lease))
                sound = {
                    number
                    for number, block in enumerate(blocks)
                    if broken.keys().isdisjoint(shard.key for shard in block.shards)
                }
                self._fill(draft, lease, blocks, graph, sound)
                self._check_inputs(lease)
                draft.publish(lease)

    def _draft(self, lease: Lease, *, resume: bool) -> Draft:
        """Return the draft to go on with, or another one."""
        before: dict[str, str] = {}
        if self.place.has(JOB_KEY):
            try:
                draft, before = job_of_draft(self.place)
            except ValueError:
                if resume:
                    raise
                draft = None
            if resume and draft is not None and before == self.job:
                return draft
            # without pixels there is nothing to be mixed
            if resume and draft is not None and draft.done():
                msg = (
                    f"{self.place.name} holds an unfinished run of another job: "
                    f"{differences(before, self.job)}. Nothing was changed; run that one, choose "
                    "another store, or begin anew with resume=False"
                )
                raise ValueError(msg)
        discard(self.place, lease, before)
        return Draft.begun(self.place, self.job)

    def _is_there(self, block: Block, draft: Draft) -> bool:
        # in the store itself, where the run was killed while it published
        folders = draft.path(""), ""
        return all(is_written(self.place, shard, *folders) for shard in block.shards)

    def _fill(
        self,
        draft: Draft,
        lease: Lease,
        blocks: list[Block],
        graph: Mapping[Any, Any],
        done: set[int],
    ) -> None:
        """Compute the blocks that are not done, batch by batch."""
        left = [number for number in range(len(blocks)) if number not in done]
        if not left:
            return
        workers = workers_of(self.dataset, self.timeout)
        total, before = len(blocks), len(done)
        what = f"writing {self.place.name}"
        with progress_of(total, what, done=before, show=self.progress) as advance:
            try:
                workers.check(lease, advance)
                while left:
                    size = workers.batch()
                    batch = left[:size]
                    workers.run(*part_of(graph, [blocks[number] for number in batch]), advance)
                    lease.check()
                    # only now: what is marked is there
                    draft.note(batch)
                    left = left[size:]
            except LostWorkersError as error:
                msg = (
                    f"{self.place.name}: {error}. {total - len(left)} of {total} blocks are "
                    "written and noted: call to_zarr again, it goes on; timeout= is how many "
                    "seconds workers are waited for"
                )
                raise LostWorkersError(msg) from error

    def _check_inputs(self, lease: Lease) -> None:
        """Refuse a result of inputs that were others at the end than at the beginning."""
        changed = changed_inputs(self.dataset, self.job)
        if changed:
            discard(self.place, lease, self.job if not self.place.has(ROOT) else {})
            msg = (
                f"{self.place.name}: inputs changed while they were read: "
                f"{changed}. Nothing is kept of what was computed: once they are all there, open "
                "them and call to_zarr again"
            )
            raise OSError(msg)
