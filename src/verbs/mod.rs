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
