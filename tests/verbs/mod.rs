//! Twins of the verbs: what each does to a real server, real files and real processes.

mod app;
mod db;
mod fs;
mod http;
mod pg;
mod report;
