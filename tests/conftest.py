"""Settings of all tests: a CPU that looks like 8 devices, and strict JAX."""

import os
import pathlib

# Most of the time of a test is compilation, and the newer of XLA's two code
# generators for CPUs takes longer. Commands that tests start inherit this.
os.environ.setdefault('XLA_FLAGS', ' '.join((
    '--xla_cpu_use_fusion_emitters=false',
    '--xla_cpu_parallel_codegen_split_count=1')))

import jax  # pylint: disable=g-import-not-at-top

_CACHE = pathlib.Path(__file__).resolve().parents[1] / '.jax_cache'

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
# Without XLA's costly passes compilation is several times shorter, and a second
# run finds it done.
jax.config.update('jax_disable_most_optimizations', True)
jax.config.update('jax_compilation_cache_dir', str(_CACHE))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
# Errors instead of silent broadcasting and of noise used twice.
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_debug_key_reuse', True)
# The command line sets the number of devices, unless JAX is running already.
assert jax.device_count() == 8
