//! `report::`: what a playbook puts into the report.

pub(super) mod notes;
