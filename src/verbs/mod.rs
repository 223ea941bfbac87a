//! The words of a playbook: one file a verb or a small family, and one line each in the list.
//!
//! A verb describes what it is about to do and hands it to the gate; it never looks at the mode.

mod db;
mod item;
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
];
