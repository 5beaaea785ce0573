"""The latent prior of DiffSDA, of any trained model.

  python -m seqdiff.main --config=configs/prior.py \\
      --config.model.workdir=runs/quickstart --workdir=runs/prior
  python -m seqdiff.main --config=configs/prior.py --mode=generate \\
      --config.model.workdir=runs/quickstart --workdir=runs/prior

and the same with --mode=explore.

Source: arXiv:2510.05717, Table 8, and released code. Training ends with figures
of new clips, and of clips of which one kind of code is kept and the other is
sampled; then with the protocols, for labelled video
--config.eval.protocols='("generation",)', for series "discrimination".
`:independent` has a network for each kind of code (App. G.1).

The priors of the paper are the rows `:mug`, `:taichi`, `:voxceleb` and
`:celebv_hq`, and `:mug_independent` and so on, each for the run of its model
and for the published number of epochs. None of them has been run.
"""

import ml_collections

from configs.common import video
from seqdiff.core import errors

# Epochs and training clips, as in the configs of the models; an epoch of TaiChi
# is 150 passes there.
_PUBLISHED = {'mug': 500 * 2572, 'taichi': 500 * 150 * 2773,
              'voxceleb': 200 * 148_642, 'celebv_hq': 1000 * 28_533}
_VARIANTS = ('dependent', 'independent', *_PUBLISHED, *(
    f'{row}_independent' for row in _PUBLISHED))


def get_config(variant: str = 'dependent') -> ml_collections.ConfigDict:
  """The config; variant 'dependent', 'independent', or a row of the paper."""
  if variant not in _VARIANTS:
    raise errors.unknown_name('variant', variant, _VARIANTS)
  config = _any_model()
  config.method.independent = variant.endswith('independent')
  row = variant.removesuffix('_independent')
  if row in _PUBLISHED:
    config.model.workdir = f'runs/diffsda_{row}'
    config.train.num_steps = _PUBLISHED[row] // config.data.batch_size
  if row == 'mug':  # The others have no labels that a judge could learn.
    config.eval.protocols = ('generation',)
  return config


def small(variant: str, workdir: str) -> ml_collections.ConfigDict:
  """The prior of a small model: unit codes, 100 steps of the sampler.

  Args:
    variant: 'dependent' or 'independent'.
    workdir: run directory of the model.

  Raises:
    ValueError: for another variant.
  """
  if variant not in _VARIANTS[:2]:
    raise errors.unknown_name('variant', variant, _VARIANTS[:2])
  config = get_config(variant)
  config.model.workdir = workdir
  config.method.standardise = True
  config.sampler.num_steps = 100
  return config


def _any_model():
  """The config for any model that is named."""
  config = video.get_config()
  config.model = ml_collections.ConfigDict(dict(  # Its run directory.
      workdir=ml_collections.config_dict.placeholder(str)))
  config.data = ml_collections.ConfigDict(dict(
      num_frames=1,  # A clip is one vector of codes.
      batch_size=128,
      eval_batch_size=64,
  ))
  config.method = ml_collections.ConfigDict(dict(
      name='prior',
      layers=10,
      expand=4,
      dropout=0.1,
      independent=False,
      standardise=False,  # True: codes of mean 0 and variance 1.
      diffusion=dict(
          schedule='half_line',  # Betas from 1e-5 to 1e-2.
          num_levels=1000,
          prediction='eps',
          norm='l2',
      ),
  ))
  config.train.num_steps = 20_000
  config.eval.protocols = ()  # 'generation' of labelled video, see above.
  config.sampler = ml_collections.ConfigDict(dict(
      num_steps=1000,
      eta=0.0,  # DDIM without noise. Published default: 1, ancestral DDPM.
  ))
  config.explore = ml_collections.ConfigDict(dict(  # --mode=explore.
      num_codes=2**15,  # Clips that are sampled to find the components (paper).
      num_components=4,  # Of each kind of code that are drawn and probed.
      # Alpha runs from -kappa to kappa. The paper does not say how far: 1 is
      # 2 to 4 standard deviations along a component that has a quarter to a
      # sixteenth of the variance.
      kappa=1.0,
      num_alphas=7,  # Rows of a figure; odd, the one in the middle is 0.
      num_clips=2,  # Of the evaluation split; walks go from one to the next.
      x_T=ml_collections.config_dict.placeholder(str),  # See explore.py.
      num_labelled=256,  # Training clips that probes are fitted to.
  ))
  return config
