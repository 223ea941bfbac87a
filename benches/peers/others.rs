//! Other migration runners, where they are installed: the same migrations in their own layouts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A runner that was found.
pub struct Peer {
    pub name: &'static str,
    program: PathBuf,
}

/// Their programs, in the order of the table.
const NAMES: &[&str] = &["refinery", "sqlx", "diesel", "dbmate"];

impl Peer {
    /// Those on the PATH; the others are named.
    pub fn all() -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| {
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
        };
        let mut found = Vec::new();
        for name in NAMES {
            match find(name) {
                Some(program) => found.push(Self { name, program }),
                None => println!("{name}: not on the PATH, left out"),
            }
        }
        found
    }

    /// Writes migration `number` the way this runner wants it, below a folder of its own.
    pub fn write(&self, folder: &Path, number: usize, sql: &str) {
        let folder = folder.join(self.name);
        let (path, text) = match self.name {
            "refinery" => (folder.join(format!("V{number}__m{number}.sql")), sql.to_string()),
            "sqlx" => (folder.join(format!("{number}_m{number}.sql")), sql.to_string()),
            "diesel" => (folder.join(format!("{number:05}_m{number}/up.sql")), sql.to_string()),
            _ => (
                folder.join(format!("{number:05}_m{number}.sql")),
                format!("-- migrate:up\n{sql}-- migrate:down\n"),
            ),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs everything pending of a folder; `sockets` and `port` are the server's.
    pub fn migrate(&self, folder: &Path, sockets: &Path, port: u16, database: &str) -> Command {
        let host = sockets.display().to_string().replace('/', "%2F");
        let by_host = format!("postgres://postgres@{host}:{port}/{database}");
        let by_option = format!(
            "postgres://postgres@localhost:{port}/{database}?sslmode=disable&host={}",
            sockets.display()
        );
        let own = folder.join(self.name);
        let mut command = Command::new(&self.program);
        match self.name {
            "refinery" => command.args(["migrate", "-e", "DATABASE_URL", "-p"]).arg(own),
            "sqlx" => command.args(["migrate", "run", "--no-dotenv", "--source"]).arg(own),
            "diesel" => command.args(["migration", "run", "--migration-dir"]).arg(own),
            _ => command.args(["--no-dump-schema", "-d"]).arg(own).arg("migrate"),
        };
        let url = if matches!(self.name, "refinery" | "diesel") { by_host } else { by_option };
        command.env("DATABASE_URL", url).current_dir(folder);
        command
    }
}
