# ruff: noqa: D102  # methods are those of every store
"""A group of a store as a store of its own, of whatever kind it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, ObjectStore, WrapperStore

from xfusion.run.objects import is_address

from .place import Place

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


def place_in(place: Place, group: str) -> Place:
    """Return the place of a group: a folder or an address where there is one."""
    if isinstance(place.zarr, LocalStore):
        return Place(place.zarr.root / group)
    if type(place.zarr) is ObjectStore and place.address != str(place.zarr):
        assert is_address(place.address)  # noqa: S101  # nothing else makes such a store
        return Place(f"{place.address.rstrip('/')}/{group}")
    return Place(Inside(place.zarr, group))


def is_in_memory(store: Store) -> bool:
    """Whether a store is in the memory of this process, which no other sees."""
    while isinstance(store, Inside):
        store = store._store  # noqa: SLF001  # as all that wrap a store have it
    return isinstance(store, MemoryStore)


class Inside(WrapperStore[Store]):
    """Keys of a store that begin with the name of a group, without that."""

    def __init__(self, store: Store, group: str) -> None:
        super().__init__(store)
        self._group = group

    def __str__(self) -> str:
        return f"{self._store}/{self._group}"

    def __eq__(self, value: object) -> bool:
        return super().__eq__(value) and self._group == value._group  # type: ignore[attr-defined]  # of one type, as the first part saw

    __hash__ = None  # type: ignore[assignment]  # as of what it wraps

    def _key(self, key: str) -> str:
        return f"{self._group}/{key}".rstrip("/")

    def with_read_only(self, read_only: bool = False) -> Inside:  # noqa: FBT001, FBT002  # as zarr has it
        return type(self)(self._store.with_read_only(read_only), self._group)

    async def is_empty(self, prefix: str) -> bool:
        return await self._store.is_empty(self._key(prefix))

    async def clear(self) -> None:
        await self._store.delete_dir(self._group)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return await self._store.get(self._key(key), prototype, byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        ranges = [(self._key(key), part) for key, part in key_ranges]
        return await self._store.get_partial_values(prototype, ranges)

    async def exists(self, key: str) -> bool:
        return await self._store.exists(self._key(key))

    async def set(self, key: str, value: Buffer) -> None:
        await self._store.set(self._key(key), value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        await self._store.set_if_not_exists(self._key(key), value)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        await self._store._set_many([(self._key(key), value) for key, value in values])  # noqa: SLF001  # as all that wrap a store

    async def delete(self, key: str) -> None:
        await self._store.delete(self._key(key))

    async def delete_dir(self, prefix: str) -> None:
        await self._store.delete_dir(self._key(prefix))

    def list(self) -> AsyncIterator[str]:
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        # a group of a longer name is another
        async for key in self._store.list_prefix(f"{self._group}/{prefix}"):
            yield key.removeprefix(f"{self._group}/")

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        return self._store.list_dir(self._key(prefix))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> Any:
        for key, prototype, byte_range in requests:
            yield key, await self.get(key, prototype, byte_range)
