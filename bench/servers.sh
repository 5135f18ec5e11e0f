# Read by the benchmarks that start servers: `fill` writes data, `start` starts a server, `stop` ends all of them.
# shellcheck shell=bash
folder=$(mktemp -d)
servers=()
stop() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  for server in "${servers[@]}"; do wait "$server" || true; done
  servers=()
}
# A wrong answer may have its reason in a server's log.
explain() { grep -hE ' (WARN|ERROR) ' "$folder"/*.log | tail -n 5 >&2 || true; }
trap '[ $? = 0 ] || explain; stop; rm -rf "$folder"' EXIT

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

fill() { # CLIENTS: fills the database at DATABASE_URL with invented clients, and sets TOKEN
  "$PROGRAM" seed --clients "$1" >"$folder/seed" 2>&1 || { cat "$folder/seed" >&2; return 1; }
  TOKEN=$("$PROGRAM" token create bench --permissions ALL 2>"$folder/token") || { cat "$folder/token" >&2; return 1; }
  export TOKEN
}
