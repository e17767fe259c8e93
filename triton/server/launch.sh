#!/bin/sh
# Starts tritonserver the way a node wants it: the one description, used locally and as a container's entry point.
#
#   MODEL_REPOSITORY     folder of entries                      model_repository
#   TRITON_BACKENDS      folder holding fil/libtriton_fil.so    .build/backends if it is there, else /opt/tritonserver/backends
#   TRITON_BIN           the server                             on PATH, in NVIDIA's image, or PyPI's nvidia-pytriton
#   TRITON_HTTP          host:port                              127.0.0.1:8500
#   TRITON_GRPC          host:port                              127.0.0.1:8501
#   TRITON_METRICS       host:port; empty means no metrics      (empty)
#   TRITON_LOAD_THREADS  models loaded at the same time         4
#   TRITON_EXIT_TIMEOUT  seconds given to requests in flight    1
#   TRITON_PRELOAD       allocator; empty means glibc's         jemalloc, where it is found
#   PYTHON               the interpreter that has PyPI's server python3
#
# Arguments are passed on to tritonserver. Logs go to stderr.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
    echo "launch.sh: $*" >&2
    exit 1
}

host_of() { echo "${1%:*}"; }
port_of() { echo "${1##*:}"; }

find_server() {
    command -v tritonserver && return
    purelib=$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null) || purelib=
    for candidate in /opt/tritonserver/bin/tritonserver "$purelib/pytriton/tritonserver/bin/tritonserver"; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    fail "no tritonserver: pip install --no-deps nvidia-pytriton==0.7.0, or set TRITON_BIN"
}

find_jemalloc() {
    for candidate in "/usr/lib/$(uname -m)-linux-gnu/libjemalloc.so.2" /usr/lib64/libjemalloc.so.2 \
        /usr/lib/libjemalloc.so.2 /usr/local/lib/libjemalloc.so.2; do
        if [ -e "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "launch.sh: no jemalloc, so unloaded models will not give memory back: apt-get install libjemalloc2" >&2
}

server=${TRITON_BIN:-$(find_server)}
repository=${MODEL_REPOSITORY:-$root/model_repository}
http=${TRITON_HTTP:-127.0.0.1:8500}
grpc=${TRITON_GRPC:-127.0.0.1:8501}
metrics=${TRITON_METRICS:-}
backends=$root/.build/backends
[ -d "$backends" ] || backends=/opt/tritonserver/backends
backends=${TRITON_BACKENDS:-$backends}
preload=${TRITON_PRELOAD-$(find_jemalloc)}

[ -x "$server" ] || fail "TRITON_BIN: $server is not a program"
[ -d "$repository" ] || fail "MODEL_REPOSITORY: $repository is not a folder"
[ -e "$backends/fil/libtriton_fil.so" ] || fail "no FIL backend in $backends: run make setup, or set TRITON_BACKENDS"

# PyPI's server finds its own libraries by RPATH, but what it starts or opens does not.
bundled=$(dirname "$server")/../../../nvidia_pytriton.libs
if [ -d "$bundled" ]; then
    export LD_LIBRARY_PATH="$(cd "$bundled" && pwd)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

# glibc keeps nearly all of an unloaded model; jemalloc with these settings gives it back within seconds.
if [ -n "$preload" ]; then
    export LD_PRELOAD="$preload${LD_PRELOAD:+:$LD_PRELOAD}"
    export MALLOC_CONF="${MALLOC_CONF:-background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0}"
fi

# Why these flags:
#   explicit             only the sidecar loads and unloads.
#   auto-complete        off: entries are complete, and a guessed config would hide one that is not.
#   strict-readiness     off: one tenant that fails to load must not make the whole server "not ready".
#   metrics              off unless asked for. They cost the server next to nothing, but whoever scrapes them gets 13
#                        series for each resident tenant, and keeps 4 for each that ever was. The sidecar has its own.
#   exit timeout         short: it waits for connections, too, and those of nginx never end. It takes no new ones
#                        meanwhile, and what it cuts off nginx hands to the sidecar, which asks the next server.
#   gpu and cpu metrics  off: NVML and a polling thread, for nothing that the machine's own monitoring lacks.
#   pinned memory        none: it is a GPU's staging buffer.
#   restricted http      a hostile request can end the server, so it reads only those that nginx or the sidecar has
#                        looked at, and said so in a header.
#   sagemaker, vertex    off: other front ends on other ports; Vertex's starts by itself where AIP_MODE is set.
set -- \
    --model-repository="$repository" \
    --backend-directory="$backends" \
    --model-control-mode=explicit \
    --model-load-thread-count="${TRITON_LOAD_THREADS:-4}" \
    --disable-auto-complete-config \
    --strict-readiness=false \
    --exit-timeout-secs="${TRITON_EXIT_TIMEOUT:-1}" \
    --http-address="$(host_of "$http")" --http-port="$(port_of "$http")" \
    --grpc-address="$(host_of "$grpc")" --grpc-port="$(port_of "$grpc")" \
    --http-restricted-api=inference:orchard-checked=yes \
    --allow-gpu-metrics=false --allow-cpu-metrics=false \
    --pinned-memory-pool-byte-size=0 \
    --allow-sagemaker=false --allow-vertex-ai=false \
    --log-format=ISO8601 \
    "$@"

if [ -n "$metrics" ]; then
    set -- --metrics-address="$(host_of "$metrics")" --metrics-port="$(port_of "$metrics")" "$@"
else
    set -- --allow-metrics=false "$@"
fi

# Each connection takes a descriptor; container engines and shells give few at first.
ulimit -n "$(ulimit -Hn)"

exec "$server" "$@"
