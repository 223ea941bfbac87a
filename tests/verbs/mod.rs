//! Each family of verbs against a real server.

mod db;
//! Twins of the verbs: what each does to a real server, real files and real processes.

mod app;
mod fs;
mod http;
mod pg;
mod report;
