//! Twins of `src/verbs/app`.

mod health;
mod run;
