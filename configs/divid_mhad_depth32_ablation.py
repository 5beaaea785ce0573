"""`divid_mhad_depth32` in short, with one part changed: Table 2 on depth.

  python -m seqdiff.main --config=configs/divid_mhad_depth32_ablation.py:lstm \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The rows are those of configs/common/divid.py, where `full` changes nothing, and
`paper_loss`: eps in L1 of clips that are not scaled, as in the paper. It is 300
to 500 times as large, the weights beside it 100 times. Its sampler takes 25
steps, as 6 would start where a clip that is not scaled still shows, and fewer
pairs are judged. Results are in configs/results/divid_mhad_depth32_ablation-*.
"""

import ml_collections

from configs import divid_mhad_depth32
from configs.common import divid


ROWS = {
    **divid.ABLATIONS,
    'normalised': {
        'method.normalised': True,
        'method.orthogonality': 5e-4},  # (|s| |d|)^2 is 5,000 without it.
    'paper_loss': {
        'method.diffusion.prediction': 'eps', 'method.diffusion.norm': 'l1',
        'method.scale': 1.0, 'method.orthogonality': 1e-5,
        'method.dynamic_kl': 1e-5,
        'sampler.num_steps': 25, 'eval.num_pairs': 256},
}


def get_config(row: str = 'full') -> ml_collections.ConfigDict:
  """The config of one row."""
  config = divid_mhad_depth32.get_config()
  config.train.num_steps = 1500
  return divid.ablate(config, row, ROWS)
