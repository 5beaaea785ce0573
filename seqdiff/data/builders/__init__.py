"""The data sets that live on disk: one TFDS builder each.

A builder is prepared by `python -m seqdiff.data.prepare` and opened by
`seqdiff.data.disk`. Besides what TFDS asks for it has

  FACTORS              the labelled factors (`seqdiff.data.batch.Factor`)
  config_name(...)     name of the TFDS config for the keyword arguments that
                       `config.data` may hold for this set
  check_manual(path)   ValueError if the publisher's files are not all there

and its feature `x` is the clip; each other feature is a label.
"""

from seqdiff.data.builders import sprites

BUILDERS = {'sprites': sprites.Sprites}
