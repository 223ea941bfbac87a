#!/bin/sh
# Uploads of backups against S3 stores that others have written: ./tests/bucket.sh [moto|s3s ..]
# moto: the server of the Python package (a virtual environment is made for it); it looks at every
# signature, by botocore. s3s: `s3s-fs` of the Rust crate, where it is in the PATH (`cargo install
# s3s-fs --features binary`). What lies in the bucket afterwards is compared by boto3.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
WORK=$(mktemp -d)
SERVER=
finish() {
    [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
    rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 130' INT TERM

VENV=${RUNSHEET_TEST_VENV:-$WORK/venv}
if [ ! -x "$VENV/bin/moto_server" ]; then
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet 'moto[server]==5.2.5' boto3
fi
PORT=$("$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export RUNSHEET_TEST_STORE="http://127.0.0.1:$PORT"

is_there() {
    "$VENV/bin/python" -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$PORT" 2>/dev/null
}

against() {
    tries=0
    until is_there; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat "$WORK/log"; echo "$1 does not answer" >&2; exit 1; }
        sleep 0.1
    done
    if [ "$1" = moto ]; then
        "$VENV/bin/python" "$ROOT/tests/bucket.py" prepare --users >"$WORK/keys"
        # shellcheck disable=SC1091
        . "$WORK/keys"
    else
        "$VENV/bin/python" "$ROOT/tests/bucket.py" prepare
    fi
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    (cd "$ROOT" && cargo nextest run --locked --features failpoints,age,object_store \
        -E 'test(an_independent_store)')
    "$VENV/bin/python" "$ROOT/tests/bucket.py" compare
    kill "$SERVER"
    wait "$SERVER" 2>/dev/null || true
    SERVER=
    echo "$1: well"
}

for store in "${@:-moto}"; do
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    case $store in
    moto)
        "$VENV/bin/moto_server" -H 127.0.0.1 -p "$PORT" >"$WORK/log" 2>&1 &
        SERVER=$!
        ;;
    s3s)
        mkdir -p "$WORK/store"
        AWS_ACCESS_KEY_ID=AKIDTEST AWS_SECRET_ACCESS_KEY=$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')
        export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        s3s-fs --host 127.0.0.1 --port "$PORT" --access-key "$AWS_ACCESS_KEY_ID" \
            --secret-key "$AWS_SECRET_ACCESS_KEY" "$WORK/store" >"$WORK/log" 2>&1 &
        SERVER=$!
        ;;
    *)
        echo "usage: tests/bucket.sh [moto|s3s ..]" >&2
        exit 2
        ;;
    esac
    against "$store"
done
