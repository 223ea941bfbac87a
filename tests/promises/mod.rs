//! What runsheet promises, each promise asked of the real program.

mod backups_are_proven;
mod exactly_once;
mod hostile;
mod no_secret;
mod nobody_is_asked;
mod one_runner;
mod only_the_right_database;
mod plans_change_nothing;
mod the_journal_can_be_lost;
mod undone_once;
mod what_was_approved_is_what_runs;
