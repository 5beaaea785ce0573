"""A data set as latents of a frozen first stage: encoded once, then read.

A cache is a folder of one data set:

  of.json                       what it is of: data, with the options they were
                                prepared with, and first stage, and of each
                                split the number of clips and, where they are
                                known, hashes of their names and lengths;
                                written first
  <split>-<number>.npy          latents of the frames of some clips,
                                (N, h, w, c) float16
  <split>-<number>.lengths.npy  frames of each of these clips
  latents.json                  as of.json, with mean and standard deviation of
                                the channels of the train split; written last

Files are written whole or not at all, and those that are there are not written
again: what was stopped goes on. Without `latents.json`, or with another one
than expected, a cache is refused. Older caches know of their clips only how
many they are.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from seqdiff.core import cores
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.data import batch

MANIFEST = 'latents.json'
CLIPS_PER_FILE = 64

Encode = Callable[[types.Array], np.ndarray]  # Frames (N, ...) -> latents.


@dataclasses.dataclass(frozen=True)
class Statistics:
  """Mean and standard deviation of each channel, over the train split."""

  mean: tuple[float, ...]
  std: tuple[float, ...]


def write(
    dataset: batch.Dataset,
    encode: Encode,
    folder: str | os.PathLike[str],
    *,
    of: Mapping[str, Any],
    progress: Callable[[Iterator[int], str], Iterator[int]] = (
        lambda numbers, _: numbers),
) -> Statistics:
  """Encodes all clips of all splits into a cache, or finishes one.

  Args:
    dataset: the clips.
    encode: the first stage.
    folder: the cache.
    of: what identifies data and first stage, as JSON can hold it.
    progress: wraps the numbers of the files of a split, with its name.

  Returns:
    The statistics.

  Raises:
    ValueError: if the folder holds latents of something else, or of other
      clips.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  identity = _claim(folder, {'of': dict(of), **batch.identity(dataset)})
  sums = []
  for split, source in dataset.splits.items():
    for number in progress(range(_num_files(len(source))), split):
      path = _file(folder, split, number)
      if not path.exists():
        _write_file(path, source, encode, number)
      if split == 'train':
        z = np.load(path).astype(np.float64)
        z = z.reshape(-1, z.shape[-1])
        sums.append((len(z), z.sum(axis=0), np.square(z).sum(axis=0)))
  count, total, square = (sum(part) for part in zip(*sums))
  mean = total / count
  found = Statistics(
      tuple(mean), tuple(np.sqrt(np.maximum(square / count - mean**2, 0.0))))
  _write_json(
      folder / MANIFEST, {**identity, 'mean': found.mean, 'std': found.std})
  return found


def read(
    dataset: batch.Dataset,
    folder: str | os.PathLike[str],
    *,
    of: Mapping[str, Any],
    frames: bool = False,
) -> batch.Dataset:
  """The same data set with latents in place of its clips, not normalised.

  Its items hold x only: pictures need not be decoded for their labels.

  Args:
    dataset: the clips.
    folder: the cache.
    of: as in `write`.
    frames: whether items also hold the clip, as `frames`.

  Raises:
    ValueError: if there is no such cache, or it is of something else, or of
      other clips.
  """
  _read_manifest(folder, {'of': dict(of), **batch.identity(dataset)})
  splits = {split: _Latents(source, pathlib.Path(folder), split, frames)
            for split, source in dataset.splits.items()}
  return dataclasses.replace(dataset, splits=splits)


def statistics(
    folder: str | os.PathLike[str], *, of: Mapping[str, Any]
) -> Statistics:
  """The statistics of a cache; its `latents.json` is all that is read.

  Raises:
    ValueError: if there is no such cache, or it is of something else.
  """
  content = _read_manifest(folder, {'of': dict(of)})
  return Statistics(tuple(content['mean']), tuple(content['std']))


def _read_manifest(folder, wanted):
  """`latents.json`, which holds what is wanted, or ValueError."""
  path = pathlib.Path(folder) / MANIFEST
  if not path.is_file():
    raise ValueError(
        f'{folder} holds no finished latents; expected those that `python -m '
        'seqdiff.data.encode_latents` writes. Run it with the same --config '
        '(it goes on where it was stopped).')
  content = json.loads(path.read_text())
  _compare(folder, content, wanted)
  return content


def _compare(folder, found, wanted):
  """Raises ValueError unless a cache is what is wanted, as far as it knows."""
  differ = [k for k in wanted if k in found and found[k] != wanted[k]]
  if differ:
    there, here = ({k: which[k] for k in differ} for which in (found, wanted))
    raise ValueError(
        f'{folder} holds latents of {there}; expected {here}. Encode into '
        'another folder (config.first_stage.cache), or set the config and the '
        'data back.')


class _Latents:
  """Latents of one split."""

  def __init__(self, source, folder, split, frames):
    self._source, self._frames = source, frames
    self._files = [_file(folder, split, number)
                   for number in range(_num_files(len(source)))]
    self._ends = [np.cumsum(np.load(_lengths(path))) for path in self._files]

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    file, place = divmod(index, CLIPS_PER_FILE)
    ends = self._ends[file]
    start = ends[place - 1] if place else 0
    # Opened for one clip: a map that stays keeps a file descriptor.
    values = np.load(self._files[file], mmap_mode='r')
    z = values[start:ends[place]].astype(np.float32)
    if self._frames:
      return {'x': z, 'frames': self._source[index]['x']}
    return {'x': z}


def _claim(folder, identity):
  """Makes the folder that of these latents, or raises ValueError.

  Returns what is known of those that are there: of an older cache it is less.
  """
  path = folder / 'of.json'
  if not path.exists():
    if any(folder.iterdir()):
      raise ValueError(
          f'{folder} is not empty and holds no latents; expected a new folder. '
          'Name another one (config.first_stage.cache).')
    _write_json(path, identity)
  found = json.loads(path.read_text())
  if 'clips' not in found:  # An older cache.
    found = {'of': found}
  _compare(folder, found, identity)
  if (folder / MANIFEST).exists():
    _read_manifest(folder, identity)
  return {'clips': identity['clips'], **found}


def _write_file(path, source, encode, number):
  """Encodes CLIPS_PER_FILE clips; the values are written last."""
  first = number * CLIPS_PER_FILE
  numbers = range(first, min(first + CLIPS_PER_FILE, len(source)))
  with futures.ThreadPoolExecutor(cores.count()) as pool:  # Pictures decode.
    clips = list(pool.map(lambda i: np.asarray(source[i]['x']), numbers))
  values = encode(np.concatenate(clips))
  for target, array in (
      (_lengths(path), np.array([len(clip) for clip in clips])),
      (path, np.asarray(values, np.float16))):
    with storage.writing(target) as file:
      np.save(file, array)


def _write_json(path, content):
  storage.write(path, json.dumps(content, indent=2, sort_keys=True) + '\n')


def _num_files(num_clips: int) -> int:
  return -(-num_clips // CLIPS_PER_FILE)


def _file(folder, split, number) -> pathlib.Path:
  return folder / f'{split}-{number:05d}.npy'


def _lengths(path) -> pathlib.Path:
  return path.with_suffix('.lengths.npy')
