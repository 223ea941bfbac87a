//! Each family of verbs against a real server.

mod db;
