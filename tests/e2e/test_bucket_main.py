"""Runs whose directories are in a bucket: a model, its judges and its prior."""

import json
import os

import pytest

import seqdiff
from seqdiff import explore
from tests import buckets

MODEL, PRIOR = 'gs://bucket/model', 'gs://bucket/prior'
OF_PRIOR = ('--config=configs/prior.py', f'--workdir={PRIOR}',
            f'--config.model.workdir={MODEL}', *(f'--config.{change}' for change
            in ('data.batch_size=8', 'data.eval_batch_size=8',
                'method.layers=3', 'method.expand=2', 'optim.warmup_steps=1',
                'train.num_steps=6', 'sampler.num_steps=5', 'eval.num_shown=2',
                'eval.protocols=()',
                'eval.judge.batch_size=8', 'explore.num_codes=50',
                'explore.num_components=1', 'explore.num_alphas=3',
                'explore.num_labelled=40')))


@pytest.fixture(scope='module')
def bucket(tmp_path_factory, small, command):
  """The folder behind gs://bucket, after all that can be done with a run."""
  home = tmp_path_factory.mktemp('bucket')
  with buckets.fake(home):
    for flags in (
        (*small, f'--workdir={MODEL}', "--config.eval.protocols=('swap',)",
         '--config.eval.judge.workdir=gs://bucket/judges'),
        OF_PRIOR, (*OF_PRIOR, '--mode=explore')):
      assert command(None, *flags).code == 0, flags
    yield home


@pytest.mark.slow
def test_all_files_of_the_runs_are_in_the_bucket(bucket):
  found = {str(path.relative_to(bucket)) for path in bucket.rglob('*')}
  assert found >= {
      'model/config.json', 'model/metrics.jsonl', 'model/pairs.json',
      'model/results/swap.json', 'model/checkpoints/6/commit_success.txt',
      'model/figures/curves.png', 'model/figures/reconstruction.png',
      'model/figures/swap.png', 'model/figures/swap.gif',
      'judges/0/metrics.jsonl', 'judges/results/judge.json',
      'prior/codes.npz', 'prior/directions.npz',
      'prior/figures/generated.png', 'prior/figures/interpolation.gif',
      'prior/figures/explore_static_1.png', 'prior/results/exploration.json'}
  assert not [name for name in found if '.part' in name or '.access' in name]
  rows = (bucket / 'model/metrics.jsonl').read_text().splitlines()
  assert [json.loads(row)['step'] for row in rows] == [2, 4, 6]


@pytest.mark.slow
def test_nothing_is_made_in_a_folder_named_gs(bucket):
  assert not [name for name in os.listdir() if name.startswith('gs:')]


@pytest.mark.slow
def test_runs_in_a_bucket_are_restored(bucket):
  model = seqdiff.load(MODEL)
  assert (model.step, str(model.workdir)) == (6, MODEL)
  before = (bucket / 'prior/directions.npz').stat().st_mtime_ns
  assert explore.load(PRIOR, num_codes=50).model.step == 6
  assert (bucket / 'prior/directions.npz').stat().st_mtime_ns == before


@pytest.fixture
def empty(tmp_path_factory):
  """A bucket with nothing in it."""
  with buckets.fake(tmp_path_factory.mktemp('empty')):
    yield


@pytest.mark.parametrize('config, flag, message', [
    ('quickstart', '--workdir=gs://other/run',
     '--workdir=gs://other/run cannot be used .*gcloud auth'),
    ('quickstart', '--workdir=gs:/bucket/run', 'gs:/bucket/run is no place'),
    ('quickstart', '--config.eval.judge.workdir=gs://other/judges',
     'config.eval.judge.workdir=gs://other/judges cannot be used'),
    ('diffsda_mug', '--config.data.data_dir=gs://bucket/data',
     'data_dir=gs://bucket/data; expected a folder on a local disk')])
def test_what_cannot_work_is_said_before_anything_is_computed(
    empty, cli, tmp_path, config, flag, message):
  ended = cli(
      f'--config=configs/{config}.py', f'--workdir={tmp_path}/run', flag)
  assert ended.code == 2
  assert ended.err.startswith('error: ') and ended.err.count('\n') == 1
  with pytest.raises(ValueError, match=message):
    raise ValueError(ended.err)
  assert not os.listdir(tmp_path)
