"""Tests of `data.latents`."""

import dataclasses
import json
import os
import resource

import numpy as np
import pytest

from seqdiff.data import batch
from seqdiff.data import latents
from seqdiff.data import loader

OF = {'data': 'toy', 'step': 3}


def _dataset(num_train=70, num_test=2):
  """Clips of 1 to 4 frames; x is the clip's number and the frame's."""

  def item(i):
    x = np.zeros((1 + i % 4, 2, 2, 1), np.uint8)
    x[:, 0, 0, 0], x[:, 1, 1, 0] = i, np.arange(len(x))
    return {'x': x, 'labels/who': np.int32(i % 3)}

  return batch.Dataset('toy', {
      'train': [item(i) for i in range(num_train)],
      'test': [item(i) for i in range(num_test)]})


def _encode(frames):
  """Two channels: the sum of a frame, and minus its last pixel."""
  assert frames.ndim == 4 and frames.dtype == np.uint8
  total = frames.astype(np.float32).sum(axis=(1, 2, 3))
  return np.stack([total, -frames[:, 1, 1, 0].astype(np.float32)], -1)[
      :, None, None]


def test_clips_of_different_length_become_their_own_latents(tmp_path):
  dataset = _dataset()
  latents.write(dataset, _encode, tmp_path / 'c', of=OF)
  cached = latents.read(dataset, tmp_path / 'c', of=OF)
  for split, source in dataset.splits.items():
    assert len(cached.splits[split]) == len(source)
    for i, item in enumerate(source):
      found = cached.splits[split][i]
      np.testing.assert_array_equal(found['x'], _encode(item['x']))
      assert found['x'].dtype == np.float32
      assert found.keys() == {'x'}


def test_statistics_are_of_the_train_split(tmp_path):
  dataset = _dataset(num_test=1)
  dataset.splits['test'][0]['x'][:] = 200
  found = latents.write(dataset, _encode, tmp_path, of=OF)
  values = np.concatenate([
      _encode(item['x']) for item in dataset.splits['train']]).reshape(-1, 2)
  np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(found.std, values.std(axis=0), rtol=1e-5)
  assert latents.statistics(tmp_path, of=OF) == found


def test_frames_are_cut_with_their_latents(tmp_path):
  dataset = _dataset()
  latents.write(dataset, _encode, tmp_path, of=OF)
  cached = latents.read(dataset, tmp_path, of=OF, frames=True)
  cut = next(loader.eval_batches(
      cached.splits['train'], batch_size=1, num_frames=2, start=1,
      indices=[3]))
  np.testing.assert_array_equal(cut['x'][0], _encode(cut['frames'][0]))
  np.testing.assert_array_equal(cut['frames'][0, :, 1, 1, 0], [1, 2])


def test_more_files_are_read_than_may_be_open(tmp_path, monkeypatch):
  monkeypatch.setattr(latents, 'CLIPS_PER_FILE', 1)
  dataset = _dataset(num_train=40)
  latents.write(dataset, _encode, tmp_path, of=OF)
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  highest = max(map(int, os.listdir('/proc/self/fd')))
  resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
  try:
    cached = latents.read(dataset, tmp_path, of=OF).splits['train']
    found = [cached[i]['x'] for i in range(40)]
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  for x, item in zip(found, dataset.splits['train']):
    np.testing.assert_array_equal(x, _encode(item['x']))


def test_what_was_stopped_goes_on_where_it_was(tmp_path):
  dataset, seen = _dataset(), []

  def stops(frames):
    seen.append(len(frames))
    if len(seen) == 2:
      raise KeyboardInterrupt
    return _encode(frames)

  with pytest.raises(KeyboardInterrupt):
    latents.write(dataset, stops, tmp_path, of=OF)
  assert not list(tmp_path.glob('*.tmp'))
  with pytest.raises(ValueError, match='no finished latents.*encode_latents'):
    latents.read(dataset, tmp_path, of=OF)
  latents.write(dataset, stops, tmp_path, of=OF)
  # 64 clips; 6 that were stopped and again; 2 of the test split.
  assert len(seen) == 4 and seen[1] == seen[2] != seen[0]
  cached = latents.read(dataset, tmp_path, of=OF)
  np.testing.assert_array_equal(
      cached.splits['train'][69]['x'],
      _encode(dataset.splits['train'][69]['x']))


def test_latents_of_something_else_are_refused(tmp_path):
  dataset, other = _dataset(), {**OF, 'step': 4}
  latents.write(dataset, _encode, tmp_path, of=OF)
  for call in (lambda: latents.read(dataset, tmp_path, of=other),
               lambda: latents.write(dataset, _encode, tmp_path, of=other),
               lambda: latents.read(_dataset(71), tmp_path, of=OF)):
    with pytest.raises(ValueError, match='holds latents of .*expected'):
      call()


def _named(dataset, **changes):
  """The data set with names and lengths of its clips, some of them changed."""
  splits = dataset.splits
  return dataclasses.replace(dataset, **{
      'names': {s: [f'{s}/{i}' for i in range(len(splits[s]))] for s in splits},
      'lengths': {s: [len(item['x']) for item in splits[s]] for s in splits},
      'options': {'size': 8, 'crop': 'face'}, **changes})


OTHERS = {
    'options': (_named(_dataset(), options={'size': 8, 'crop': 'center'}),
                "{'options': {'crop': 'face'.*expected .*center"),
    'number': (_named(_dataset(71)), "clips': .*'train': 70.*expected .*71"),
    'names': (_named(_dataset(), names={
        'train': [f'train/{i}' for i in reversed(range(70))],
        'test': ['test/0', 'test/1']}), "{'hashes of names': .*expected"),
    'lengths': (_named(_dataset(), lengths={
        'train': [4] * 70,
        'test': [1, 2]}), "{'hashes of lengths': .*expected"),
}


@pytest.mark.parametrize('stopped', [False, True])
@pytest.mark.parametrize('other, message', OTHERS.values(), ids=OTHERS)
def test_latents_of_other_clips_are_refused(tmp_path, stopped, other, message):
  dataset = _named(_dataset())
  latents.write(dataset, _encode, tmp_path, of=OF)
  if stopped:
    (tmp_path / latents.MANIFEST).unlink()
  else:
    latents.read(dataset, tmp_path, of=OF)
    with pytest.raises(ValueError, match=f'{message}.*another folder'):
      latents.read(other, tmp_path, of=OF)
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
  with pytest.raises(ValueError, match=f'{message}.*another folder'):
    latents.write(other, _encode, tmp_path, of=OF)
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_an_older_cache_knows_only_how_many_clips_it_has(tmp_path):
  dataset = _dataset()
  latents.write(dataset, _encode, tmp_path, of=OF)
  (tmp_path / 'of.json').write_text(json.dumps(OF))
  latents.read(_named(dataset), tmp_path, of=OF)
  for call in (
      lambda: latents.read(_dataset(71), tmp_path, of=OF),
      lambda: latents.write(_dataset(71), _encode, tmp_path, of=OF)):
    with pytest.raises(ValueError, match="clips': .*70.*expected .*71"):
      call()
  latents.write(_named(dataset), _encode, tmp_path, of=OF)
  content = json.loads((tmp_path / latents.MANIFEST).read_text())
  assert content.keys() == {'of', 'clips', 'mean', 'std'}


def test_folder_of_other_things_is_left_alone(tmp_path):
  (tmp_path / 'thesis.txt').write_text('all of it')
  with pytest.raises(ValueError, match='is not empty and holds no latents'):
    latents.write(_dataset(), _encode, tmp_path, of=OF)
  assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']


def test_manifest_says_what_is_there(tmp_path):
  latents.write(_dataset(), _encode, tmp_path, of=OF)
  content = json.loads((tmp_path / latents.MANIFEST).read_text())
  assert content['of'] == OF
  assert content['clips'] == {'train': 70, 'test': 2}
