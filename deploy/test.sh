#!/usr/bin/env bash
# Builds the image, brings the group of docker-compose.yml up, uses it with the Java client from the host and from a container,
# kills the container of the leader again and again, and checks that nothing acknowledged is lost. Then the same file's brother with
# two groups: a topic is on both, the Java client uses it, and while one group has no leader the other one goes on.
#
#   deploy/test.sh [KILLS]        default: 3
#
# Needs Docker with Compose, JDK 17, Maven, and target/release/ferrymq (built if it is missing). No image is pulled where none can
# be: then the base is made by debootstrap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kills=${1:-3}
work=$(mktemp -d)
project=ferrymq-test-$$
export FERRYMQ_IMAGE=ferrymq-test
names="172.31.76.10:9876;172.31.76.11:9876"

file=deploy/docker-compose.yml
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose -p "$project" -f "$file" "$@"; }
else
  compose() { docker-compose -p "$project" -f "$file" "$@"; }
fi

ended() {
  [ -n "${client:-}" ] && kill "$client" 2>/dev/null || true
  compose down -v >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap ended EXIT

say() { printf '== %s\n' "$*"; }
ferrymq() { target/release/ferrymq "$@"; }

say "image"
docker info >/dev/null
if ! docker image inspect debian:bookworm-slim >/dev/null 2>&1 && ! docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
  debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log"
  tar -C "$work/base" -c . | docker import - debian:bookworm-slim >/dev/null
fi
[ -x target/release/ferrymq ] || cargo build --release
mkdir -p "$work/context/target/release"
strip -o "$work/context/target/release/ferrymq" target/release/ferrymq
docker build -q -f deploy/Dockerfile -t "$FERRYMQ_IMAGE" --target prebuilt "$work/context" >/dev/null
docker image inspect -f "the image is {{.Size}} bytes, base and all" "$FERRYMQ_IMAGE"
echo "the binary is $(stat -c %s "$work/context/target/release/ferrymq") bytes"

bring_up() { # NODES
  local began
  began=$(date +%s%N)
  compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log"; exit 1; }
  # Healthy is also a cluster whose other nodes have yet to come.
  until [ "$(ferrymq cluster status -n "$names" 2>/dev/null | grep -Ec ' (leader|follower) ')" = "$1" ]; do sleep 0.1; done
  ferrymq cluster status --exit-when-healthy --min-nodes 3 -n "$names"
  echo "up with a leader in each group after $((($(date +%s%N) - began) / 1000000)) ms"
}

say "group"
bring_up 3

say "Java client from the host"
mvn -q -B -f examples/java/pom.xml -DbuildDirectory="$work/java" compile dependency:copy-dependencies -DoutputDirectory="$work/lib"
NAMESRV_ADDR=$names java -cp "$work/java/classes:$work/lib/*" Hello | tail -1

say "Java client from a container"
# The host's Java, in a container of the group's network.
docker run --rm --network "${project}_ferrymq" -v /:/host:ro --entrypoint chroot --user 0 "$FERRYMQ_IMAGE" \
  /host env NAMESRV_ADDR="$names" java -XX:-UsePerfData -Duser.home=/dev/shm -cp "$work/java/classes:$work/lib/*" Hello | tail -1

say "$kills leaders killed under load"
ferrymq topic create ledger --queues 4 -n "$names"
(
  number=0
  while [ ! -e "$work/enough" ]; do
    number=$((number + 1))
    if ferrymq topic produce ledger "message-$number" -n "$names" >/dev/null 2>"$work/refused"; then echo "message-$number"; fi
  done
) >"$work/acknowledged" &
client=$!
for ((kill = 1; kill <= kills; kill++)); do
  sleep 5
  leader=$(ferrymq raft status -n "$names" | awk '$4 == "leader" { print $2; exit }')
  began=$(date +%s%N)
  docker kill "$(compose ps -q "$leader")" >/dev/null
  until ferrymq raft status -n "$names" 2>/dev/null | awk -v old="$leader" '$4 == "leader" && $2 != old { found = 1 } END { exit !found }'; do sleep 0.05; done
  echo "$leader killed; another one leads after $((($(date +%s%N) - began) / 1000000)) ms"
  docker start "$(compose ps -a -q "$leader" 2>/dev/null || compose ps -q "$leader")" >/dev/null
  ferrymq cluster status --exit-when-healthy --min-nodes 3 -n "$names" >/dev/null
done
touch "$work/enough"
wait "$client"
client=

ferrymq topic consume ledger -n "$names" | sort -u >"$work/there"
sort -u "$work/acknowledged" >"$work/sorted"
lost=$(comm -23 "$work/sorted" "$work/there" | wc -l)
ferrymq raft hash-check -n "$names"
echo "$(wc -l <"$work/sorted") messages acknowledged, $(wc -l <"$work/there") there, $lost lost"
[ "$lost" = 0 ] && [ -s "$work/sorted" ]

say "two groups"
compose down -v >/dev/null 2>&1
file=deploy/docker-compose.two-groups.yml
names="172.31.77.10:9876;172.31.77.11:9876"
bring_up 6
ferrymq topic create hello-java --queues 2 -n "$names"
until [ "$(ferrymq topic route hello-java -n "$names" 2>/dev/null | grep -c ' leader ')" = 2 ]; do sleep 0.1; done
NAMESRV_ADDR=$names java -cp "$work/java/classes:$work/lib/*" Hello | tail -1
for group in RaftNode00 RaftNode01; do
  ferrymq topic produce hello-java "for $group" --group "$group" -n "$names" >/dev/null
done
ferrymq topic describe hello-java -n "$names" | awk 'NR > 1 { of[$1] += $5 } END { for (group in of) print group " has " of[group] " messages"; exit length(of) != 2 }'
docker kill "$(compose ps -q a0)" "$(compose ps -q a1)" >/dev/null
ferrymq topic produce hello-java "the other group goes on" --group RaftNode01 -n "$names" >/dev/null
docker start "$(docker ps -aqf "name=${project}[-_]a0[-_]1")" "$(docker ps -aqf "name=${project}[-_]a1[-_]1")" >/dev/null
ferrymq cluster status --exit-when-healthy --min-nodes 3 -n "$names" | head -1
