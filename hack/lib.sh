# What hack/*, demo/* and tests/run share: colours on a terminal only, steps with their time, and the way to our own programs.
# shellcheck shell=bash

cache="${PORTOLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portolan}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
target="$CARGO_TARGET_DIR/$(rustc -vV | awk '/^host:/ {print $2}')"

# One target folder serves every checkout, and cargo tells their files apart by age alone: what another checkout built
# last would pass for this one's, paths inside it included. So the sources are made new when the checkout changes.
if [ "$(cat "$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$PWD" ]; then
  find certificate cli crds discovery operator portolan proxy tests -name '*.rs' -exec touch {} +
  mkdir -p "$CARGO_TARGET_DIR" && echo "$PWD" >"$CARGO_TARGET_DIR/checkout"
fi

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else bold='' dim='' red='' plain=''; fi

say() { printf '%s\n' "${bold}==> $*${plain}" >&2; }
note() { printf '%s\n' "${dim}    $*${plain}" >&2; }
die() { printf '%s\n' "${red}error:${plain} $*" >&2; exit 1; }

# need_rust VERSION: the compiler is at least that new.
need_rust() {
  local have; have=$(rustc --version | awk '{print $2}')
  [ "$(printf '%s\n%s\n' "$1" "${have%%-*}" | sort -V | head -n 1)" = "$1" ] ||
    die "Rust $have is too old; $1 or newer is needed (rustup update stable)"
}

# as_root COMMAND...: the node of the test cluster is made of namespaces, which only root can make.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -E env "PATH=$PATH" "$@"; fi
}

# testbed ARGS...: builds the program that runs the test cluster when it is not built yet, and runs it.
testbed() {
  [ -n "${testbed_built:-}" ] || { cargo build --quiet --locked -p testbed || return; testbed_built=1; }
  as_root "$target/debug/testbed" "$@"
}

# build_images PROFILE DIR: both binaries, static and without symbols.
build_images() {
  local profile=$1 dir=$2 name
  local flags=(--quiet --locked -p portolan -p portolan-proxy --bins)
  [ "$profile" = release ] && flags+=(--release)
  cargo build "${flags[@]}" || return
  mkdir -p "$dir"
  for name in portolan portolan-proxy; do
    strip -o "$dir/$name" "$target/$([ "$profile" = release ] && echo release || echo debug)/$name" || return
  done
}

# More arguments for helm, set by where the demo runs.
# shellcheck disable=SC2034
install_flags=()

# elapsed SINCE: seconds since then, for people.
elapsed() { local s=$(($(date +%s) - $1)); printf '%d min %02d s' $((s / 60)) $((s % 60)); }

# wait_ready NAMESPACE NAME SECONDS: until the ExposedPort is Ready, telling each time what it waits for.
wait_ready() {
  local namespace=$1 name=$2 deadline=$(($(date +%s) + $3)) last="" now ready reason
  while :; do
    now=$(kubectl -n "$namespace" get xp "$name" -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status}{" "}{.reason}{" "}{.message}{end}' 2>/dev/null || true)
    read -r ready reason _ <<<"$now"
    [ "$now" = "$last" ] || note "Ready=${ready:-Unknown} ${reason:-}${now:+: ${now#* * }}"
    last=$now
    [ "$ready" = True ] && return 0
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.3
  done
}
