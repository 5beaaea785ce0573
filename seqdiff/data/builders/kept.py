"""Decoded videos, kept on disk until their set is complete.

A preparation that is stopped goes on with the videos that it has not decoded
yet. What is kept of a video is found by its name and by sizes and times of its
files, so that one that is repaired or replaced is decoded again; of videos that
cannot be read nothing is kept.
"""

from collections.abc import Sequence
import hashlib
import os
import pathlib
import zipfile

import numpy as np

from seqdiff.data import catalogue

PREFIX = 'decoded-'  # Of the folder; the rest says of which preparation.

Clip = Sequence[bytes] | np.ndarray  # Frames, each as a file, or (T, H, W, C).


def folder(beside: pathlib.Path, of: str) -> pathlib.Path:
  """Where what is decoded is kept, of a preparation told by a text."""
  return beside / f'{PREFIX}{_hash(of)}'


def path_of(home: pathlib.Path, video: catalogue.Video) -> pathlib.Path:
  """The file of one video in the folder `home`."""
  files = sorted(video.path.iterdir()) if video.path.is_dir() else [video.path]
  stats = [file.stat() for file in files]
  stamp = [(f.name, s.st_size, s.st_mtime_ns) for f, s in zip(files, stats)]
  return home / (_hash(f'{video.name} {stamp}') + '.npz')


def save(path: pathlib.Path, clips: Sequence[Clip]) -> None:
  """Keeps all clips of a video; the file is written whole."""
  arrays = {}
  for number, clip in enumerate(clips):
    if isinstance(clip, np.ndarray):
      arrays[f'{number}'] = clip
    else:
      arrays[f'{number}'] = np.frombuffer(b''.join(clip), np.uint8)
      arrays[f'{number}_ends'] = np.cumsum([len(frame) for frame in clip])
  part = path.with_suffix(f'.{os.getpid()}.part')
  with part.open('wb') as file:
    np.savez(file, **arrays)
    file.flush()
    os.fsync(file.fileno())
  os.replace(part, path)


def load(path: pathlib.Path) -> list[Clip] | None:
  """The clips that were kept; None if there are none, or not whole ones."""
  clips = []
  try:
    with np.load(path) as arrays:
      while f'{len(clips)}' in arrays:
        name = f'{len(clips)}'
        clip = arrays[name]
        if f'{name}_ends' in arrays:
          clip = [part.tobytes() for part in np.split(
              clip, arrays[f'{name}_ends'][:-1])]
        clips.append(clip)
  except (OSError, EOFError, ValueError, zipfile.BadZipFile):
    return None
  return clips


def _hash(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()[:16]
