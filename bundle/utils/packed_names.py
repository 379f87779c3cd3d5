"""Sorted names of many files that take a few bytes each, also while they are sorted."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

BLOCK = 256
"""Names that are compressed together."""

RUN = 64 * BLOCK
"""Names that are sorted at once; the sorted runs are merged, with a block of each in memory."""

LEVEL = 1
"""Level of the compression: names of one folder are much alike, so that the fastest will do."""


class PackedNames(Sequence[str]):
    """Names of files, or paths with ``/``, sorted as paths are: folder by folder.

    Args:
        names: the names, in any order.

    Examples:
        >>> list(PackedNames(["b/a", "b-1", "a"]))
        ['a', 'b/a', 'b-1']
    """

    def __init__(self, names: Iterable[str]) -> None:
        keys = map(_key, names)
        runs: list[list[bytes]] = []
        while run := sorted(islice(keys, RUN)):
            runs.append(list(_packed(iter(run))))
        merged = heapq.merge(*map(_unpacked, runs))
        self._blocks = runs[0] if len(runs) == 1 else list(_packed(merged))
        self._size = BLOCK * (len(self._blocks) - 1) + len(_unpack(self._blocks[-1])) if self._blocks else 0
        self._last: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        """Yield the names in their order."""
        return map(_name, _unpacked(self._blocks))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return a name, or a list of them."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        block, place = divmod(index % len(self), BLOCK)
        last, keys = self._last
        if last != block:
            keys = _unpack(self._blocks[block])
            self._last = block, keys
        return _name(keys[place])


def _key(name: str) -> str:
    """Return a name by which paths are in order part by part; no name of a file has the character 0."""
    return name.replace("/", "\0")


def _name(key: str) -> str:
    return key.replace("\0", "/")


def _packed(keys: Iterator[str]) -> Iterator[bytes]:
    while block := list(islice(keys, BLOCK)):
        yield zlib.compress("/".join(block).encode("utf-8", "surrogateescape"), LEVEL)


def _unpack(block: bytes) -> list[str]:
    return zlib.decompress(block).decode("utf-8", "surrogateescape").split("/")


def _unpacked(blocks: Sequence[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from _unpack(block)
