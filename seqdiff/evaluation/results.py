"""Result files: one `<workdir>/results/<protocol>.json` per run.

A result file is the only thing that tables are made of, so it says all that a
reader of a table may ask: which protocol in which version, which config, how
many steps, on what hardware, how many examples. Its `metrics` are flat:

  static_accuracy                  a number; accuracies lie in [0, 1]
  static_accuracy_std              its spread over seeds, optional
  reference/<row>/static_accuracy  the same metric of a reference row
"""

from collections.abc import Mapping
import dataclasses
import hashlib
import json
import math
import numbers
import os
import pathlib
from typing import Any

from etils import epath
import jax

from seqdiff.core import storage

# Keys of configs that change neither what is trained nor what is measured.
WITHOUT_EFFECT = (
    'data.in_memory', 'data.eval_batch_size', 'eval.num_shown',
    'explore.kappa', 'explore.num_alphas', 'explore.num_clips', 'explore.x_T')


def name_of(config: str) -> str:
  """'configs/a.py:b' -> 'a-b', the folder of its results."""
  path, _, argument = config.partition(':')
  return '-'.join([pathlib.Path(path).stem] + ([argument] if argument else []))


def config_hash(config: Mapping[str, Any]) -> str:
  """First 16 hex digits of the sha256 of the config as canonical JSON."""
  return hashlib.sha256(_canonical(config).encode()).hexdigest()[:16]


def hardware() -> dict[str, Any]:
  """What this process computes on."""
  device = jax.devices()[0]
  return {
      'platform': device.platform,
      'device_kind': device.device_kind,
      'device_count': jax.device_count(),
      'cpu_count': os.cpu_count(),
      'jax_version': jax.__version__,
  }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
  """What one protocol found out about one run.

  Attributes:
    protocol: name of the protocol, also the name of the file.
    version: version of the protocol; numbers of two versions do not compare.
    config: the whole config of the run, nested.
    seed: seed of the run.
    step: number of updates of the judged parameters.
    counts: number of clips, pairs, ... that the metrics are means over.
    wall_seconds: duration in seconds.
    metrics: flat map of name -> finite number, see the top of this file.
    hardware: what the run computed on, as made by `hardware()`.
  """

  protocol: str
  version: int
  config: Mapping[str, Any]
  seed: int
  step: int
  counts: Mapping[str, int]
  wall_seconds: float
  metrics: Mapping[str, float]
  hardware: Mapping[str, Any] = dataclasses.field(default_factory=hardware)

  @property
  def config_hash(self) -> str:
    """Identifies the run: two results with one hash are of the same run."""
    return config_hash(self.config)


def path_of(workdir: str | os.PathLike[str], protocol: str) -> epath.Path:
  """Where the result of `protocol` lies in a run directory."""
  return storage.locate(workdir) / 'results' / f'{protocol}.json'


def check_owner(
    workdir: str | os.PathLike[str], protocol: str, config: Mapping[str, Any]
) -> None:
  """Raises ValueError if another run has left its result of `protocol`."""
  path = path_of(workdir, protocol)
  if not path.exists():
    return
  theirs, ours = map(_owner, (read(path).config, config))
  if theirs != ours:
    raise ValueError(
        f'{path} holds the result of another run: its config hash is '
        f'{theirs}, that of this run is {ours}. '
        'Choose another workdir, or remove the file if it is not needed.'
    )


def find(
    workdir: str | os.PathLike[str],
    protocol: str,
    config: Mapping[str, Any],
    *,
    version: int,
    step: int,
) -> Result | None:
  """The result of this very run, or None if it has none yet."""
  path = path_of(workdir, protocol)
  if not storage.exists(path):
    return None
  found = read(path)
  same = _owner(found.config) == _owner(config)
  return found if same and (found.version, found.step) == (
      version, step) else None


def write(workdir: str | os.PathLike[str], result: Result) -> epath.Path:
  """Writes `<workdir>/results/<protocol>.json`, whole or not at all.

  An older result of the same run is replaced.

  Args:
    workdir: the run directory.
    result: what to write.

  Returns:
    The path of the file.

  Raises:
    ValueError: a metric is nested, not finite or out of range; or the file
      exists and is of another run.
  """
  check_owner(workdir, result.protocol, result.config)
  return write_file(path_of(workdir, result.protocol), result)


def write_file(
    path: str | os.PathLike[str], result: Result
) -> epath.Path:
  """As `write`, to any place; what is there is replaced.

  Of several processes only the first one writes.
  """
  _check_metrics(result.metrics)
  path = storage.locate(path)
  storage.write(path, _to_json(result))
  return path


def read(path: str | os.PathLike[str]) -> Result:
  """Reads and validates a result file.

  Raises:
    ValueError: the file is no result file, or was changed by hand so that its
      config and its hash disagree.
  """
  path = storage.locate(path)
  fields = {f.name for f in dataclasses.fields(Result)}
  try:
    content = json.loads(path.read_text())
    keys = set(content)
    stored_hash = content.pop('config_hash')
  except (ValueError, TypeError, AttributeError, KeyError) as e:
    raise ValueError(
        f'{path} is no result file ({e!r}). Expected a JSON object as '
        'written by mode=evaluate; evaluate the run again.'
    ) from e
  if set(content) != fields:
    raise ValueError(
        f'{path} is no result file: expected the keys '
        f'{sorted(fields | {"config_hash"})}, got {sorted(keys)}. Evaluate '
        'the run again.'
    )
  result = Result(**content)
  _check_metrics(result.metrics)
  if stored_hash != result.config_hash:
    raise ValueError(
        f'{path}: the config hash is {stored_hash}, but the config in the '
        f'file has the hash {result.config_hash}. The file was changed by '
        'hand; evaluate the run again.'
    )
  return result


def _owner(config: Mapping[str, Any]) -> str:
  """The hash of what a result depends on."""
  config = json.loads(_canonical(config))
  for key in WITHOUT_EFFECT:
    section, _, name = key.partition('.')
    if section in config:
      config[section].pop(name, None)
  return config_hash(config)


def _canonical(config: Mapping[str, Any]) -> str:
  try:
    return json.dumps(
        config, sort_keys=True, separators=(',', ':'), allow_nan=False
    )
  except (TypeError, ValueError) as e:
    raise ValueError(
        f'The config cannot be written as JSON: {e}. Expected a nested dict '
        'of finite numbers, strings, booleans, None and lists; use '
        'config.to_dict().'
    ) from e


def _to_json(result: Result) -> str:
  # A shallow dict: `dataclasses.asdict` would copy, and fail on some mappings.
  content = {
      f.name: getattr(result, f.name) for f in dataclasses.fields(result)
  }
  content['config_hash'] = result.config_hash
  content['metrics'] = {k: float(v) for k, v in result.metrics.items()}
  return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + '\n'


def _check_metrics(metrics: Mapping[str, float]) -> None:
  for name, value in metrics.items():
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
      raise ValueError(
          f'Metric {name!r} is a {type(value).__name__}. Metrics are a flat '
          "map of name -> number; join nested names by '/' and convert "
          'arrays with float().'
      )
    if not math.isfinite(value):
      raise ValueError(
          f'Metric {name!r} is {value}. Metrics are finite; leave out what '
          'could not be measured.'
      )
    if name.endswith('accuracy') and not 0 <= value <= 1:
      raise ValueError(
          f'Metric {name!r} is {value}. Accuracies lie in [0, 1]; divide '
          'per cents by 100.'
      )
    if name.endswith('_std') and name.removesuffix('_std') not in metrics:
      raise ValueError(
          f'Metric {name!r} is a spread without its mean. Add '
          f'{name.removesuffix("_std")!r} or leave it out.'
      )
