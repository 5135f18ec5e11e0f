# Read by the benchmarks that start servers: `start` starts one, `stop` ends all of them.
# shellcheck shell=bash
folder=$(mktemp -d)
servers=()
stop() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  for server in "${servers[@]}"; do wait "$server" || true; done
  servers=()
}
trap 'stop; rm -rf "$folder"' EXIT

start() { # NAME COMMAND…: starts a server, and sets `address`
  local name=$1
  shift
  : >"$folder/$name"
  "$@" >"$folder/$name" 2>"$folder/$name.log" &
  servers+=($!)
  until address=$(grep -m1 -oP '(?<=^listening on ).*' "$folder/$name"); do
    kill -0 $! 2>/dev/null || { cat "$folder/$name.log" >&2; return 1; }
    sleep 0.1
  done
}
