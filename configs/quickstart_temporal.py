"""The quickstart continued with attention over time, and without, beside it.

  python -m seqdiff.main --config=configs/quickstart_temporal.py
  python -m seqdiff.main --config=configs/quickstart_temporal.py:plain \\
      --workdir=runs/quickstart_plain

after configs/quickstart.py was run. All frames of a clip are decoded in a step,
at one noise level. Departure: the paper has no such attention.
"""

import ml_collections

from configs import quickstart
from seqdiff.core import errors


def get_config(variant: str = 'temporal') -> ml_collections.ConfigDict:
  """The config; variant 'temporal' or 'plain'."""
  if variant not in ('temporal', 'plain'):
    raise errors.unknown_name('variant', variant, ('temporal', 'plain'))
  config = quickstart.get_config()
  config.train.start_from = 'runs/quickstart'
  config.train.num_steps = 400
  config.method.frames_per_step = None
  config.method.denoiser.temporal = variant == 'temporal'
  config.method.diffusion.shared_sigma = True
  config.data.batch_size = 8
  config.optim.learning_rate = 5e-4
  config.eval.protocols = ('reconstruction', 'swap')
  return config
