"""DiffSDA on your own series, sized for a CPU.

  python -m seqdiff.data.prepare --dataset=csv --manual_dir=tables \\
      --data_dir=data --columns=heat,load --id=machine
  python -m seqdiff.main --config=configs/diffsda_csv.py

`tables` is a folder of csv files; swaps and reconstructions of test samples are
then in runs/diffsda_csv/figures. It is not tuned, and no score is known: that
depends on your series. Departures from the paper (configs/common/series.py):
smaller networks, a step that decodes 32 rows of each sample, and a larger step
size.
"""

import ml_collections

from configs.common import series


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = series.get_config()
  config.data.update(
      name='csv',
      set='series',  # Its --set, as given to seqdiff.data.prepare.
      window=168,  # Its --window.
      num_frames=168,  # At most its --window.
      batch_size=16,
      eval_batch_size=64,
  )
  config.method.variables = 2  # As many as its --columns.
  config.method.hidden = 96
  config.method.frames_per_step = 32
  config.method.encoder.width = 128
  config.method.denoiser.width = 256
  config.optim.learning_rate = 1e-3
  config.optim.warmup_steps = 100
  config.train.num_steps = 4000
  config.eval.protocols = ('reconstruction', 'imputation')
  return config
