#!/usr/bin/env bash
# Builds the image, brings the group of docker-compose.yml up, uses it with the Java client from the host and from a container,
# kills the container of the leader again and again, and checks that nothing acknowledged is lost.
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

if docker compose version >/dev/null 2>&1; then
  compose() { docker compose -p "$project" -f deploy/docker-compose.yml "$@"; }
else
  compose() { docker-compose -p "$project" -f deploy/docker-compose.yml "$@"; }
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

say "group"
began=$(date +%s%N)
compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log"; exit 1; }
ferrymq cluster status --exit-when-healthy --min-nodes 3 -n "$names"
echo "up with a leader after $((($(date +%s%N) - began) / 1000000)) ms"

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
