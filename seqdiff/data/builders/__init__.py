"""The data sets that live on disk: one TFDS builder each.

A builder is prepared by `python -m seqdiff.data.prepare` and opened by
`seqdiff.data.disk`; what it has to offer is in `seqdiff.data.builders.base`.
"""

from seqdiff.data.builders import air_quality
from seqdiff.data.builders import celebv_hq
from seqdiff.data.builders import csv_table
from seqdiff.data.builders import etth
from seqdiff.data.builders import frames
from seqdiff.data.builders import mead
from seqdiff.data.builders import mhad
from seqdiff.data.builders import mug
from seqdiff.data.builders import physionet2012
from seqdiff.data.builders import sprites
from seqdiff.data.builders import taichi_hd
from seqdiff.data.builders import voxceleb

BUILDERS = {
    'air_quality': air_quality.AirQuality,
    'celebv_hq': celebv_hq.CelebvHq,
    'csv': csv_table.Csv,
    'etth': etth.Etth,
    'frames': frames.Frames,
    'mead': mead.Mead,
    'mhad': mhad.Mhad,
    'mug': mug.Mug,
    'physionet2012': physionet2012.Physionet2012,
    'sprites': sprites.Sprites,
    'taichi_hd': taichi_hd.TaichiHd,
    'voxceleb': voxceleb.Voxceleb,
}
