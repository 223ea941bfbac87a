//! `runsheet run container-start`: the entry point of containers, alone and fifty at once.

use std::io::Write;
use std::process::{Command, Stdio};

use super::application::Application;
use super::ground::shipped;
use super::wait_for_file;
use crate::faults::fingerprint;
use crate::support::project::{Running, program};
use crate::support::{Cluster, Gate, Project, Ran};

const PHONE: &str = "SELECT EXISTS (SELECT FROM information_schema.columns \
                     WHERE table_name = 'users' AND column_name = 'phone')";
const SESSIONS: &str = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%') \
     AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')";

/// A server, a database as it was before, and one image.
struct Harbour {
    cluster: Cluster,
    image: Project,
}

impl Harbour {
    fn new() -> Self {
        Self::on(Cluster::start())
    }

    fn on(cluster: Cluster) -> Self {
        let harbour = Self { cluster, image: Project::new() };
        harbour.cluster.create_database("main");
        harbour.cluster.psql("main", &shipped("container-start", "schema.sql"), &[]);
        harbour.cluster.psql("main", &shipped("container-start", "data.sql"), &["rows=200"]);
        harbour
    }

    fn start(&self, words: &[&str]) -> Running {
        self.start_from(&self.image, words)
    }

    fn start_from(&self, image: &Project, words: &[&str]) -> Running {
        image.spawn(&self.with_words(words).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn with_words(&self, words: &[&str]) -> Vec<String> {
        let url = self.cluster.url("main");
        let begin = ["run", "container-start", "--lang", "ko", "--url", &url];
        begin.iter().chain(words).map(|word| word.to_string()).collect()
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.start(words).wait()
    }

    fn value(&self, sql: &str) -> String {
        self.cluster.value("main", sql)
    }

    fn fingerprint(&self) -> String {
        fingerprint(&self.cluster, "main")
    }

    fn nothing_is_left(&self) {
        self.cluster.wait_until("main", SESSIONS);
    }

    /// The image's releases, each with its SQL.
    fn releases(&self, image: &Project, releases: &[(&str, &str)]) {
        let mut toml = String::from("[playbook.container-start.params]\nreleases = [\n");
        for (name, up) in releases {
            image.file(&format!("sql/{name}.sql"), up);
            image.file(
                &format!("sql/{name}.down.sql"),
                &format!("ALTER TABLE users DROP COLUMN {name};"),
            );
            toml.push_str(&format!(
                "{{ name = \"{name}\", up = \"sql/{name}.sql\", down = \"sql/{name}.down.sql\", \
                 table = \"users\", column = \"{name}\" }},\n"
            ));
        }
        image.file("runsheet.toml", &format!("{toml}]\n[commands]\nallow = [\"false\"]\n"));
    }

    fn columns(&self) -> String {
        self.value(
            "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) \
             FROM information_schema.columns WHERE table_name = 'users'",
        )
    }
}

/// G2.01, G2.04, G2.05, G2.11, G2.12: what the operator reads, and what stands afterwards.
#[test]
fn a_start_migrates_seeds_says_so_and_the_next_start_finds_nothing_to_do() {
    let harbour = Harbour::new();
    let before = harbour.fingerprint();
    let url = harbour.cluster.url("main");
    harbour.image.run(&["plan", "container-start", "--url", &url]).exits(0).shows("G2.13");
    assert_eq!(harbour.fingerprint(), before);

    let ran = harbour.run(&[]);
    ran.exits(0)
        .shows("✅ DATABASE_URL 설정됨")
        .shows("데이터베이스: main")
        .shows("데이터베이스 연결 성공 (시도: 1/30)")
        .shows("마이그레이션 락 획득 성공 (1234567890)")
        .shows("데이터베이스 스키마 동기화 성공")
        .shows("users.phone 컬럼이 존재합니다");
    // Every line of the log stands behind a clock.
    assert!(ran.stdout.lines().all(|line| line.as_bytes().get(9) == Some(&b']')), "{}", ran.stdout);
    let after = harbour.fingerprint();
    assert_eq!(harbour.value("SELECT count(*) FROM plans"), "3");

    harbour.run(&[]).exits(0).shows("할 일 없음").shows("users.phone 컬럼이 존재합니다");
    assert_eq!(harbour.fingerprint(), after);
    assert_eq!(harbour.value("SELECT count(*) FROM runsheet.run"), "1");
    harbour.nothing_is_left();

    let run = harbour.value("SELECT run FROM runsheet.run");
    let words = ["rollback", &run, "--yes", "--lang", "ko", "--url", &url];
    harbour.image.run(&words).exits(0);
    assert_eq!(harbour.fingerprint(), before);
}

/// G2.02: the server comes up while the container is waiting for it.
#[test]
fn a_database_that_comes_up_late_is_waited_for() {
    let mut harbour = Harbour::new();
    let before = harbour.fingerprint();
    harbour.cluster.stop();
    let run = harbour.start(&["--set", "tries=600", "--set", "every=50ms"]);
    wait_for_file(&harbour.image.path().join(".runsheet"));
    harbour.cluster.restart();
    run.wait().exits(0).shows("데이터베이스 연결 성공 (시도: ");
    assert_ne!(harbour.fingerprint(), before);
}

/// G2.02, G2.08: it never comes up.
#[test]
fn a_database_that_never_comes_up_ends_the_container_with_a_code_of_its_own() {
    let mut harbour = Harbour::new();
    harbour.cluster.stop();
    harbour
        .run(&["--set", "tries=3", "--set", "every=10ms"])
        .exits(7)
        .shows("3회 중 1회째 실패")
        .shows("3회 중 2회째 실패")
        .shows("G2.02");
}

/// G2.03, G2.08: each right that is missing, with its GRANT, before anything is changed.
#[test]
fn a_role_that_may_not_change_tables_is_told_which_rights_it_lacks() {
    let harbour = Harbour::new();
    harbour.cluster.sql("main", "CREATE ROLE web LOGIN; GRANT USAGE ON SCHEMA public TO web; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    harbour.cluster.sql("main", "GRANT CREATE ON DATABASE main TO web");
    let before = harbour.fingerprint();
    let url = harbour.cluster.url("main").replace("user=postgres", "user=web");
    let words = ["run", "container-start", "--lang", "ko", "--url", &url];
    harbour.image.run(&words).exits(1).shows("G2.03").shows("GRANT CREATE ON SCHEMA");
    assert_eq!(harbour.fingerprint(), before);
}

/// G2.04: a name that has to be percent-encoded, over a socket; and another database than meant.
#[test]
fn the_database_is_named_and_another_one_than_meant_is_refused() {
    let harbour = Harbour::new();
    harbour.cluster.sql("postgres", "CREATE DATABASE \"주문 50%\" TEMPLATE main");
    let url = harbour.cluster.url("주문 50%");
    let run = |words: &[&str]| {
        let begin = ["run", "container-start", "--lang", "ko", "--url", &url];
        harbour.image.run(&[&begin, words].concat())
    };
    run(&["--set", "name=main"]).exits(1).shows("주문 50%").shows("main").shows("G2.04");
    assert_eq!(harbour.cluster.value("주문 50%", PHONE), "f");
    run(&["--set", "name=주문 50%"]).exits(0).shows("데이터베이스: 주문 50%");
    assert_eq!(harbour.cluster.value("주문 50%", PHONE), "t");
}

/// G2.04: the address form of IPv6, with brackets and without.
#[test]
fn an_ipv6_address_is_understood_with_its_brackets() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no ::1");
        return;
    }
    let settings = [("listen_addresses", "127.0.0.1,::1")];
    let harbour = Harbour::on(Cluster::with_settings(&settings));
    let port = harbour.cluster.port();
    let words = ["run", "container-start", "--lang", "ko", "--url"];
    let run = |url: &str, more: &[&str]| harbour.image.run(&[&words[..], &[url], more].concat());
    let bare = format!("postgresql://postgres:hunter2@::1:{port}/main");
    run(&bare, &[]).exits(2).shows("url-ipv6").shows("[::1]").shows_nowhere("hunter2");
    assert_eq!(harbour.value(PHONE), "f");
    let url = format!("postgresql://postgres@[::1]:{port}/main");
    run(&url, &["--set", "host=127.0.0.1"]).exits(1).shows("G2.04").shows("::1");
    assert_eq!(harbour.value(PHONE), "f");
    run(&url, &["--set", "host=::1"]).exits(0).shows("호스트: ::1");
    assert_eq!(harbour.value(PHONE), "t");
}

/// G2.05: the history says done, the column is not there.
#[test]
fn a_column_that_somebody_dropped_keeps_the_next_container_from_starting() {
    let harbour = Harbour::new();
    harbour.run(&[]).exits(0);
    harbour.cluster.sql("main", "ALTER TABLE users DROP COLUMN phone");
    harbour
        .run(&["--", "touch", "started"])
        .exits(6)
        .shows("기록에는 적용되었다고 되어 있는데 users.phone 컬럼이 없습니다");
    assert!(!harbour.image.path().join("started").exists());
}

/// G2.06: fifty containers, each a machine of its own with its own state folder.
#[test]
fn of_fifty_containers_started_at_once_one_migrates_and_all_start() {
    let harbour = Harbour::new();
    let state = |n: u32| harbour.image.path().join(format!("state{n}")).display().to_string();
    let all: Vec<_> = (0..50).map(|n| harbour.start(&["--state", &state(n)])).collect();
    let ended: Vec<Ran> = all.into_iter().map(Running::wait).collect();
    ended.iter().for_each(|ran| {
        ran.exits(0).shows("users.phone 컬럼이 존재합니다");
    });
    let done = ended.iter().filter(|ran| ran.stdout.contains("스키마 동기화 성공")).count();
    assert_eq!(done, 1, "one migrates");
    assert_eq!(harbour.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    assert_eq!(harbour.value("SELECT count(*) FROM plans"), "3");
    harbour.nothing_is_left();
}

/// G2.06, G2.08: a tool that is no runsheet holds the same number.
#[test]
fn whoever_else_holds_the_number_is_named() {
    let harbour = Harbour::new();
    let client = holding(&harbour, 1_234_567_890);
    harbour.run(&["--no-wait"]).exits(3).shows("1234567890").shows("prisma");
    client.open();
    harbour.run(&[]).exits(0);
}

/// G2.07: the client's generator fails, the rest goes on.
#[test]
fn a_generator_that_fails_stops_nothing() {
    let harbour = Harbour::new();
    harbour.image.file("runsheet.toml", "[commands]\nallow = [\"false\"]\n");
    harbour.run(&["--set", "generate=[\"false\"]"]).exits(0).shows("G2.07").shows("선택 항목");
    assert_eq!(harbour.value(PHONE), "t");
}

/// G2.09: what would lose data stops before anything, and says where.
#[test]
fn a_statement_that_loses_data_is_refused_until_somebody_says_that_it_may() {
    let harbour = Harbour::new();
    let before = harbour.fingerprint();
    harbour.releases(
        &harbour.image,
        &[(
            "phone",
            "ALTER TABLE users ADD COLUMN phone text;\nALTER TABLE users DROP COLUMN name;",
        )],
    );
    harbour.run(&[]).exits(1).shows("G2.09").shows("phone.sql:2").shows("DROP COLUMN name");
    assert_eq!(harbour.fingerprint(), before);
    harbour.run(&["--set", "data_loss=true"]).exits(0);
    assert_eq!(harbour.columns(), "id email created_at phone");
}

/// G2.10: kill -9 in the middle of a statement; the next container is told nothing and goes on.
#[test]
fn a_killed_container_leaves_no_lock_and_the_next_one_goes_on_behind_the_finished_release() {
    let harbour = Harbour::new();
    let gate = gate(&harbour);
    harbour.releases(
        &harbour.image,
        &[
            ("phone", "ALTER TABLE users ADD COLUMN phone text;"),
            ("nick", "SELECT pg_advisory_xact_lock(42);\nALTER TABLE users ADD COLUMN nick text;"),
        ],
    );
    let killed = harbour.start(&[]);
    harbour.cluster.wait_until("main", WAITS_AT_GATE);
    killed.signal("KILL");
    killed.wait().exits(137);
    harbour.cluster.end_the_dead("main");
    assert_eq!(harbour.columns(), "id email name created_at phone");
    gate.open();
    // Another container: the same image, and no state of the first one.
    let other = harbour.image.path().join("other").display().to_string();
    harbour.run(&["--state", &other]).exits(0).shows("G2.13 phone 적용");
    assert_eq!(harbour.columns(), "id email name created_at phone nick");
    assert_eq!(harbour.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    harbour.nothing_is_left();
}

const WAITS_AT_GATE: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
                             AND objid = 42 AND NOT granted)";

/// A lock that a release's file waits for.
fn gate(harbour: &Harbour) -> Gate {
    holding(harbour, 42)
}

/// A release that waits behind its ALTER TABLE until the gate is opened.
fn halfway(harbour: &Harbour) -> Gate {
    let gate = gate(harbour);
    harbour.releases(
        &harbour.image,
        &[("phone", "ALTER TABLE users ADD COLUMN phone text;\nSELECT pg_advisory_xact_lock(42);")],
    );
    gate
}

/// A session of another tool that holds an advisory lock.
fn holding(harbour: &Harbour, number: i64) -> Gate {
    let mut gate = Gate::to(&harbour.cluster.url("main"), "prisma");
    gate.tell(&format!("SELECT pg_advisory_lock({number});\n"));
    gate.done();
    gate
}

/// G2.13: what was done before the failure is taken back, and nothing is started.
#[test]
fn a_failure_in_the_second_of_three_releases_takes_the_first_one_back() {
    let harbour = Harbour::new();
    let before = harbour.fingerprint();
    harbour.releases(
        &harbour.image,
        &[
            ("phone", "ALTER TABLE users ADD COLUMN phone text;"),
            ("nick", "ALTER TABLE users ADD COLUMN nick text;\nSELECT 1/0;"),
            ("age", "ALTER TABLE users ADD COLUMN age int;"),
        ],
    );
    harbour.run(&["--", "touch", "started"]).exits(1).shows("sql/nick.sql:2").shows("G2.16");
    assert_eq!(harbour.fingerprint(), before);
    assert!(!harbour.image.path().join("started").exists());
    harbour.nothing_is_left();

    // Mended in the next image: all three run.
    harbour.image.file("sql/nick.sql", "ALTER TABLE users ADD COLUMN nick text;");
    harbour.run(&["--", "touch", "started"]).exits(0);
    assert_eq!(harbour.columns(), "id email name created_at phone nick age");
    assert!(harbour.image.path().join("started").exists());
}

/// G2.14: run by hand in a container that is up, with people reading and writing.
#[test]
fn by_hand_in_a_running_container_nothing_is_seeded_or_started_twice() {
    let harbour = Harbour::new();
    let app = "echo up >> started; exec sleep 60";
    let container = harbour.start(&["--", "sh", "-c", app]);
    wait_for_file(&harbour.image.path().join("started"));
    let mut site = Application::start(
        &harbour.cluster.url("main"),
        "SELECT count(*) FROM users",
        "INSERT INTO users (email, name) VALUES (gen_random_uuid()::text, 'new')",
    );
    site.open();
    harbour.run(&[]).exits(0).shows("할 일 없음");
    assert_eq!(site.close(), 0, "nobody was sent away");
    assert_eq!(harbour.value("SELECT count(*) FROM plans"), "3");
    assert_eq!(harbour.image.read("started"), "up\n");
    // The application is the container's process now: it gets the signal itself.
    container.signal("TERM");
    container.wait().exits(143);
}

/// G2.15: an image with one release more runs that one only; the older image, started afterwards,
/// finds that a newer one was here, and starts.
#[test]
fn an_older_image_started_after_a_newer_one_starts() {
    let harbour = Harbour::new();
    let newer = Project::new();
    let first = ("phone", "ALTER TABLE users ADD COLUMN phone text;");
    harbour.releases(&harbour.image, &[first]);
    harbour.releases(&newer, &[first, ("nick", "ALTER TABLE users ADD COLUMN nick text;")]);
    harbour.run(&[]).exits(0);
    harbour.start_from(&newer, &[]).wait().exits(0).shows("G2.13 nick 적용");
    assert_eq!(harbour.columns(), "id email name created_at phone nick");
    let after = harbour.fingerprint();
    harbour.run(&["--", "touch", "started"]).exits(0).shows("더 새로운 버전");
    assert!(harbour.image.path().join("started").exists());
    harbour.start_from(&newer, &[]).wait().exits(0).shows("할 일 없음");
    assert_eq!(harbour.fingerprint(), after);
}

/// G2.15: who waits, waits without a limit of its own while the holder lives, and is told at once
/// when the lease is free.
#[test]
fn a_container_that_waits_goes_on_when_the_holder_has_finished() {
    let harbour = Harbour::new();
    let gate = gate(&harbour);
    harbour.releases(
        &harbour.image,
        &[("phone", "SELECT pg_advisory_xact_lock(42);\nALTER TABLE users ADD COLUMN phone text;")],
    );
    let first = harbour.start(&[]);
    harbour.cluster.wait_until("main", WAITS_AT_GATE);
    let second = harbour.start(&["--state", "other"]);
    harbour.cluster.wait_until(
        "main",
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%' \
         AND wait_event IS DISTINCT FROM 'advisory' AND query ~ 'pg_try_advisory_lock|lease l')",
    );
    gate.open();
    first.wait().exits(0);
    second.wait().exits(0).shows("대기 중").shows("할 일 없음");
    harbour.nothing_is_left();
}

/// G2.10, G2.13: SIGTERM (what stops a container) in the middle of a release.
#[test]
fn a_container_that_is_stopped_in_the_middle_leaves_the_database_as_it_was() {
    let harbour = Harbour::new();
    let before = harbour.fingerprint();
    let gate = halfway(&harbour);
    let run = harbour.start(&["--", "touch", "started"]);
    harbour.cluster.wait_until("main", WAITS_AT_GATE);
    run.signal("TERM");
    run.wait().exits(143);
    gate.open();
    assert_eq!(harbour.fingerprint(), before);
    assert!(!harbour.image.path().join("started").exists());
    harbour.nothing_is_left();
}

/// A container's process 1, in a process namespace of its own; None where this machine does not
/// let us make one.
fn as_process_one(harbour: &Harbour, words: &[&str]) -> Option<Running> {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Command::new("unshare").args(unshare).arg("true").output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: no process namespace may be made here");
        return None;
    }
    // As the project's own command, with another program in front.
    let own = harbour.image.command(&[]);
    let mut command = Command::new("unshare");
    command.args(unshare).arg(program()).args(harbour.with_words(words));
    command.current_dir(harbour.image.path()).env_clear();
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(Running::start(command, harbour.image.path().to_path_buf()))
}

/// G2.11: as process 1 it migrates, becomes the application, and buries the orphans of both.
#[test]
fn process_one_of_a_container_buries_orphans_and_gives_the_applications_code() {
    let harbour = Harbour::new();
    // `kill -0` finds a zombie, too: the loop ends when somebody has buried it.
    let app = "(sleep 0.1 & echo $! > orphan); \
               while kill -0 $(cat orphan) 2>/dev/null; do sleep 0.01; done; exit 21";
    let Some(run) = as_process_one(&harbour, &["--", "sh", "-c", app]) else { return };
    run.wait().exits(21).shows("users.phone 컬럼이 존재합니다");
    assert_eq!(harbour.value(PHONE), "t");
}

/// G2.10: the signal that stops a container reaches the run behind process 1.
#[test]
fn process_one_hands_the_signal_on() {
    let harbour = Harbour::new();
    let before = harbour.fingerprint();
    let gate = halfway(&harbour);
    let Some(run) = as_process_one(&harbour, &[]) else { return };
    harbour.cluster.wait_until("main", WAITS_AT_GATE);
    // unshare's child is process 1 of the namespace.
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let one = std::fs::read_to_string(children).expect("its child");
    let sent = Command::new("kill").args(["-s", "TERM", one.trim()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    run.wait().exits(143);
    gate.open();
    assert_eq!(harbour.fingerprint(), before);
    harbour.nothing_is_left();
}

/// The shell's form of an entry point.
#[test]
fn the_application_starts_behind_a_run_in_a_shell() {
    let harbour = Harbour::new();
    let line = "\"$0\" \"$@\" && exec echo the application is up";
    let own = harbour.image.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", line]).arg(program()).args(harbour.with_words(&[]));
    command.current_dir(harbour.image.path()).env_clear();
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Running::start(command, harbour.image.path().to_path_buf());
    run.wait().exits(0).shows("the application is up");
}
