//! The figures of docs/performance.md about comparing and copying:
//! `cargo bench --bench rehearsal [-- ROUNDS] [equal] [planted] [server] [copy] [locks] [twenty]`.
//!
//! What PostgreSQL's own programs need for the same is measured in the same rounds, and is 1. All
//! servers lie in the folder for temporary files: `TMPDIR=/dev/shm` keeps the file system of the
//! machine out of the figures.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runsheet::postgres::programs::Programs;
use runsheet::postgres::scratch::{ScratchOptions, ScratchServer};
use runsheet::postgres::{Look, Target};
use serde_json::Value;

/// Steps behind the figure about locks.
const STEPS: usize = 1_000;
/// Bits that are turned over, one at a time.
const TRIALS: u64 = 1_000;
/// Rows of the large table that is proven equal: 1.6 GB with its index.
const WIDE: u64 = 11_000_000;
/// Rows of each of the eight tables that are proven equal.
const ROWS: u64 = 400_000;
/// Rows of each of the four tables that are copied: 1.6 GB with their indexes.
const COPIED: u64 = 2_400_000;

type Part = (&'static str, fn(&Bench));
type Job<'a> = (&'static str, Box<dyn Fn() -> Duration + 'a>);

struct Bench {
    runsheet: PathBuf,
    programs: Programs,
    server: ScratchServer,
    folder: tempfile::TempDir,
    rounds: usize,
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(3);
    let programs = Programs::new(None, None);
    let options = ScratchOptions::new(programs.clone(), std::env::temp_dir(), "bench");
    let bench = Bench {
        runsheet: PathBuf::from(env!("CARGO_BIN_EXE_runsheet")),
        programs,
        server: ScratchServer::start(&options).expect("a server"),
        folder: tempfile::tempdir().expect("a folder"),
        rounds,
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    std::fs::create_dir_all(bench.folder.path().join("playbooks")).unwrap();
    println!("rounds: {rounds}, server: {:?}, cores: {cores}\n", bench.server.version());
    let all = words.iter().all(|word| word.parse::<usize>().is_ok());
    let parts: [Part; 6] = [
        ("equal", Bench::equal),
        ("planted", Bench::planted),
        ("server", Bench::servers),
        ("copy", Bench::copy),
        ("locks", Bench::locks),
        ("twenty", Bench::twenty),
    ];
    for (name, part) in parts {
        if all || words.iter().any(|word| word == name) {
            part(&bench);
        }
    }
}

impl Bench {
    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.find(name, None).expect("a program").path)
    }

    fn psql(&self, database: &str, args: &[&str]) -> Command {
        let mut command = self.program("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.server.url(database)]);
        command.args(args);
        command
    }

    fn ours(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.runsheet);
        command.args(args).current_dir(self.folder.path()).env("LANG", "C.UTF-8");
        command
    }

    fn fresh(&self, database: &str) {
        let drop = format!("DROP DATABASE IF EXISTS {database}");
        self.server.execute("postgres", &drop).unwrap();
        self.server.create_database(database).unwrap();
    }

    /// Two databases are equal, every row looked at; counting the rows of one is 1.
    fn equal(&self) {
        let mut wide = format!(
            "CREATE TABLE t0 (id int PRIMARY KEY, branch int, balance int, filler char(84)); \
             INSERT INTO t0 SELECT n, n % 100, n % 7, 'row ' || n FROM generate_series(1, {WIDE}) n; \
             VACUUM ANALYZE t0;"
        );
        for table in 1..=203 {
            let _ = write!(
                wide,
                "CREATE TABLE t{table} (id int PRIMARY KEY, name text); INSERT INTO t{table} \
                 SELECT n, 'name ' || n FROM generate_series(1, 100) n; VACUUM ANALYZE t{table};"
            );
        }
        self.proven(("204 tables, 1.6 GB, one of them nearly all", &wide), 0..=203);
        let mut narrow = String::new();
        for table in 1..=8 {
            let _ = write!(
                narrow,
                "CREATE TABLE t{table} (id bigint PRIMARY KEY, name text, at timestamptz, \
                     price numeric(10,2), done boolean, note jsonb); \
                 INSERT INTO t{table} SELECT n, 'name ' || n, now() + n * interval '1 s', n / 7.0, \
                     n % 3 = 0, json_build_object('n', n) FROM generate_series(1, {ROWS}) n; \
                 VACUUM ANALYZE t{table};"
            );
        }
        self.proven(("8 tables, 3.2 million rows with a jsonb each", &narrow), 1..=8);
    }

    fn proven(&self, (title, make): (&str, &str), tables: std::ops::RangeInclusive<usize>) {
        self.fresh("many");
        // One statement a time: VACUUM runs alone.
        let file = self.folder.path().join("make.sql");
        std::fs::write(&file, make).unwrap();
        took(self.psql("many", &["-f", &file.display().to_string()]), 0);
        self.server.execute("postgres", "DROP DATABASE IF EXISTS same").unwrap();
        self.server.execute("postgres", "CREATE DATABASE same TEMPLATE many").unwrap();
        let (many, same) = (self.server.url("many"), self.server.url("same"));
        let of_each = |workers: u8, what: &str| {
            let each = tables.clone().map(|table| format!("SELECT {what} FROM t{table} AS t;"));
            format!("SET max_parallel_workers_per_gather = {workers}; {}", each.collect::<String>())
        };
        let count = of_each(0, "count(*)");
        let server = of_each(2, "count(*), sum(hash_record_extended(t, 0))");
        let jobs: [Job<'_>; 4] = [
            (
                "count(*) of each table",
                Box::new(|| took(self.psql("many", &["-At", "-c", &count]), 0)),
            ),
            (
                "the server's own hash of a record, two workers",
                Box::new(|| took(self.psql("many", &["-At", "-c", &server]), 0)),
            ),
            ("runsheet fingerprint", Box::new(|| took(self.ours(&["fingerprint", &many]), 0))),
            (
                "runsheet diff (both databases)",
                Box::new(|| took(self.ours(&["diff", &many, &same]), 0)),
            ),
        ];
        self.compare(title, &jobs);
        self.server.execute("postgres", "DROP DATABASE many").unwrap();
        self.server.execute("postgres", "DROP DATABASE same").unwrap();
    }

    /// One bit of one value is turned over: is it seen?
    fn planted(&self) {
        self.fresh("bits");
        self.server
            .execute(
                "bits",
                "CREATE TABLE t (id int PRIMARY KEY, a bigint NOT NULL, b bytea NOT NULL, \
                     c uuid NOT NULL, d bit(64) NOT NULL); \
                 INSERT INTO t SELECT n, n * 7919, decode(md5(n::text), 'hex'), md5(n::text)::uuid, \
                     n::bigint::bit(64) FROM generate_series(1, 1000) n",
            )
            .unwrap();
        let target = Target::parse(&self.server.url("bits"), &|_| None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let digest = || {
            runtime.block_on(async {
                let look = Look::open(&target, "bench", 1).await.unwrap();
                let print = look.fingerprint("runsheet", true).await.unwrap();
                look.close().await;
                print.digest
            })
        };
        let before = digest();
        let mut found = 0;
        for trial in 0..TRIALS {
            let (row, bit) = (trial * 619 % 1000 + 1, trial * 31 % 64);
            let set = match trial % 4 {
                0 => format!("a = a # (1::bigint << {bit})"),
                1 => format!("b = set_bit(b, {bit}, 1 - get_bit(b, {bit}))"),
                2 => format!(
                    "c = encode(set_bit(decode(replace(c::text, '-', ''), 'hex'), {bit}, \
                     1 - get_bit(decode(replace(c::text, '-', ''), 'hex'), {bit})), 'hex')::uuid"
                ),
                _ => format!("d = set_bit(d, {bit}, 1 - get_bit(d, {bit}))"),
            };
            let turn = format!("UPDATE t SET {set} WHERE id = {row}");
            self.server.execute("bits", &turn).unwrap();
            found += u64::from(digest() != before);
            self.server.execute("bits", &turn).unwrap();
        }
        assert_eq!(digest(), before, "everything was turned back");
        println!("planted single-bit differences: {found} of {TRIALS} found\n");
    }

    /// A private server from nothing, and from the template that the first one left behind.
    fn servers(&self) {
        let start = |fresh: bool| {
            let mut options =
                ScratchOptions::new(self.programs.clone(), self.folder.path(), "start");
            options.fresh = fresh;
            let started = Instant::now();
            let server = ScratchServer::start(&options).unwrap();
            let took = started.elapsed();
            drop(server);
            took
        };
        let jobs: [Job<'_>; 2] = [
            ("scratch server, initdb", Box::new(|| start(true))),
            ("scratch server, from the template", Box::new(|| start(false))),
        ];
        self.compare("scratch server ready", &jobs);
    }

    /// The copy of 1.6 GB; dump and restore by two jobs each is 1.
    fn copy(&self) {
        self.fresh("large");
        for table in 1..=4 {
            let make = format!(
                "CREATE TABLE l{table} AS SELECT n AS id, md5(n::text) AS a, md5((n + 1)::text) AS b, \
                     now() + n * interval '1 s' AS at FROM generate_series(1, {COPIED}) n; \
                 ALTER TABLE l{table} ADD PRIMARY KEY (id); CREATE INDEX ON l{table} (at);"
            );
            self.server.execute("large", &make).unwrap();
        }
        // With it the source is dumped as any server is: this one's files would be copied.
        self.server.execute("large", "CREATE UNLOGGED TABLE quick (id int)").unwrap();
        self.server.execute("large", "VACUUM ANALYZE").unwrap();
        self.playbook("look", "step(\"look\", #{ undo: || () }, || db::exec(\"SELECT 1\"));");
        let url = self.server.url("large");
        let dumped = || {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("dump").display().to_string();
            let started = Instant::now();
            let mut dump = self.program("pg_dump");
            must(dump.args(["-Fd", "-j2", "-Z0", "-f", &dir, &url]), 0);
            let options = ScratchOptions::new(self.programs.clone(), std::env::temp_dir(), "into");
            let into = ScratchServer::start(&options).unwrap();
            into.create_database("large").unwrap();
            let mut restore = self.program("pg_restore");
            must(restore.args(["-j2", "-d", &into.url("large"), &dir]), 0);
            started.elapsed()
        };
        let copied = || {
            let words = ["rehearse", "look", "--from", &url, "--json"];
            let told = self.told(&words);
            Duration::from_millis(told["copy_ms"].as_u64().unwrap_or(0))
        };
        // What a rehearsal sends to its server before each further round.
        let round = || {
            let started = Instant::now();
            let again = [
                "DROP DATABASE IF EXISTS again",
                "CREATE DATABASE again TEMPLATE large STRATEGY FILE_COPY",
            ];
            for sql in again {
                self.server.execute("postgres", sql).unwrap();
            }
            started.elapsed()
        };
        let jobs: [Job<'_>; 3] = [
            ("pg_dump -Fd -j2, pg_restore -j2", Box::new(dumped)),
            ("runsheet rehearse, its copy", Box::new(copied)),
            ("a further round, from the template", Box::new(round)),
        ];
        self.compare("copy of 1.6 GB into a scratch server", &jobs);
        for database in ["large", "again"] {
            self.server.execute("postgres", &format!("DROP DATABASE {database}")).unwrap();
        }
    }

    /// 1,000 steps with every lock and rewrite looked at; psql with a log row each is 1.
    fn locks(&self) {
        let sql = self.folder.path().join("sql");
        std::fs::create_dir_all(&sql).unwrap();
        let mut all = String::from("CREATE TABLE log (name text PRIMARY KEY);\n");
        for number in 1..=STEPS {
            let text = format!(
                "CREATE TABLE t{number:04} (id bigint PRIMARY KEY, name text NOT NULL);\n\
                 INSERT INTO t{number:04} SELECT g, 'row ' || g FROM generate_series(1, 10) g;\n"
            );
            std::fs::write(sql.join(format!("m{number}.sql")), &text).unwrap();
            let _ = writeln!(all, "BEGIN;\n{text}INSERT INTO log VALUES ('m{number}');\nCOMMIT;");
        }
        std::fs::write(sql.join("all.sql"), all).unwrap();
        self.playbook(
            "thousand",
            &format!(
                "for n in 1..={STEPS} {{ step(`m${{n}}`, || sql::run_file(`sql/m${{n}}.sql`)); }}"
            ),
        );
        let all = sql.join("all.sql").display().to_string();
        let psql = || {
            self.fresh("work");
            took(self.psql("work", &["-f", &all]), 0)
        };
        let traced = || {
            self.fresh("work");
            let url = self.server.url("work");
            let told = self.told(&["rehearse", "thousand", "--from", &url, "--json"]);
            let forward = &told["forward"];
            assert_eq!(forward["steps"].as_array().map_or(0, Vec::len), STEPS, "{told}");
            Duration::from_millis(forward["took_ms"].as_u64().unwrap_or(0))
        };
        let jobs: [Job<'_>; 2] = [
            ("psql, one transaction and log row each", Box::new(psql)),
            ("runsheet rehearse, forward, all measured", Box::new(traced)),
        ];
        self.compare("locks of 1,000 steps", &jobs);
    }

    /// A whole rehearsal: copy, forward, back, forward again, once more, compared each time.
    fn twenty(&self) {
        self.fresh("twenty");
        let make = "CREATE TABLE users (id int PRIMARY KEY, name text); \
            INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 1000) n";
        self.server.execute("twenty", make).unwrap();
        let step = "for n in 1..=20 { step(`column ${n}`, #{ \
            undo: || db::exec(`ALTER TABLE users DROP COLUMN c${n}`) }, \
            || db::exec(`ALTER TABLE users ADD COLUMN c${n} int DEFAULT ${n}`)); } \
            verify(\"all of them\", || expect_equal(\"users\", db::count(\"users\"), 1000));";
        self.playbook("twenty", step);
        let url = self.server.url("twenty");
        let words = ["rehearse", "twenty", "--from", url.as_str()];
        let jobs: [Job<'_>; 1] = [("runsheet rehearse", Box::new(|| took(self.ours(&words), 0)))];
        self.compare("whole rehearsal, 20 steps, 1,000 rows", &jobs);
    }

    fn playbook(&self, name: &str, body: &str) {
        let text = format!("playbook(\"{name}\");\n{body}\n");
        std::fs::write(self.folder.path().join(format!("playbooks/{name}.rhai")), text).unwrap();
    }

    /// What a rehearsal found out, also where the way back is not proven.
    fn told(&self, words: &[&str]) -> Value {
        let output = self.ours(words).stdin(Stdio::null()).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let whole = serde_json::from_str::<Value>(&text).ok();
        whole
            .or(last)
            .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn compare(&self, title: &str, jobs: &[Job<'_>]) {
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); jobs.len()];
        for round in 0..=self.rounds {
            for (index, (_, job)) in jobs.iter().enumerate() {
                let took = job();
                // The first round warms the caches.
                if round > 0 {
                    times[index].push(took);
                }
            }
        }
        println!("| {title} | median | min | max | ratio |\n|---|---|---|---|---|");
        let median = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2].as_secs_f64()
        };
        let one = median(&mut times[0]);
        for (index, (name, _)) in jobs.iter().enumerate() {
            let middle = median(&mut times[index]);
            println!(
                "| {name} | {middle:.3} s | {:.3} | {:.3} | {:.2} |",
                times[index][0].as_secs_f64(),
                times[index].last().unwrap().as_secs_f64(),
                middle / one
            );
        }
        println!();
    }
}

fn must(command: &mut Command, code: i32) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
}

fn took(mut command: Command, code: i32) -> Duration {
    let started = Instant::now();
    must(&mut command, code);
    started.elapsed()
}
