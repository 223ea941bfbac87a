//! The figures of docs/performance.md: `cargo bench --bench peers [-- ROUNDS]
//! [start-up] [idle] [thousand] [big]`.
//!
//! runsheet and its peers do the same work against one private server, one after the other in each
//! round, so that a noisy machine disturbs all of them alike. Printed are medians and the ratio to
//! psql. Server and project lie in the folder for temporary files: `TMPDIR=/dev/shm` keeps the file
//! system of the machine out of the figures. A peer that is not installed is left out and named.
//! psql is the real binary, not the wrapper of Debian.
//!
//! How fast a program starts depends on how its file got into the system's cache. What a linker has
//! written is mapped page by page, what was copied in larger pieces: runsheet is copied first.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "peers/others.rs"]
mod others;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use others::Peer;
use runsheet::postgres::programs::Programs;
use runsheet::postgres::scratch::{ScratchOptions, ScratchServer};

/// Small migrations of the first table.
const SMALL: usize = 1_000;
/// Size of the big SQL file.
const BIG_BYTES: usize = 100 * 1024 * 1024;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir().expect("a folder");
    let programs = Programs::new(None, None);
    let psql = programs.find("psql", None).expect("psql").path;
    let own = ScratchOptions::new(programs, std::env::temp_dir(), "bench");
    let server = ScratchServer::start(&own).expect("a server");
    // A copy, as `cargo install` makes one: so the others came here.
    let built = Path::new(env!("CARGO_BIN_EXE_runsheet"));
    let beside = tempfile::tempdir_in(built.parent().unwrap()).expect("a folder");
    let installed = beside.path().join("runsheet");
    std::fs::copy(built, &installed).expect("a copy");
    let bench = Bench {
        runsheet: installed,
        psql,
        server,
        folder: folder.path().into(),
        rounds,
        peers: Peer::all(),
    };
    bench.write_project();
    println!("rounds: {rounds}, server: {:?}, cores: {}\n", bench.server.version(), cores());
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| {
        words.iter().all(|word| word.parse::<usize>().is_ok()) || words.iter().any(|w| w == name)
    };
    if wanted("start-up") {
        bench.start_up();
    }
    if wanted("idle") {
        bench.nothing_to_do();
    }
    if wanted("thousand") {
        bench.thousand();
    }
    if wanted("big") {
        bench.big_file();
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

struct Bench {
    runsheet: PathBuf,
    psql: PathBuf,
    server: ScratchServer,
    folder: PathBuf,
    rounds: usize,
    peers: Vec<Peer>,
}

type Job<'a> = (&'static str, Box<dyn Fn() -> Command + 'a>);

impl Bench {
    fn write_project(&self) {
        let sql = self.folder.join("sql");
        std::fs::create_dir_all(&sql).unwrap();
        std::fs::create_dir_all(self.folder.join("playbooks")).unwrap();
        std::fs::write(self.folder.join("runsheet.toml"), "[project]\nname = \"bench\"\n").unwrap();
        let mut all = String::from(
            "CREATE TABLE log (name text PRIMARY KEY, at timestamptz DEFAULT now());\n",
        );
        for number in 1..=SMALL {
            let text = format!(
                "CREATE TABLE t{number:04} (id bigint PRIMARY KEY, name text NOT NULL);\n\
                 INSERT INTO t{number:04} SELECT g, 'row ' || g FROM generate_series(1, 10) g;\n"
            );
            for peer in &self.peers {
                peer.write(&self.folder.join("thousand"), number, &text);
                if number == 1 {
                    peer.write(&self.folder.join("one"), number, &text);
                }
            }
            std::fs::write(sql.join(format!("m{number}.sql")), text).unwrap();
            let _ = writeln!(
                all,
                "BEGIN;\n\\i m{number}.sql\nINSERT INTO log VALUES ('m{number}');\nCOMMIT;"
            );
        }
        std::fs::write(sql.join("all.psql"), all).unwrap();
        let mut big = String::from("CREATE TABLE big (id bigint, text text);\n");
        let mut number = 0u64;
        while big.len() < BIG_BYTES {
            big.push_str("INSERT INTO big VALUES");
            for turn in 0..400 {
                let comma = if turn == 0 { "" } else { "," };
                let _ = write!(
                    big,
                    "{comma}\n ({number}, 'the text of row {number}, long enough to be a row')"
                );
                number += 1;
            }
            big.push_str(";\n");
        }
        std::fs::write(sql.join("big.sql"), big).unwrap();
        self.playbook(
            "thousand",
            &format!(
                "for n in 1..={SMALL} {{ step(`m${{n}}`, || sql::run_file(`sql/m${{n}}.sql`)); }}"
            ),
        );
        self.playbook("big", "step(\"big\", || sql::run_file(\"sql/big.sql\"));");
        self.playbook("done", "step(\"one\", || db::exec(\"CREATE TABLE one (id int)\"));");
    }

    fn playbook(&self, name: &str, body: &str) {
        let text = format!("playbook(\"{name}\");\n{body}\n");
        std::fs::write(self.folder.join(format!("playbooks/{name}.rhai")), text).unwrap();
    }

    fn ours(&self, args: &[&str], database: Option<&str>) -> Command {
        let mut command = Command::new(&self.runsheet);
        command.args(args).current_dir(&self.folder).env_clear().env("LANG", "C.UTF-8");
        if let Some(database) = database {
            command.arg("--url").arg(self.server.url(database));
        }
        command
    }

    fn theirs(&self, args: &[&str], database: Option<&str>) -> Command {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q"]).args(args).current_dir(self.folder.join("sql"));
        if let Some(database) = database {
            command.arg(self.server.url(database));
        }
        command
    }

    /// The others' jobs: everything pending of a folder, into a database.
    fn others<'a>(&'a self, folder: &str, database: impl Fn(&Peer) -> String) -> Vec<Job<'a>> {
        let job = |peer: &'a Peer| -> Job<'a> {
            let (folder, database) = (self.folder.join(folder), database(peer));
            let (sockets, port) = (self.server.socket_dir(), self.server.port());
            (peer.name, Box::new(move || peer.migrate(&folder, sockets, port, &database)))
        };
        self.peers.iter().map(job).collect()
    }

    fn start_up(&self) {
        let jobs: Vec<Job<'_>> = vec![
            (
                "psql --version",
                Box::new(|| {
                    let mut command = Command::new(&self.psql);
                    command.arg("--version");
                    command
                }),
            ),
            ("runsheet list", Box::new(|| self.ours(&["list"], None))),
        ];
        self.compare("start-up", &jobs, self.rounds * 10, |_| {});
    }

    fn nothing_to_do(&self) {
        self.server.create_database("idle").unwrap();
        must(self.ours(&["run", "done"], Some("idle")));
        let others = self.others("one", |peer| format!("idle_{}", peer.name));
        for (name, job) in &others {
            self.server.create_database(&format!("idle_{name}")).unwrap();
            must(job());
        }
        let mut jobs: Vec<Job<'_>> = vec![
            ("psql -c 'select 1'", Box::new(|| self.theirs(&["-c", "select 1"], Some("idle")))),
            (
                "runsheet run (nothing to do)",
                Box::new(|| self.ours(&["run", "done"], Some("idle"))),
            ),
        ];
        jobs.extend(others);
        self.compare("nothing to do", &jobs, self.rounds * 6, |_| {});
    }

    fn thousand(&self) {
        let mut jobs: Vec<Job<'_>> = vec![
            (
                "psql, one transaction and log row each",
                Box::new(|| {
                    self.theirs(&["-v", "ON_ERROR_STOP=1", "-f", "all.psql"], Some("work"))
                }),
            ),
            (
                "runsheet, 1,000 journaled steps",
                Box::new(|| self.ours(&["run", "thousand"], Some("work"))),
            ),
        ];
        jobs.extend(self.others("thousand", |_| "work".into()));
        self.compare("1,000 small migrations", &jobs, self.rounds, |bench| bench.fresh());
    }

    fn big_file(&self) {
        let jobs: Vec<Job<'_>> = vec![
            (
                "psql -1 -f big.sql",
                Box::new(|| {
                    self.theirs(&["-1", "-v", "ON_ERROR_STOP=1", "-f", "big.sql"], Some("work"))
                }),
            ),
            ("runsheet, one step", Box::new(|| self.ours(&["run", "big"], Some("work")))),
        ];
        self.compare("a file of 100 MiB", &jobs, self.rounds, |bench| bench.fresh());
    }

    fn fresh(&self) {
        let _ = std::fs::remove_dir_all(self.folder.join(".runsheet"));
        self.server.execute("postgres", "DROP DATABASE IF EXISTS work").unwrap();
        self.server.create_database("work").unwrap();
        self.server.execute("postgres", "CHECKPOINT").unwrap();
    }

    fn compare(&self, title: &str, jobs: &[Job<'_>], rounds: usize, before: impl Fn(&Self)) {
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); jobs.len()];
        let mut memory = vec![0u64; jobs.len()];
        for (index, (_, job)) in jobs.iter().enumerate() {
            before(self);
            // The first round warms the caches.
            memory[index] = peak(job());
        }
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        for _ in 0..rounds {
            // What is left of a job behind its end is not always the same one's loss.
            order.reverse();
            order.rotate_left(1);
            for &index in &order {
                before(self);
                times[index].push(timed(jobs[index].1()));
            }
        }
        println!(
            "| {title} | median | min | max | ratio | peak memory |\n|---|---|---|---|---|---|"
        );
        let floor = median(&mut times[0]);
        for (index, (name, _)) in jobs.iter().enumerate() {
            let middle = median(&mut times[index]);
            println!(
                "| {name} | {:.1} ms | {:.1} | {:.1} | {:.2} | {:.1} MiB |",
                millis(middle),
                millis(times[index][0]),
                millis(*times[index].last().unwrap()),
                middle.as_secs_f64() / floor.as_secs_f64(),
                memory[index] as f64 / 1024.0,
            );
        }
        println!();
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Runs it to its good end.
fn must(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Wall time.
fn timed(command: Command) -> Duration {
    let started = Instant::now();
    must(command);
    started.elapsed()
}

/// Peak memory in KiB as GNU time tells it where that is installed.
fn peak(command: Command) -> u64 {
    let output = must(under_time(command));
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rev().find_map(|line| line.strip_prefix("peak ")?.parse().ok()).unwrap_or(0)
}

fn under_time(command: Command) -> Command {
    if !Path::new("/usr/bin/time").exists() {
        return command;
    }
    let mut outer = Command::new("/usr/bin/time");
    outer.args(["-f", "peak %M"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}
