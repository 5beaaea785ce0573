"""The rules of the house: who imports whom, and how long things may get.

Each check takes the root of a repository and returns complaints, so that it can
be shown a bad house as well as this one.
"""

import ast
from collections.abc import Callable, Iterator
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

FLOORS = {
    'core': 0,
    'data': 1, 'diffusion': 1, 'losses': 1,
    'nets': 2,
    'methods': 3,
    'training': 4, 'sampling': 4, 'evaluation': 4,
    'figures': 5,
    'benchmark': 6, 'build': 6, 'cli': 6, 'construct': 6,
    'distributed': 6, 'explore': 6,
    'first_stage': 6, 'jury': 6, 'main': 6, 'model': 6, 'modes': 6, 'prior': 6,
    'run': 6, 'study': 6, '__init__': 6,
}  # fmt: skip
ROOF = 6
LINEN_FLOOR = 2  # The lowest floor with networks.
SIDEWAYS = {('evaluation', 'sampling')}
# Pictures are made from arrays and result files, never from a model.
NOT_FOR_FIGURES = {'diffusion', 'losses', 'nets', 'methods', 'training',
                   'sampling'}  # fmt: skip
THIRD_PARTY_ROOMS = {'methods', 'training', 'sampling', 'evaluation'}
CONFIG_FILES = {  # The roof.
    'benchmark/__main__.py', 'benchmark/measure.py', 'benchmark/sweeps.py',
    'benchmark/workload.py', 'build.py', 'cli.py', 'construct.py',
    'first_stage.py', 'jury.py', 'main.py', 'model.py', 'modes.py', 'prior.py',
    'run.py'}
ROOF_COMMANDS = {'data/encode_latents.py'}  # Stand beside related commands.
FOLDERS = ('configs', 'launch', 'seqdiff', 'tests', 'third_party')
MAX_FILE, MAX_FUNCTION, MAX_CALL = 400, 60, 80
LEFTOVERS = {
    'a TODO without owner': r'\b(TODO|FIXME|XXX)\b(?!\(\w)',
    'a merge conflict': r'^(<{7}|>{7}) ',
    'a debugger': r'\b(breakpoint\(\)|pdb\.set_trace\(\))',
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def floors(root: pathlib.Path) -> list[str]:
  """Imports that do not go down, or that belong to another room."""
  complaints = []
  for path in sorted((root / 'seqdiff').rglob('*.py')):
    inside = path.relative_to(root / 'seqdiff')
    room = inside.with_suffix('').parts[0]
    if str(inside) in ROOF_COMMANDS:
      continue
    if room not in FLOORS:
      complaints.append(f'{inside}: {room!r} is no room of the house')
      continue
    for name in _imports(path):
      reason = _bad_import(inside, room, name)
      if reason is not None:
        complaints.append(f'{inside}: imports {name}: {reason}')
  return complaints


def lengths(root: pathlib.Path) -> list[str]:
  """Files and functions that are too long, and files of everything."""
  complaints = []
  for path in _python_files(root):
    name = path.relative_to(root)
    lines = len(path.read_text().splitlines())
    if lines > MAX_FILE:
      complaints.append(f'{name}: {lines} lines, at most {MAX_FILE}')
    if path.stem in ('utils', 'util', 'helpers', 'misc'):
      complaints.append(f'{name}: a name that says nothing')
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, Function):
        lines = node.end_lineno - node.lineno + 1
        limit = MAX_CALL if node.name == '__call__' else MAX_FUNCTION
        if lines > limit:
          complaints.append(
              f'{name}: {node.name} has {lines} lines, at most {limit}'
          )
  return complaints


def documentation(root: pathlib.Path) -> list[str]:
  """Public functions and classes without docstring or annotations."""
  complaints = []
  for path in sorted((root / 'seqdiff').rglob('*.py')):
    tree = ast.parse(path.read_text())
    name = path.relative_to(root)
    if ast.get_docstring(tree) is None:
      complaints.append(f'{name}: no docstring')
    for owner, node in _public(tree):
      where = f'{name}: {owner}{node.name}'
      is_call = node.name.startswith('__')
      if not is_call and ast.get_docstring(node) is None:
        complaints.append(f'{where}: no docstring')
      if isinstance(node, Function):
        bare = [a.arg for a in _arguments(node) if a.annotation is None]
        bare = bare[1:] if bare[:1] in (['self'], ['cls']) else bare
        complaints += [f'{where}: {arg} is not annotated' for arg in bare]
        if node.returns is None:
          complaints.append(f'{where}: the result is not annotated')
  return complaints


def config_gets(root: pathlib.Path) -> list[str]:
  """`config.get(key, default)`: a locked config swallows a misspelt key."""
  complaints = []
  for folder in ('configs', 'seqdiff'):
    for path in sorted((root / folder).rglob('*.py')):
      for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
          continue
        called = ast.unparse(node.func)
        owner = called.removesuffix('.get')
        if owner != called and (folder == 'configs' or 'config' in owner):
          complaints.append(f'{path.relative_to(root)}: {called}(...)')
  return complaints


def links(root: pathlib.Path) -> list[str]:
  """Links of texts to files and headings that are not there."""
  complaints = []
  for path in [root / 'README.md', *sorted(
      p for f in FOLDERS for p in (root / f).rglob('*.md'))]:
    text = path.read_text() if path.exists() else ''
    for link in re.findall(r'\]\((?!https?:)([^)]+)\)', text):
      name, _, heading = link.partition('#')
      target = path.parent / name if name else path
      headings = [
          re.sub(r'[^\w -]', '', line.lstrip('# ')).lower().replace(' ', '-')
          for line in (target.read_text() if heading else '').splitlines()
          if line.startswith('#')] if target.exists() else []
      if not target.exists() or (heading and heading not in headings):
        complaints.append(f'{path.relative_to(root)}: nothing at {link}')
  return complaints


def leftovers(root: pathlib.Path) -> list[str]:
  """What should not have been committed."""
  files = [root / 'README.md', *_python_files(root)]
  files += [p for ext in ('sh', 'ipynb', 'md') for f in FOLDERS
            for p in sorted((root / f).rglob(f'*.{ext}'))]  # fmt: skip
  return [
      f'{path.relative_to(root)}: {kind}'
      for path in files
      if path.exists() and path != pathlib.Path(__file__).resolve()
      for kind, pattern in LEFTOVERS.items()
      if re.search(pattern, path.read_text(), re.MULTILINE)
  ]


def _bad_import(inside: pathlib.Path, room: str, name: str) -> str | None:
  top, *rest = name.split('.')
  if name.startswith('.'):
    return 'imports are absolute'
  if top == 'ml_collections' and str(inside) not in CONFIG_FILES:
    return f'only {sorted(CONFIG_FILES)} know what a ConfigDict is'
  if top == 'third_party' and room not in THIRD_PARTY_ROOMS:
    return f'only {sorted(THIRD_PARTY_ROOMS)} use published networks'
  if top == 'flax' and FLOORS[room] < LINEN_FLOOR:
    return 'networks begin on the floor of nets'
  if top != 'seqdiff' or rest == ['__version__'] or FLOORS[room] == ROOF:
    return None
  other = rest[0] if rest else '__init__'
  if other not in FLOORS:
    return f'{other!r} is no room of the house'
  if other == room or (room, other) in SIDEWAYS:
    return None
  if FLOORS[other] >= FLOORS[room]:
    return f'{other} is not below {room}'
  if room == 'training' and other == 'methods' and rest[1:2] != ['base']:
    return 'training knows the protocol of methods, no method'
  if room == 'figures' and other in NOT_FOR_FIGURES:
    return 'figures know no model'
  return None


def _imports(path: pathlib.Path) -> Iterator[str]:
  """Full names of all that a file imports, also inside functions."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      module = '.' * node.level + (node.module or '')
      yield from (f'{module}.{alias.name}' for alias in node.names)


def _public(tree: ast.AST, owner: str = '') -> Iterator[tuple[str, ast.AST]]:
  """Public functions, classes and methods; `__call__` counts as public."""
  for node in ast.iter_child_nodes(tree):
    if not isinstance(node, (ast.ClassDef, *Function.__args__)):
      continue
    if node.name.startswith('_') and node.name != '__call__':
      continue
    yield owner, node
    if isinstance(node, ast.ClassDef):
      yield from _public(node, f'{owner}{node.name}.')


def _arguments(node: Function) -> list[ast.arg]:
  a = node.args
  extra = [x for x in (a.vararg, a.kwarg) if x is not None]
  return a.posonlyargs + a.args + a.kwonlyargs + extra


def _python_files(root: pathlib.Path) -> list[pathlib.Path]:
  return [p for f in FOLDERS for p in sorted((root / f).rglob('*.py'))]


CHECKS = (floors, lengths, documentation, config_gets, leftovers, links)


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.__name__)
def test_house_keeps_the_rule(check: Callable):
  assert _python_files(ROOT)
  assert check(ROOT) == []


LONG = '\n'.join(['  x = 1'] * 60)
BAD = [
    (floors, 'seqdiff/core/a.py', 'import seqdiff.data.batch', 'not below'),
    (floors, 'seqdiff/core/a.py', 'import seqdiff.nets.unet', 'not below'),
    (floors, 'seqdiff/core/a.py', 'from seqdiff import losses', 'not below'),
    (floors, 'seqdiff/core/a.py', 'import seqdiff', 'not below'),
    (floors, 'seqdiff/core/a.py', 'def f():\n  import seqdiff.run', 'below'),
    (floors, 'seqdiff/data/a.py', 'from seqdiff.losses import x', 'not below'),
    (floors, 'seqdiff/data/b/a.py', 'from seqdiff.nets import x', 'not below'),
    (floors, 'seqdiff/sampling/a.py', 'import seqdiff.evaluation.x', 'below'),
    (floors, 'seqdiff/evaluation/a.py', 'import seqdiff.training.x', 'below'),
    (floors, 'seqdiff/training/a.py', 'from seqdiff.methods import divid',
     'no method'),
    (floors, 'seqdiff/training/a.py', 'from seqdiff import methods',
     'no method'),
    (floors, 'seqdiff/figures/a.py', 'from seqdiff.nets import x', 'no model'),
    (floors, 'seqdiff/nets/a.py', 'import third_party.lpips', 'published'),
    (floors, 'seqdiff/methods/a.py', 'import ml_collections', 'ConfigDict'),
    (floors, 'seqdiff/data/main.py', 'import ml_collections', 'ConfigDict'),
    (floors, 'seqdiff/diffusion/a.py', 'from flax import linen', 'networks'),
    (floors, 'seqdiff/nets/a.py', 'from . import unet', 'absolute'),
    (floors, 'seqdiff/attic/a.py', '', 'no room'),
    (floors, 'seqdiff/attic.py', '', 'no room'),
    (floors, 'seqdiff/nets/a.py', 'from seqdiff.attic import x', 'no room'),
    (lengths, 'seqdiff/a.py', '\n' * 401, '401 lines'),
    (lengths, 'configs/a.py', f'def f():\n{LONG}', 'f has 61 lines'),
    (lengths, 'tests/a.py', f'class A:\n def g(self):\n{LONG}', 'g has 61'),
    (lengths, 'seqdiff/a.py', f'def __call__():\n{LONG}\n{LONG}', '121 lines'),
    (lengths, 'seqdiff/core/utils.py', '', 'says nothing'),
    (documentation, 'seqdiff/a.py', 'x = 1', 'a.py: no docstring'),
    (documentation, 'seqdiff/a.py', 'def f() -> int: ...', 'f: no docstring'),
    (documentation, 'seqdiff/a.py', 'class A: ...', 'A: no docstring'),
    (documentation, 'seqdiff/a.py', 'class A:\n  def f(self): ...',
     'A.f: no docstring'),
    (documentation, 'seqdiff/a.py', 'def f(a: int, b): ...', 'b is not ann'),
    (documentation, 'seqdiff/a.py', 'def f(*, c): ...', 'c is not annotated'),
    (documentation, 'seqdiff/a.py', 'def f(**kw): ...', 'kw is not annotated'),
    (documentation, 'seqdiff/a.py', 'def f(): ...', 'result is not annotated'),
    (documentation, 'seqdiff/a.py',
     'class A:\n  def __call__(self, x): ...', 'A.__call__: x is not'),
    (config_gets, 'configs/common/a.py', 'c.data.get("x", 1)', 'c.data.get'),
    (config_gets, 'seqdiff/build.py', 'config.optim.get("x")', 'config.optim'),
    (leftovers, 'launch/a.sh', '# TODO: all of it', 'TODO'),
    (leftovers, 'README.md', 'text\n>>>>>>> theirs\n', 'merge'),
    (leftovers, 'seqdiff/a.py', 'breakpoint()', 'debugger'),
    (links, 'configs/README.md', 'see [a](a.py)', 'nothing at a.py'),
    (links, 'README.md', '[a](#some-place)\n## Places', 'at #some-place'),
]  # fmt: skip


@pytest.mark.parametrize('check, name, content, complaint', BAD)
def test_bad_house_is_noticed(
    tmp_path: pathlib.Path,
    check: Callable,
    name: str,
    content: str,
    complaint: str,
):
  path = tmp_path / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(content)
  assert any(complaint in found for found in check(tmp_path)), check(tmp_path)


GOOD = [
    (links, 'README.md', '[a](#some-place) [b](https://x.y)\n## Some place!'),
    (floors, 'seqdiff/evaluation/a.py', 'from seqdiff.sampling import swap'),
    (floors, 'seqdiff/training/a.py', 'from seqdiff.methods import base'),
    (floors, 'seqdiff/methods/a.py', 'from seqdiff.methods import diffsda'),
    (floors, 'seqdiff/figures/a.py', 'from seqdiff.evaluation import results'),
    (floors, 'seqdiff/training/a.py', 'from seqdiff import __version__'),
    (floors, 'seqdiff/build.py', 'import ml_collections, seqdiff.main'),
    (lengths, 'seqdiff/a.py', f'def __call__():\n{LONG}'),
    (documentation, 'seqdiff/a.py', '"""A."""\ndef _f(x): ...'),
    (documentation, 'seqdiff/a.py',
     '"""A."""\nclass A:\n  """A."""\n  def f(self) -> int:\n    """F."""'),
    (config_gets, 'seqdiff/a.py', 'table.get("x")'),
    (leftovers, 'seqdiff/a.py', '# TODO(someone): this'),
]  # fmt: skip


@pytest.mark.parametrize('check, name, content', GOOD)
def test_good_house_is_left_in_peace(
    tmp_path: pathlib.Path, check: Callable, name: str, content: str
):
  path = tmp_path / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(content)
  assert check(tmp_path) == []
