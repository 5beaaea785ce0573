"""The data sets that live on disk: one TFDS builder each.

A builder is prepared by `python -m seqdiff.data.prepare` and opened by
`seqdiff.data.disk`; what it has to offer is in `seqdiff.data.builders.base`.
"""

from seqdiff.data.builders import frames
from seqdiff.data.builders import mead
from seqdiff.data.builders import mhad
from seqdiff.data.builders import mug
from seqdiff.data.builders import sprites

BUILDERS = {
    'frames': frames.Frames,
    'mead': mead.Mead,
    'mhad': mhad.Mhad,
    'mug': mug.Mug,
    'sprites': sprites.Sprites,
}
