"""DiffSDA on your own videos at 32x32, sized for a CPU.

  python -m seqdiff.data.prepare --dataset=frames --manual_dir=videos \\
      --data_dir=data --size=32
  python -m seqdiff.main --config=configs/diffsda_frames.py

`videos` is a folder of films or of folders of pictures; swaps of test clips are
then in runs/diffsda_frames/figures. Two films of your choice:

  python -m seqdiff.main --config=configs/diffsda_frames.py --mode=swap \\
      --a=one.mp4 --b=other.mp4

With labels (--pattern or --labels, and --dynamic for what is done) the
protocols can judge it: --config.eval.protocols='("swap","leakage")'. It is not
tuned, and no score is known: that depends on your videos. Departures from the
paper as in configs/quickstart.py.
"""

import ml_collections

from configs import quickstart


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = quickstart.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='frames',
      data_dir='data',  # As given to seqdiff.data.prepare.
      set='videos',  # Its --set.
      size=32,  # Its --size, pixels.
      num_frames=12,  # At most its --num_frames.
      stride=1,  # On top of its --stride.
      batch_size=16,
      eval_batch_size=64,
  ))
  config.method.frames_per_step = 4
  config.method.encoder.channels = 24
  config.method.denoiser.multipliers = (1, 2, 2)

  config.optim.learning_rate = 1.5e-3
  config.train.num_steps = 2000

  # Without labels there is nothing to judge a swap by.
  config.eval.protocols = ('reconstruction',)
  config.eval.num_clips = 128
  return config
