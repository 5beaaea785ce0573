"""The pairs of clips that a swap protocol judges: drawn once, or published.

Version 1: clip a gives the static code and clip b the dynamic codes. The two
differ in at least one static class, and in at least one dynamic class if the
data set has dynamic classes (continuous motion always differs). In
`both_orders` each pair is followed by its reverse. The draw depends on the
labels and the seed only; it is kept in a file.

Published pairs are a csv file with the names of clip A and clip B in columns
`path_A`, `video_path_A` or `filename_A` and the same with B, other columns
aside: vox1_pairs.csv, mug_pairs.csv and celebv_pairs.csv of DiffSDA
(https://github.com/azencot-group/DiffSDA, splits/).
"""

from collections.abc import Sequence
import csv
import dataclasses
import json
import os

import numpy as np

from seqdiff.core import storage
from seqdiff.data import batch as data_batch

VERSION = 1
_COLUMNS = ('path', 'video_path', 'filename')
_TRIES = 100  # Draws per pair before a data set counts as too uniform.


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Indices of the clips: pair i swaps clip a[i] and clip b[i].

  The seed is that of the draw; None: the pairs are published ones.
  """

  a: np.ndarray
  b: np.ndarray
  seed: int | None


def draw(
    dataset: data_batch.Dataset,
    split: str,
    *,
    num_pairs: int,
    seed: int,
    both_orders: bool = False,
) -> Pairs:
  """Draws `num_pairs` pairs from a split, of which half may be reversed.

  Raises:
    ValueError: if pairs that differ in both kinds of factors are not found.
  """
  if num_pairs < 1:
    raise ValueError(
        f'config.eval.num_pairs={num_pairs}; expected at least 1. Ask for '
        'more, or leave swap out of config.eval.protocols.')
  source = dataset.splits[split]
  rng = np.random.default_rng([VERSION, seed])
  classes = {
      kind: [f for f in dataset.factors_of(kind) if f.num_classes is not None]
      for kind in ('static', 'dynamic')}
  labels = {}

  def label(index, kind):
    if index not in labels:
      item = source[index]
      labels[index] = {
          k: tuple(int(item[f.key]) for f in fs) for k, fs in classes.items()}
    return labels[index][kind]

  def differ(a, b):
    return a != b and all(
        not fs or label(a, kind) != label(b, kind)
        for kind, fs in classes.items())

  chosen = []
  for _ in range(num_pairs * _TRIES):
    if len(chosen) >= num_pairs:
      break
    a, b = (int(i) for i in rng.integers(len(source), size=2))
    if differ(a, b):
      chosen += [(a, b), (b, a)] if both_orders else [(a, b)]
  if len(chosen) < num_pairs:
    raise ValueError(
        f'Found {len(chosen)} of {num_pairs} pairs in split {split!r} of '
        f'{dataset.name} ({len(source)} clips) whose clips differ in static '
        'and dynamic classes. Ask for fewer pairs (config.eval.num_pairs) or '
        'use a data set with more variety.')
  a, b = np.array(chosen[:num_pairs], np.int32).T
  return Pairs(a, b, seed)


def load_or_draw(
    path: str | os.PathLike[str],
    dataset: data_batch.Dataset,
    split: str,
    *,
    num_pairs: int,
    seed: int,
    both_orders: bool = False,
) -> Pairs:
  """Reads the pair file, or draws the pairs and the first process writes it.

  Raises:
    ValueError: if the file was made for something else.
  """
  path = storage.locate(path)
  head = {'version': VERSION, 'dataset': dataset.name, 'split': split,
          'num_clips': len(dataset.splits[split]), 'num_pairs': num_pairs,
          'seed': seed}
  if both_orders:
    head['both_orders'] = True
  if path.exists():
    content = json.loads(path.read_text())
    found = {k: v for k, v in content.items() if k != 'pairs'}
    if found != head:
      raise ValueError(
          f'{path} holds pairs for {found}; expected {head}. Use another '
          'workdir, or remove the file to draw new pairs.')
    a, b = np.array(content['pairs'], np.int32).T
    return Pairs(a, b, seed)
  pairs = draw(dataset, split, num_pairs=num_pairs, seed=seed,
               both_orders=both_orders)
  rows = np.stack([pairs.a, pairs.b], axis=1).tolist()
  storage.write(path, json.dumps({**head, 'pairs': rows}) + '\n')
  return pairs


def read(
    path: str | os.PathLike[str],
    dataset: data_batch.Dataset,
    split: str,
    *,
    both_orders: bool = False,
) -> Pairs:
  """Reads published pairs; of each video its first clip is meant.

  In `both_orders` each pair is followed by its reverse here, too.

  Raises:
    ValueError: for a file of another form, a data set whose clips have no
      names, and for names that are not those of clips of the split.
  """
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      rows = list(csv.DictReader(file))
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise ValueError(
        f'config.eval.pairs_file={path} cannot be read ({error}); expected a '
        'csv file in UTF-8. Correct its name, or set None to draw '
        'pairs.') from error
  column = next((c for c in _COLUMNS if rows and {f'{c}_A', f'{c}_B'} <= set(
      rows[0])), None)
  if column is None:
    raise ValueError(
        f'{path} has {len(rows)} rows of columns '
        f'{", ".join(rows[0]) if rows else "unknown"}; expected rows with '
        f'{", ".join(f"{c}_A, {c}_B" for c in _COLUMNS)} (two of them).')
  places = {name.removesuffix('#0'): place
            for place, name in enumerate(dataset.names.get(split, ()))
            if name.endswith('#0')}
  names = [[(row[f'{column}_{side}'] or '').removesuffix('.mp4')
            for row in rows] for side in 'AB']
  unknown = sorted(set(names[0] + names[1]) - places.keys())
  if unknown:
    raise ValueError(
        f'{path} names {len(unknown)} clips, such as '
        f'{", ".join(map(repr, unknown[:3]))}, that are not in split {split!r} '
        f'of {dataset.name}; expected some of its {len(places)} names, such as '
        f'{next(iter(places), None)!r}. Prepare the set with all of them, or '
        'remove such rows.')
  found = np.array([[places[n] for n in side] for side in names], np.int32).T
  if both_orders:
    found = np.stack([found, found[:, ::-1]], axis=1).reshape(-1, 2)
  return Pairs(*found.T, None)


def chance(factors: Sequence[data_batch.Factor]) -> float:
  """Probability that a uniform guess is right about all these classes."""
  return float(np.prod([1.0 / f.num_classes for f in factors]))
