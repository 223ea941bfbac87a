//! The words of a playbook: one file a verb or a small family, and one line each in the list.
//!
//! A verb describes what it is about to do and hands it to the gate; it never looks at the mode.

mod app;
mod db;
mod fs;
mod given;
mod http;
mod item;
mod pg;
mod report;
mod sql;

use crate::host::Verb;

/// Every verb, in the order of the reference.
pub static ALL: &[&Verb] = &[
    &item::playbook::PLAYBOOK,
    &item::scopes::SECTION,
    &item::scopes::CHECK,
    &item::scopes::STEP,
    &item::scopes::VERIFY,
    &item::asked::MANUAL,
    &item::asked::APPROVE,
    &item::lock::LOCK,
    &item::expect::EXPECT,
    &item::expect::EXPECT_EQUAL,
    &item::expect::EXPECT_ZERO,
    &item::endings::ALWAYS,
    &item::endings::ON_FAILURE,
    &item::flow::NOTE,
    &item::flow::SKIP,
    &item::flow::FAIL,
    &db::query::QUERY,
    &db::query::ROW,
    &db::query::VALUE,
    &db::query::COUNT,
    &sql::run_file::RUN_FILE,
    &sql::review::REVIEW,
    &db::exec::EXEC,
    &db::server::WAIT_READY,
    &db::server::IDENTITY,
    &db::server::REQUIRE_VERSION,
    &db::server::REQUIRE_PRIMARY,
    &db::server::REQUIRE_DATABASE,
    &db::rights::REQUIRE_PRIVILEGES,
    &db::server::SIZE,
    &db::server::TABLE_SIZE,
    &db::server::SETTING,
    &db::rights::REQUIRE_FREE,
    &db::structure::HAS_TABLE,
    &db::structure::HAS_COLUMN,
    &db::structure::HAS_INDEX,
    &db::structure::HAS_CONSTRAINT,
    &db::structure::HAS_TYPE,
    &db::structure::COLUMNS,
    &db::required::REQUIRE_COLUMNS,
    &db::required::REQUIRE_INDEX,
    &db::required::REQUIRE_INDEXES,
    &db::required::REQUIRE_FOREIGN_KEY,
    &db::orphans::ORPHANS,
    &db::orphans::EXPECT_NO_ORPHANS,
    &db::counts::COUNTS,
    &db::counts::EXPECT_SAME_COUNTS,
    &db::same_count::EXPECT_SAME_COUNT,
    &db::compare::COMPARE,
    &db::compare::EXPECT_SAME_ROWS,
    &db::fingerprint::FINGERPRINT,
    &db::snapshot::SNAPSHOT_TABLE,
    &db::snapshot::RESTORE_TABLE,
    &db::snapshot::DROP_SNAPSHOT,
    &db::read_only::READ_ONLY,
    &db::index::INDEX_CONCURRENTLY,
    &db::sessions::SESSIONS,
    &db::sessions::REQUIRE_NO_SESSIONS,
    &pg::dump::DUMP,
    &pg::verify::VERIFY,
    &pg::restore_test::RESTORE_TEST,
    &pg::restore::RESTORE,
    &pg::external::EXTERNAL_BACKUP,
    &pg::external::RESTORE_POINT,
    &app::run::RUN,
    &app::health::HEALTHY,
    &app::health::WATCH_HEALTH,
    &fs::look::REQUIRE_FREE,
    &fs::look::EXISTS,
    &fs::look::SHA256,
    &fs::look::TEXT,
    &fs::copies::BACKUP,
    &fs::copies::RESTORE,
    &http::get::GET,
    &report::notes::TABLE,
    &report::notes::TEXT,
    &report::notes::ATTACH,
];
