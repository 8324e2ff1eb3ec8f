# What ./check, ./quickstart and the scripts of tools/ share. Sourced, never run.

# How many compile jobs to run: one a core, fewer where memory is short: one job of the torch island takes up to 2 GiB.
compile_jobs() {
  local cores memory_gib
  cores=$(nproc)
  memory_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  local fit=$((memory_gib / 2))
  ((fit >= 1)) || fit=1
  echo $((cores < fit ? cores : fit))
}

# Relative paths in the compiler cache: another clone, and another preset with the same flags, finds what one has built.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# build_preset <preset> [target...]: configures and builds; everything where no target is named.
build_preset() {
  local preset=$1
  shift
  cmake --preset "$preset" --log-level=STATUS >"build/$preset.configure.log" 2>&1 ||
    { cat "build/$preset.configure.log" >&2; return 1; }
  if [[ $# -gt 0 ]]; then set -- --target "$@"; fi
  cmake --build --preset "$preset" --parallel "$(compile_jobs)" "$@"
}

# as_minutes <seconds>: 0:07, 12:30.
as_minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
