//! P11: playbooks that want more than they may: stopped, in bounded time and memory, with nothing
//! of the outside read or touched.

use std::collections::VecDeque;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::project::holds;
use crate::support::{Cluster, Project};

/// What stands in files that no playbook may read.
const OUTSIDE: &str = "canary-from-outside";
/// With the test's own bounds: 300,000 operations, 2 seconds of computing, 200 MiB.
const LONGEST: Duration = Duration::from_secs(30);
const LARGEST_KIB: u64 = 700 * 1024;

/// Name, the code of the fault that ends it, and text; OUT is a folder beside the project, with files in it. What the step before a
/// catch has done must be gone as well.
const PLAYBOOKS: &[(&str, &str, &str)] = &[
    // F78: time.
    ("a loop", "limit", "loop { }"),
    ("a loop in a step", "limit", r#"step("a", || { db::exec("DELETE FROM items"); loop { } });"#),
    (
        "a loop around a catch",
        "limit",
        r#"step("a", || { db::exec("DELETE FROM items"); loop { try { throw 1 } catch { } } });"#,
    ),
    (
        "a loop inside of a catch",
        "limit",
        r#"step("a", || { db::exec("DELETE FROM items"); try { loop { } } catch { } loop { } });"#,
    ),
    ("a range without end", "limit", "for i in range(0, 9223372036854775807) { }"),
    ("a loop in a sort", "limit", "let a = [3, 2, 1]; a.sort(|x, y| { loop { } });"),
    (
        "a stop that a sort swallows",
        "not-true",
        r#"[2, 1].sort(|a, b| { check("no", || false); 1 }); step("a", || db::exec("DELETE FROM items"));"#,
    ),
    ("a loop in a map", "limit", "[1, 2].map(|x| { while true { } });"),
    ("a loop in a condition", "limit", "let i = 0; do { i += 1; } while i > 0;"),
    ("a loop in a check", "limit", r#"check("c", || { loop { } });"#),
    ("a loop in a function of another file", "limit", "import \"tool\" as t; t::spin();"),
    (
        "a query without end",
        "timeout",
        r#"step("a", #{ timeout: "1s" }, || { db::exec("DELETE FROM items"); db::query("SELECT pg_sleep(3600)") });"#,
    ),
    (
        "a pause without end",
        "timeout",
        r#"step("a", #{ timeout: "1s" }, || { db::exec("DELETE FROM items"); sleep(3600) });"#,
    ),
    ("many short pauses", "limit", "loop { sleep(0) }"),
    // F79: depth.
    ("a function that calls itself", "limit", "fn f(n) { f(n + 1) } f(0);"),
    ("two functions that call each other", "limit", "fn a(n) { b(n) } fn b(n) { a(n) } a(0);"),
    ("a closure that calls itself", "limit", "let f = |g| g.call(g); f.call(f);"),
    ("parentheses", "syntax", "let x = DEEP(1)DEEP;"),
    ("arrays in arrays", "syntax", "let x = DEEP[1]DEEP;"),
    ("JSON in JSON", "thrown", r#"let s = "["; for i in 0..17 { s += s; } parse_json(s + "1");"#),
    ("an array that grows inwards", "limit", "let a = []; loop { a = [a]; }"),
    // F80: memory.
    ("a text that doubles", "limit", r#"let s = "x"; loop { s += s; }"#),
    ("a text that is padded", "limit", r#"let s = "x"; s.pad(1000000000, "x");"#),
    ("an array that doubles", "limit", "let a = [1]; loop { a += a; }"),
    ("an array that is padded", "limit", "let a = []; a.pad(1000000000, 1);"),
    ("a blob", "limit", "let b = blob(4000000000);"),
    (
        "a map that grows by index",
        "limit",
        r#"let m = #{}; let i = 0; loop { m["k" + i] = i; i += 1; }"#,
    ),
    (
        "a map full of texts",
        "limit",
        r#"let s = "x"; s.pad(8000000, "x"); let m = #{}; let i = 0; loop { m["k" + i] = s + i; i += 1; }"#,
    ),
    (
        "an array full of texts",
        "limit",
        r#"let s = "x"; s.pad(8000000, "x"); let a = []; loop { a.push(s + a.len()); }"#,
    ),
    (
        "closures that keep what they captured",
        "limit",
        r#"let s = "x"; s.pad(8000000, "x"); let a = []; loop { let t = s + a.len(); a.push(|| t); }"#,
    ),
    ("variables without end", "limit", "let code = 0; HUNDRED loop { code += 1; }"),
    ("remarks without end", "limit", r#"let s = "x"; s.pad(100000, "x"); loop { note(s); }"#),
    ("prints without end", "limit", r#"let s = "x"; s.pad(100000, "x"); loop { print(s); }"#),
    // F83, F84: files.
    ("an import by its full path", "path-refused", "import \"/etc/passwd\" as x;"),
    ("an import from above", "path-refused", "import \"../../outside/code\" as x;"),
    ("an import through a link", "path-outside", "import \"linked\" as x; x::f();"),
    (
        "an import whose name is put together",
        "import-not-literal",
        "let x = \"../../out\" + \"side/code\"; import x as y;",
    ),
    ("a circle of imports", "import-circle", "import \"round\" as x;"),
    ("imports without end", "limit", "let i = 0; loop { import \"tool\" as t; i += 1; }"),
    (
        "an SQL file by its full path",
        "path-outside",
        r#"step("a", || sql::run_file("/etc/passwd"));"#,
    ),
    (
        "an SQL file from above",
        "path-refused",
        r#"step("a", || sql::run_file("../outside/up.sql"));"#,
    ),
    (
        "an SQL file through a link",
        "path-outside",
        r#"step("a", || sql::run_file("sql/linked.sql"));"#,
    ),
    (
        "an SQL file that includes one from outside",
        "sql-path-outside",
        r#"step("a", || sql::run_file("sql/include.sql"));"#,
    ),
    (
        "an SQL file that starts a shell",
        "sql-meta-refused",
        r#"step("a", || { db::exec("DELETE FROM items"); sql::run_file("sql/shell.sql") });"#,
    ),
    (
        "an SQL file that copies into a program",
        "sql-meta-refused",
        r#"step("a", || { db::exec("DELETE FROM items"); sql::run_file("sql/program.sql") });"#,
    ),
    (
        "a file of the system",
        "path-outside",
        r#"check("c", || { note(fs::text("/etc/passwd")); true });"#,
    ),
    (
        "a file from above",
        "path-outside",
        r#"check("c", || { note(fs::text("../outside/secret.txt")); true });"#,
    ),
    (
        "a file through a link",
        "path-outside",
        r#"check("c", || { note(fs::text("linked.txt")); true });"#,
    ),
    (
        "an attachment from outside",
        "path-outside",
        r#"step("a", || report::attach("../outside/secret.txt"));"#,
    ),
    (
        "a copy of a file from outside",
        "path-outside",
        r#"step("a", || fs::backup("../outside/secret.txt"));"#,
    ),
    (
        "a file over HTTP",
        "bad-url",
        r#"check("c", || { note(http::get("file:///etc/passwd")); true });"#,
    ),
    // F77: commands.
    ("a shell", "command-not-allowed", r#"step("a", || app::run(["sh", "-c", "touch pwned"]));"#),
    (
        "a program by its path",
        "command-not-allowed",
        r#"step("a", || app::run(["/bin/touch", "pwned"]));"#,
    ),
    ("a command line in one text", "not-an-argv", r#"step("a", || app::run("touch pwned"));"#),
    (
        "a program that a check starts",
        "write-in-check",
        r#"check("c", || app::run(["touch", "pwned"]));"#,
    ),
    // F85, and what would get around the stops.
    ("eval", "no-eval", r#"eval("let x = 1");"#),
    (
        "an end that the script chooses",
        "no-exit",
        "step(\"a\", || { db::exec(\"DELETE FROM items\"); exit(0) });",
    ),
    ("a write outside of a step", "write-outside-step", r#"db::exec("DELETE FROM items");"#),
    ("a write in a check", "write-in-check", r#"check("c", || db::exec("DELETE FROM items"));"#),
    (
        "a write in a check's query",
        "sql-error",
        r#"check("c", || { db::query("DELETE FROM items RETURNING id"); true });"#,
    ),
    (
        "a write in a check's function",
        "sql-error",
        r#"check("c", || db::value("SELECT nuke()") > 0);"#,
    ),
    (
        "a check that makes itself writable",
        "sql-error",
        r#"check("c", || { db::query("SELECT set_config('transaction_read_only', 'off', true), nuke()"); true });"#,
    ),
    (
        "a COMMIT in a step",
        "transaction-control",
        r#"step("a", || { db::exec("DELETE FROM items; COMMIT; SELECT 1 / 0") });"#,
    ),
    (
        "a failed check that is caught",
        "not-true",
        r#"try { check("c", || false) } catch { } step("a", || db::exec("DELETE FROM items"));"#,
    ),
    (
        "a failed step that is caught",
        "sql-error",
        r#"try { step("a", || db::exec("SELECT 1 / 0")) } catch { } step("b", || db::exec("DELETE FROM items"));"#,
    ),
    (
        "a refused person that is caught",
        "failed",
        "step(\"a\", || { db::exec(\"DELETE FROM items\"); try { fail(\"no\") } catch { } fail(\"no\") });",
    ),
    (
        "a step in a step",
        "nested-item",
        r#"step("a", || { db::exec("DELETE FROM items"); step("b", || 1) });"#,
    ),
    (
        "a step in an undo",
        "nested-item",
        r#"step("a", #{ undo: || step("b", || 1) }, || db::exec("DELETE FROM items")); step("c", || fail("x"));"#,
    ),
    ("a second playbook", "playbook-twice", "step(\"a\", || 1); playbook(\"other\");"),
    (
        "a name that is called later",
        "unknown-verb",
        r#"let f = Fn("db::exec"); f.call("DELETE FROM items");"#,
    ),
    (
        "an outer variable that a step changes",
        "outer-assignment",
        r#"let n = 0; step("a", || { db::exec("DELETE FROM items"); n = 1; });"#,
    ),
    (
        "a title without end",
        "title-too-long",
        r#"let s = "x"; s.pad(60000000, "x"); step(s, || { db::exec("DELETE FROM items"); fail(s) });"#,
    ),
];

/// What was measured of one.
struct Stopped {
    name: &'static str,
    took: Duration,
    kibibytes: u64,
}

/// F77 to F85.
#[test]
fn p11_every_hostile_playbook_is_stopped_in_bounded_time_and_memory() {
    let cluster = Cluster::start();
    let queue: Mutex<VecDeque<&(&str, &str, &str)>> = Mutex::new(PLAYBOOKS.iter().collect());
    let stopped: Mutex<Vec<Stopped>> = Mutex::default();
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (cluster, queue, stopped) = (&cluster, &queue, &stopped);
            scope.spawn(move || {
                let database = format!("hostile_{worker}");
                cluster.create_database(&database);
                cluster.sql(&database, "CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 20);
                    CREATE FUNCTION nuke() RETURNS int LANGUAGE sql AS 'WITH gone AS (DELETE FROM items RETURNING 1) SELECT count(*)::int FROM gone'");
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some((name, code, body)) = next else { return };
                    let played = std::panic::catch_unwind(|| play(cluster, &database, (name, code), body));
                    match played {
                        Ok(one) => stopped.lock().unwrap().push(one),
                        Err(_) => eprintln!("NOT STOPPED: {name}"),
                    }
                }
            });
        }
    });
    let stopped = stopped.into_inner().unwrap();
    assert_eq!(stopped.len(), PLAYBOOKS.len(), "see above which were not");
    let longest = stopped.iter().max_by_key(|one| one.took).unwrap();
    let largest = stopped.iter().max_by_key(|one| one.kibibytes).unwrap();
    eprintln!(
        "{} hostile playbooks: {} stopped, longest {:.1?} ({}), largest {} MiB ({})",
        PLAYBOOKS.len(),
        stopped.len(),
        longest.took,
        longest.name,
        largest.kibibytes / 1024,
        largest.name
    );
    assert!(PLAYBOOKS.len() >= 40);
    assert!(longest.took < LONGEST, "{} took {:?}", longest.name, longest.took);
    assert!(largest.kibibytes < LARGEST_KIB, "{}: {} KiB", largest.name, largest.kibibytes);
}

/// Plays one, and looks at what it left behind.
fn play(
    cluster: &Cluster,
    database: &str,
    (name, code): (&'static str, &str),
    body: &str,
) -> Stopped {
    let mut project = Project::new();
    let root = project.path().join("project");
    let outside = project.path().join("outside");
    for (path, text) in [
        ("outside/code.rhai", "fn f() { note(\"canary-from-outside\") }"),
        ("outside/up.sql", "DELETE FROM items; -- canary-from-outside"),
        ("outside/secret.txt", OUTSIDE),
        ("project/runsheet.toml", "[run]\nconnect_tries = 1\n"),
        ("project/playbooks/tool.rhai", "fn spin() { loop { } }"),
        ("project/playbooks/round.rhai", "import \"round\" as x;"),
        ("project/sql/include.sql", "\\ir ../../outside/up.sql\n"),
        ("project/sql/shell.sql", "\\! touch pwned\n"),
        ("project/sql/program.sql", "\\copy items to program 'touch pwned'\n"),
    ] {
        project.file(path, text);
    }
    for (link, to) in [
        ("playbooks/linked.rhai", "code.rhai"),
        ("sql/linked.sql", "up.sql"),
        ("linked.txt", "secret.txt"),
    ] {
        symlink(outside.join(to), root.join(link)).unwrap();
    }
    let body = match body.split_once("DEEP") {
        Some((before, rest)) => {
            let (middle, after) = rest.split_once("DEEP").unwrap();
            let (open, close) = middle.split_once('1').unwrap();
            format!("{before}{}1{}{after}", open.repeat(5_000), close.repeat(5_000))
        }
        None => body.replace(
            "HUNDRED",
            &(0..20_000).map(|n| format!("let v{n} = {n};")).collect::<String>(),
        ),
    };
    project.file("project/playbooks/it.rhai", &format!("let p = playbook(\"it\");\n{body}\n"));
    project.env("RUNSHEET_OPERATIONS", "300000").env("RUNSHEET_MEMORY", "209715200");
    project.env("RUNSHEET_SECONDS", "2");
    let url = cluster.url(database);
    let folder = root.to_string_lossy().into_owned();
    let args =
        ["run", "it", "--yes", "--on-failure", "rollback", "--project", &folder, "--url", &url];
    let mut command = project.command(&args);
    command.current_dir(&root);
    let since = Instant::now();
    let running = crate::support::project::Running::start(command, root.clone());
    let (id, over) = (running.id(), AtomicBool::new(false));
    // A run that is refused at once may be over before the thread below has its first turn.
    let at_first = high_water(id).unwrap_or(0);
    let (ran, kibibytes) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = at_first;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(high_water(id).unwrap_or(0));
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let ran = running.wait();
        over.store(true, Ordering::Relaxed);
        (ran, peak.join().unwrap())
    });
    let took = since.elapsed();
    let told: String = ran.stderr.chars().take(2_000).collect();
    // A mistake, a failure, or some steps that stand; never a signal, never success.
    assert!([1, 2, 4, 5].contains(&ran.code), "{name}: exit {}\n{told}", ran.code);
    let said = ran.stderr.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
    assert_eq!(said.map(|(said, _)| said), Some(code), "{name}\n{told}");
    assert!(!ran.stderr.contains("[internal]"), "{name}: a panic is no stop\n{told}");
    let brief = took < Duration::from_millis(500);
    assert!(kibibytes > 0 || brief, "{name}: nobody measured its memory in {took:?}");
    for output in [&ran.stdout, &ran.stderr] {
        assert!(
            !output.contains(OUTSIDE) && !output.contains("root:x:"),
            "{name}: outside was read"
        );
    }
    let kept = holds(&root.join(".runsheet"), OUTSIDE.as_bytes());
    assert!(kept.is_none(), "{name}: outside was read, see {kept:?}");
    assert!(!exists_below(project.path(), "pwned"), "{name}: a program was started");
    let left = cluster.value(database, "SELECT count(*) FROM items");
    assert_eq!(left, "20", "{name}: rows are gone\n{}\n{told}", ran.code);
    cluster.sql(database, "DROP SCHEMA IF EXISTS runsheet CASCADE");
    Stopped { name, took, kibibytes }
}

fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            _ => vec![entry.path()],
        })
        .collect()
}

fn exists_below(folder: &Path, name: &str) -> bool {
    files(folder).iter().any(|path| path.ends_with(name))
}
