"""Defaults of the frozen autoencoder before a method of latents."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Its section of a config; see seqdiff/first_stage.py."""
  none = ml_collections.config_dict.placeholder
  return ml_collections.ConfigDict(dict(
      workdir=none(str),  # Run directory of the autoencoder.
      cache=none(str),  # Folder of the latents.
      scale='channel',  # DiffSDA: each channel; DiViD: 'clip'.
      std=0.5,  # Of the latents; DiffSDA: sigma_data; DiViD: 1.
      frames=False,  # True: the encoder sees frames, not latents.
      copy=False,  # True: its backbone starts as that of the first stage.
      chunk=64,  # Frames at once through the autoencoder, on each device.
  ))
