"""Without torch: seqdiff computes what the PyTorch peer once computed.

After a change of a case or of its config, `python -m tests.peers.record`
rewrites the peer's numbers; it needs torch.
"""

import numpy as np
import pytest

from tests.peers import cases
from tests.peers import ours


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow if name == 'sprites32' else ())
    for name in cases.RECORDED])
def test_numbers_are_those_that_the_peer_recorded(name):
  case, theirs = cases.make(name), cases.recorded(name)
  their_slopes = theirs.pop('slopes')
  parts, grads = ours.losses(case)
  cases.assert_all_agree(theirs, {
      **ours.networks(case), **parts, 'clips': ours.clips(case)})
  our_slopes = ours.slopes(case, grads)
  assert len(their_slopes) == len(our_slopes)
  for their, (leaf, (slope, norm)) in zip(their_slopes, our_slopes.items()):
    if leaf.endswith(('/k/bias', '/key/bias')):
      # They add the same to all logits, which softmax does not see.
      assert np.max(np.abs([their, slope])) < 1e-6, leaf
    else:
      cases.assert_agree(their, slope, leaf, scale=norm)
