"""A retrieval on its way to a store: computed batch by batch, looked at, and published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.run.progress import progress_of
from xfusion.run.scheduler import lazy_variables

from .batches import Batches
from .block_files import is_sound, is_written
from .cluster import LostWorkersError
from .draft import (
    AFTER,
    Draft,
    addition_after,
    delete_behind,
    discard,
    discard_drafts,
    job_of_draft,
)
from .fingerprint import changed_inputs, differences
from .lease import Lease, held
from .links import refuse_links, refuse_links_on_the_way
from .metadata import changed_arrays, changed_files
from .place import JOB_KEY, ROOT, STATE, Place
from .soundness import broken_blocks
from .span import Span
from .tasks import Block, blocks_of
from .workers import workers_of

ROUNDS = 3  # in which blocks are computed that are not there afterwards


def done_blocks(draft: Draft, blocks: Sequence[Block]) -> set[int]:
    """Return the numbers of the blocks that need not be computed again.

    What was noted may have been lost with the power, or damaged since.
    """
    return {
        number
        for number in draft.done() & {*range(len(blocks))}
        if all(is_sound(draft.place, file, *draft.keys(file)) for file in blocks[number].files)
    }


@dataclass(frozen=True)
class Filling:
    """What is to be written, and where."""

    place: Place
    dataset: xr.Dataset
    job: Mapping[str, str]
    template: Mapping[str, bytes]
    timeout: float
    progress: bool
    span: Span | None = None
    """Which of the dates of a store these are, where others have been or are to be added."""

    def write(self, lease: Lease, *, resume: bool) -> None:
        """Compute what no former run has, and make a finished store of it."""
        draft = self._draft(lease, resume=resume)
        self._compute(draft, lease)
        draft.publish(lease)

    def add(self, lease: Lease, files: Mapping[str, bytes], *, resume: bool) -> None:
        """Compute what no former run has, and add it to a finished store.

        Parameters
        ----------
        lease : Lease
        files : mapping
            What makes it part of the store, in that order; see
            :func:`~xfusion.store.growth.grown_files`.
        resume : bool
            As of :func:`~xfusion.to_zarr`.
        """
        names = [str(name) for name in lazy_variables(self.dataset)]
        refuse_links_on_the_way(self.place, [*files, *(f"{name}/c/0" for name in names)])
        draft = self.former_addition(resume=resume)
        if draft is None:
            discard_drafts(self.place, lease)
            if self.span is not None:
                delete_behind(self.place, self.span, names)
            draft = Draft.begun(self.place, self._job_of_addition(), self.span)
        computed = [file for block in self._compute(draft, lease) for file in block.files]
        written = {*self.place.listed(draft.path(""))}
        keys = [file.key for file in computed if draft.path(file.key) in written]
        refuse_links_on_the_way(self.place, map(draft.published, keys))
        draft.publish_blocks(keys, lease)
        draft.switch(files, lease)

    def former_addition(self, *, resume: bool) -> Draft | None:
        """Return the draft to go on with, of the same dates after the same others; None if none.

        Raises
        ------
        ValueError
            If other dates were begun to be added, and some are done, unless they are discarded.
        """
        refuse_links(self.place, STATE)
        before = self.place.json(JOB_KEY) or {}
        job = self._job_of_addition()
        # what was begun after other dates has ended, as it is there, or can no longer be added
        if before.get(AFTER) != job[AFTER]:
            return None
        return replace(self, job=job).former(resume=resume)[0]

    def _job_of_addition(self) -> dict[str, str]:
        return {**self.job, AFTER: addition_after(self.place)}

    def _compute(self, draft: Draft, lease: Lease) -> list[Block]:
        """Compute into a draft what is not there; return all blocks."""
        draft.write(self.template)
        blocks, graph = blocks_of(self.dataset, partial(draft.target, lease=lease))

        def is_there(block: Block) -> bool:
            return all(is_written(self.place, file, *draft.keys(file)) for file in block.files)

        done = done_blocks(draft, blocks)
        self._complete(draft, lease, (blocks, graph), done, is_there)
        return blocks

    def mend(self, check: Callable[[], None], *, force: bool) -> None:
        """Write again what of a finished store is not what was written.

        Parameters
        ----------
        check : callable
            Raises where the store is no longer the result of this job.
        force : bool
            As of :func:`~xfusion.to_zarr`.
        """
        if not (self._changed() or self._broken()):
            return
        refuse_links(self.place)
        with held(self.place, force=force) as lease:
            # meanwhile it may have become another store, or have been mended
            check()
            if changed := self._changed():
                warn(f"{self.place.name}: {', '.join(changed)} changed, and are written again")
                for key, content in changed.items():
                    lease.check()
                    self.place.write(key, content)
            broken = self._broken()
            if not broken:
                return
            warn(f"{self.place.name}: {', '.join(broken)} did not read, and are computed again")
            draft = Draft.begun(self.place, self.job, self.span)
            draft.write(self.template)
            blocks, graph = blocks_of(self.dataset, partial(draft.target, lease=lease))
            sound = {
                number
                for number, block in enumerate(blocks)
                if broken.keys().isdisjoint(draft.published(f.key) for f in block.files)
            }
            again = {f for n, block in enumerate(blocks) if n not in sound for f in block.files}

            def is_there(block: Block) -> bool:
                return again.isdisjoint(block.files) or all(
                    is_written(self.place, file, draft.path(file.key)) for file in block.files
                )

            self._complete(draft, lease, (blocks, graph), sound, is_there)
            draft.publish_blocks([file.key for file in again], lease)

    def _changed(self) -> dict[str, bytes]:
        if self.span is None:
            return changed_files(self.place, self.template)
        # of the whole store nobody has a template
        return changed_arrays(self.place)

    def _broken(self) -> dict[str, str]:
        names = [str(name) for name in lazy_variables(self.dataset)]
        return broken_blocks(self.place, names, span=self.span, progress=False)

    def _complete(
        self,
        draft: Draft,
        lease: Lease,
        work: tuple[list[Block], dict[Any, Any]],
        done: set[int],
        is_there: Callable[[Block], bool],
    ) -> None:
        """Compute blocks until all are there, and the inputs are those that they were."""
        blocks, graph = work
        for _ in range(ROUNDS):
            # of a block that is there Zarr keeps what a block does not cover, if it can be read
            draft.drop(f for n, block in enumerate(blocks) if n not in done for f in block.files)
            self._fill(draft, lease, blocks, graph, done)
            done = {n for n, block in enumerate(blocks) if is_there(block)}
            if len(done) == len(blocks):
                break
        else:
            msg = (
                f"{self.place.name}: {len(blocks) - len(done)} blocks that were written are not "
                "there: check the disk, and call to_zarr again"
            )
            raise OSError(msg)
        self._check_inputs(draft, lease)

    def former(self, *, resume: bool) -> tuple[Draft | None, dict[str, str]]:
        """Return the draft to go on with, None if there is none, and the job that was begun before.

        Raises
        ------
        ValueError
            If that is another one, some of which is done, or not known, unless it is discarded.
        """
        if not self.place.has(JOB_KEY):
            return None, {}
        try:
            draft, before = job_of_draft(self.place)
        except ValueError:
            if resume:
                raise
            return None, {}
        if not resume or draft is None:
            return None, before
        if before == self.job:
            return replace(draft, is_resumed=True, span=self.span), before
        # without pixels there is nothing to be mixed
        if draft.done():
            msg = (
                f"{self.place.name} holds an unfinished run of another job: "
                f"{differences(before, self.job)}. Nothing was changed; run that one, choose "
                "another store, or begin anew with resume=False"
            )
            raise ValueError(msg)
        return None, before

    def _draft(self, lease: Lease, *, resume: bool) -> Draft:
        """Return the draft to go on with, or another one."""
        draft, before = self.former(resume=resume)
        if draft is not None:
            return draft
        discard(self.place, lease, before)
        lease.check()
        return Draft.begun(self.place, self.job)

    def _fill(
        self,
        draft: Draft,
        lease: Lease,
        blocks: list[Block],
        graph: dict[Any, Any],
        done: set[int],
    ) -> None:
        """Compute the blocks that are not done, batch by batch."""
        left = [number for number in range(len(blocks)) if number not in done]
        if not left:
            return
        workers = workers_of(self.dataset, self.timeout)
        batches = Batches(blocks, left, graph, workers)
        total, before = len(blocks), len(done)
        what = f"writing {self.place.name}"
        with progress_of(total, what, done=before, show=self.progress) as advance:
            try:
                workers.check(lease, advance)
                while left:
                    size = workers.batch()
                    batch = left[:size]
                    batches.run(batch, advance)
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

    def _check_inputs(self, draft: Draft, lease: Lease) -> None:
        """Refuse a result of inputs that were others at the end than at the beginning."""
        changed = changed_inputs(self.dataset, self.job)
        if changed:
            self._forget(draft, lease)
            msg = (
                f"{self.place.name}: inputs changed while they were read: "
                f"{changed}. Nothing is kept of what was computed: once they are all there, open "
                "them and call to_zarr again"
            )
            raise OSError(msg)

    def _forget(self, draft: Draft, lease: Lease) -> None:
        """Delete what was computed; of a finished store, which is mended, not what it holds."""
        if not self.place.has(ROOT):
            discard(self.place, lease, self.job)
            return
        lease.check()
        self.place.delete_folder(draft.folder)
