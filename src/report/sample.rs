//! A realistic run in events, for the tests of this floor: the user normalisation with Korean
//! titles. Every display is looked at over the same night.

use serde_json::{Value, json};

use crate::model::{
    Action, Attestation, Backup, BackupFile, Effect, EventKind, Fault, FinalState, Item, ItemKind,
    ItemState, Place, Risk, RunEvent, RunId, RungKind, StatementReport,
};

/// Builds a stream: sequence numbers and both clocks are right by themselves.
pub(super) struct Night {
    pub(super) events: Vec<RunEvent>,
    elapsed_ms: u64,
    clock_ms: u64,
    numbers: u32,
    section: Option<String>,
}

impl Night {
    pub(super) fn new() -> Self {
        // 02:13:00 in the night, local time.
        let clock_ms = (2 * 3600 + 13 * 60) * 1000;
        Self { events: Vec::new(), elapsed_ms: 0, clock_ms, numbers: 0, section: None }
    }

    pub(super) fn tell(&mut self, kind: EventKind) {
        let ms = self.clock_ms;
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let at = format!("2026-11-21T{h:02}:{m:02}:{s:02}.{:03}+09:00", ms % 1000);
        let seq = self.events.len() as u64 + 1;
        self.events.push(RunEvent { seq, at, elapsed_ms: self.elapsed_ms, kind });
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.elapsed_ms += ms;
        self.clock_ms += ms;
    }

    pub(super) fn start(&mut self, mode: &str) {
        self.elapsed_ms = 0;
        self.tell(EventKind::RunStarted {
            run: RunId("20261121-021300-7f3a".into()),
            mode: mode.into(),
            playbook: "003_normalize_users_schema".into(),
            title: "정규화 마이그레이션".into(),
            file: "playbooks/normalize.rhai".into(),
            environment: Some("production".into()),
            target: json!({
                "host": "127.0.0.1", "port": 5432, "database": "iamvet_db", "user": "migrator",
                "version": "15.18",
            }),
            by: "soo@ops1".into(),
            takes: Some("35m..85m".into()),
            contacts: json!({"DB 관리자": "dba@example.com", "개발팀": "#iamvet-dev"}),
            version: "0.1.0".into(),
        });
        self.tell(EventKind::ReportAt {
            path: ".runsheet/runs/20261121-021300-7f3a/report.md".into(),
        });
        self.tell(EventKind::Inputs {
            inputs: json!({
                "playbooks/normalize.rhai": "sha256:5d41402abc4b2a76",
                "sql/003_normalize_users_schema.sql": "sha256:7d793037a0760186",
                "health": "http://127.0.0.1:3000/health",
            }),
        });
    }

    pub(super) fn section(&mut self, title: &str) {
        self.section = Some(title.into());
        self.tell(EventKind::Section { title: title.into() });
    }

    pub(super) fn item(&mut self, kind: ItemKind, title: &str, takes: Option<&str>) -> Item {
        self.numbers += 1;
        let id = title.split(' ').next().filter(|word| word.contains('.')).map(str::to_string);
        let item = Item {
            kind,
            title: title.into(),
            id,
            number: self.numbers,
            takes: takes.map(str::to_string),
            risk: None,
            has_undo: false,
            section: self.section.clone(),
        };
        self.tell(EventKind::ItemStarted { item: item.clone() });
        item
    }

    pub(super) fn end(&mut self, item: Item, outcome: ItemState, took_ms: u64) {
        self.wait(took_ms);
        let xid =
            (item.kind == ItemKind::Step && item.title.contains("SQL")).then(|| "7731".into());
        self.tell(EventKind::ItemFinished { item, outcome, took_ms, xid });
    }

    pub(super) fn check(&mut self, title: &str, took_ms: u64) {
        let item = self.item(ItemKind::Check, title, None);
        self.end(item, done(Value::Null), took_ms);
    }

    pub(super) fn compared(&mut self, what: &str, left: u64, right: u64) {
        let holds = left == right;
        let (left, right) = (json!(left), json!(right));
        self.tell(EventKind::Compared { what: what.into(), left, right, holds });
    }

    pub(super) fn statement(
        &mut self,
        number: u32,
        of: u32,
        text: &str,
        rows: Option<u64>,
        ms: u64,
    ) {
        self.tell(EventKind::Statement(StatementReport {
            file: "sql/003_normalize_users_schema.sql".into(),
            line: number * 9 - 5,
            number,
            of,
            text: text.into(),
            rows,
            took_ms: ms,
        }));
    }

    pub(super) fn finish(
        &mut self,
        state: FinalState,
        exit: u8,
        next: Option<&str>,
        fault: Option<Fault>,
    ) {
        self.tell(EventKind::RunFinished {
            state,
            changed: !matches!(
                state,
                FinalState::FailedUnchanged | FinalState::Planned | FinalState::RolledBack
            ),
            exit,
            next: next.map(str::to_string),
            fault: fault.map(Box::new),
        });
    }
}

pub(super) fn done(value: Value) -> ItemState {
    ItemState::Done { value }
}

fn until_the_sql(night: &mut Night) -> Item {
    night.section("1. 환경 확인");
    night.check("G1.06 PostgreSQL 버전", 41);
    let rights = night.item(ItemKind::Check, "G1.06b 권한", None);
    night.tell(EventKind::Note { text: "CREATE, ALTER, INSERT, UPDATE, DELETE".into() });
    night.end(rights, done(Value::Null), 88);
    let disk = night.item(ItemKind::Check, "G1.05 디스크 여유 공간", None);
    night.tell(EventKind::Warning {
        text: "서버 디스크는 원격이라 확인하지 못했습니다".into()
    });
    night.end(disk, ItemState::Skipped { reason: "로컬 데이터 디렉터리가 아닙니다".into() }, 3);
    night.section("2. 백업");
    let dump = night.item(ItemKind::Step, "G1.01 전체 백업", Some("5m..15m"));
    night.tell(EventKind::Intent {
        item: "G1.01 전체 백업".into(),
        key: "G1.01".into(),
        ordinal: 1,
        action: Action::new("pg::dump", Effect::External, "backups/iamvet_db-20261121-0213"),
    });
    night.wait(60_000);
    night.tell(EventKind::Progress {
        what: "pg_dump".into(),
        done: 20_000_000,
        total: Some(40_056_000),
        unit: "bytes".into(),
    });
    night.tell(EventKind::Backup {
        backup: Backup {
            files: vec![BackupFile {
                path: "backups/iamvet_db-20261121-0213.dump".into(),
                format: Some("custom".into()),
                bytes: Some(40_056_000),
                sha256: Some("9f86d081884c7d65".into()),
            }],
            state: Some("verified".into()),
            restore: Some(
                "pg_restore --dbname iamvet_new backups/iamvet_db-20261121-0213.dump".into(),
            ),
            ..Backup::default()
        },
    });
    night.tell(EventKind::IntentDone {
        item: "G1.01 전체 백업".into(),
        ordinal: 1,
        value: Value::Null,
    });
    night.end(dump, done(json!({"state": "verified"})), 412_000);
    night.section("3. 마이그레이션");
    let mut sql = night.item(ItemKind::Step, "G1.07 정규화 SQL", Some("1s..3s"));
    sql.risk = Some(Risk::VeryHigh);
    sql.has_undo = true;
    night.tell(EventKind::WayBack {
        rung: RungKind::Undo,
        item: Some("G1.07 정규화 SQL".into()),
        what: "sql/003_down.sql".into(),
        command: None,
        proven: Some("rehearsal 2026-11-20 15:02".into()),
        blocked: None,
        gone: false,
    });
    night.statement(1, 4, "CREATE TABLE veterinarians (id serial ..", None, 31);
    night.tell(EventKind::Notice {
        severity: "NOTICE".into(),
        text: "relation \"migration_log\" already exists, skipping".into(),
    });
    night.statement(2, 4, "INSERT INTO veterinarians SELECT ..", Some(1204), 2_210);
    sql
}

/// The good night: everything done, one point not attested, one estimate exceeded.
pub(super) fn success() -> Night {
    let mut night = Night::new();
    night.start("run");
    let sql = until_the_sql(&mut night);
    night.statement(3, 4, "INSERT INTO hospitals SELECT ..", Some(41), 188);
    night.statement(4, 4, "INSERT INTO migration_log ..", Some(1), 4);
    night.compared("수의사", 1204, 1204);
    night.compared("병원", 41, 41);
    night.end(sql, done(Value::Null), 4_433);
    night.section("4. 검증");
    let counts = night.item(ItemKind::Verify, "G1.09 유형별 사용자 수", Some("5m..10m"));
    night.compared("수의사 | VETERINARIAN", 1204, 1204);
    night.tell(EventKind::Table {
        title: "유형별 사용자".into(),
        rows: json!([
            {"유형": "수의사", "users": 1204, "정규화": 1204},
            {"유형": "병원", "users": 41, "정규화": 41},
        ]),
    });
    night.end(counts, done(Value::Null), 310);
    let health = night.item(ItemKind::Step, "G1.12a 앱 상태", None);
    night.tell(EventKind::Retry {
        what: "http://127.0.0.1:3000/health".into(),
        attempt: 1,
        of: 3,
        reason: "connection refused".into(),
    });
    let fault = Fault::failed("health-failed", "health check failed").detail("status 503");
    night.end(health, ItemState::Failed { fault: Box::new(fault), optional: true }, 2_100);
    let manual = night.item(ItemKind::Manual, "G1.12 주요 기능 확인", None);
    let title = manual.title.clone();
    night.tell(EventKind::Points {
        item: title.clone(),
        points: vec!["로그인".into(), "회원가입".into(), "소셜 로그인".into()],
    });
    for (point, attested) in [("로그인", true), ("회원가입", false)] {
        night.wait(9_000);
        let at = night.events.last().map(|event| event.at.clone()).unwrap_or_default();
        let attestation = Attestation { point: point.into(), by: "soo".into(), at, attested };
        night.tell(EventKind::Attested { item: title.clone(), attestation });
    }
    night.end(manual, ItemState::NotAttested, 500);
    night.finish(FinalState::Done, 0, None, None);
    night
}

/// The fault of the bad night: innermost in the SQL file, outside in the playbook.
pub(super) fn fault() -> Fault {
    let sql = "INSERT INTO hospitals (이름, user_id) SELECT 병원명, id FROM users_old;";
    let script = "step(\"G1.07 정규화 SQL\", || { sql::run_file(p.sql); counts_match(); });";
    let at = |text: &str, word: &str| text.find(word).unwrap_or(0);
    Fault::failed("undefined-table", "relation \"users_old\" does not exist")
        .sqlstate("42P01")
        .detail("statement 3 of 4, after 2 statements of the same transaction")
        .cause("테이블 이름이 바뀌었거나, search_path에 그 스키마가 없습니다.")
        .remedy(
            "Correct the name in sql/003_normalize_users_schema.sql, then run the playbook again.",
        )
        .next("runsheet run normalize --env production")
        .place(Place {
            line: 22,
            ..Place::at_offset("sql/003_normalize_users_schema.sql", sql, at(sql, "users_old"), 9)
                .labelled("이 테이블이 없습니다")
        })
        .place(Place {
            line: 147,
            ..Place::at_offset("playbooks/normalize.rhai", script, at(script, "sql::run_file"), 20)
                .labelled("이 단계에서 실행")
        })
}

/// The bad night: the SQL fails, its transaction leaves nothing.
pub(super) fn failure() -> Night {
    let mut night = Night::new();
    night.start("run");
    let sql = until_the_sql(&mut night);
    let mut fault = fault();
    fault.done_so_far = Some("G1.01 전체 백업 (backups/iamvet_db-20261121-0213.dump)".into());
    let outcome = ItemState::Failed { fault: Box::new(fault.clone()), optional: false };
    night.end(sql, outcome, 2_300);
    let next = fault.next.clone();
    night.finish(FinalState::FailedUnchanged, 1, next.as_deref(), Some(fault));
    night
}

/// A plan of the same playbook.
pub(super) fn plan() -> Night {
    let mut night = Night::new();
    night.start("plan");
    night.section("1. 환경 확인");
    night.check("G1.06 PostgreSQL 버전", 41);
    night.section("3. 마이그레이션");
    let mut sql = night.item(ItemKind::Step, "G1.07 정규화 SQL", Some("10m..30m"));
    sql.risk = Some(Risk::VeryHigh);
    sql.has_undo = true;
    let mut action = Action::new("sql::run_file", Effect::Write, "sql/003.sql:12")
        .statement("ALTER TABLE users\n    DROP COLUMN \"userType\";");
    action.risk = Some(Risk::VeryHigh);
    action.locks = vec!["ACCESS EXCLUSIVE on users".into()];
    night.tell(EventKind::Action { action, planned: true });
    let mut action = Action::new("app::run", Effect::External, "").statement("pm2 restart iamvet");
    action.opaque = true;
    action.remarks = vec!["명령은 데이터베이스 밖에서 실행됩니다".into()];
    night.tell(EventKind::Action { action, planned: true });
    night.tell(EventKind::WillCheck { what: "수의사 수 = users의 VETERINARIAN 수".into() });
    night.tell(EventKind::WayBack {
        rung: RungKind::RollbackFile,
        item: Some("G1.07 정규화 SQL".into()),
        what: "sql/003_down.sql".into(),
        command: None,
        proven: None,
        blocked: None,
        gone: false,
    });
    night.end(sql, ItemState::Planned, 12);
    night.section("4. 검증");
    let counts = night.item(ItemKind::Verify, "G1.09 유형별 사용자 수", None);
    night.end(counts, ItemState::WillCheck, 2);
    let branch = night.item(ItemKind::Step, "G1.10 정리", None);
    night.end(branch, ItemState::DecidedWhenItRuns { on: "G1.09의 결과".into() }, 1);
    let manual = night.item(ItemKind::Manual, "G1.12 주요 기능 확인", None);
    night.tell(EventKind::Points {
        item: manual.title.clone(),
        points: vec!["로그인".into(), "회원가입".into()],
    });
    night.end(manual, ItemState::Planned, 0);
    night.finish(FinalState::Planned, 0, Some("runsheet approve normalize --by NAME"), None);
    night
}

/// The bad night, resumed to the end and then rolled back.
pub(super) fn resumed_and_rolled_back() -> Night {
    let mut night = failure();
    night.start("resume");
    night.numbers = 0;
    night.section("1. 환경 확인");
    let version = night.item(ItemKind::Check, "G1.06 PostgreSQL 버전", None);
    night.end(version, ItemState::Replayed { value: Value::Null }, 0);
    night.section("2. 백업");
    let dump = night.item(ItemKind::Step, "G1.01 전체 백업", Some("5m..15m"));
    night.end(dump, ItemState::Replayed { value: json!({"state": "verified"}) }, 0);
    night.section("3. 마이그레이션");
    let mut sql = night.item(ItemKind::Step, "G1.07 정규화 SQL", Some("1s..3s"));
    sql.has_undo = true;
    night.statement(1, 4, "CREATE TABLE veterinarians (id serial ..", None, 30);
    night.end(sql, done(Value::Null), 1_900);
    night.finish(FinalState::Done, 0, None, None);
    night.wait(600_000);
    night.start("rollback");
    night.section = None;
    let undo = night.item(ItemKind::Undo, "undo: G1.07 정규화 SQL", None);
    night.end(undo, done(Value::Null), 700);
    night.finish(FinalState::RolledBack, 0, None, None);
    night
}
