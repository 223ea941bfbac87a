//! What the tests of `auto-trader` stand on: the traders' database, a project, and stand-ins for docker
//! and Alembic.

use super::ground::shipped;
use crate::faults::fingerprint;
use crate::support::{Cluster, Project, Ran};

/// A server with the traders' database, a project, and stand-ins for docker and alembic.
pub struct Floor {
    pub cluster: Cluster,
    pub project: Project,
}

pub const COMPOSE: &str = "compose=[\"docker\",\"compose\",\"-f\",\"docker-compose.prod.yml\"]";

impl Floor {
    pub fn new() -> Self {
        let mut floor = Self { cluster: Cluster::start(), project: Project::new() };
        floor.cluster.create_database("trader");
        floor.cluster.psql("trader", &shipped("auto-trader", "schema.sql"), &[]);
        floor.cluster.psql("trader", &shipped("auto-trader", "data.sql"), &["rows=500"]);
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = source.join("playbooks/auto-trader/stand-ins");
        for name in ["docker", "alembic"] {
            let text = std::fs::read_to_string(source.join(name)).expect("the stand-in");
            floor.project.program(name, &text);
        }
        floor.project.file(
            "runsheet.toml",
            "[commands]\nallow = [\"docker\", \"alembic\", \"touch\", \"rm\", \"git\"]\n",
        );
        floor
    }

    pub fn url(&self) -> String {
        self.cluster.url("trader")
    }

    pub fn deploy(&self, words: &[&str]) -> Ran {
        self.call("deploy", "auto-trader", words)
    }

    pub fn call(&self, command: &str, playbook: &str, words: &[&str]) -> Ran {
        let url = self.url();
        let begin = [command, playbook, "--lang", "ko", "--url", &url, "--yes"];
        self.project.run(&[&begin, words].concat())
    }

    /// One of the shipped changes.
    pub fn change(&self, way: &str, name: &str, words: &[&str]) -> Ran {
        let sets = [
            format!("sql=playbooks/auto-trader/sql/{name}.sql"),
            format!("down=playbooks/auto-trader/sql/{name}.down.sql"),
            format!("revision={name}"),
        ];
        self.with(way, &sets, words)
    }

    /// A change of the project's own.
    pub fn own(&self, way: &str, up: &str, down: &str, words: &[&str]) -> Ran {
        self.project.file("sql/own.sql", up).file("sql/own.down.sql", down);
        let down = if down.is_empty() { "down=" } else { "down=sql/own.down.sql" };
        let sets = ["sql=sql/own.sql".into(), down.into(), "revision=own".into()];
        self.with(way, &sets, words)
    }

    fn with(&self, way: &str, sets: &[String], words: &[&str]) -> Ran {
        let mut all = vec![way];
        sets.iter().for_each(|set| all.extend(["--set", set]));
        all.extend(words);
        self.deploy(&all)
    }

    pub fn value(&self, sql: &str) -> String {
        self.cluster.value("trader", sql)
    }

    pub fn revision(&self) -> String {
        self.value("SELECT version_num FROM alembic_version")
    }

    pub fn fingerprint(&self) -> String {
        fingerprint(&self.cluster, "trader")
    }

    pub fn image(&self, tag: &str, content: &str) {
        self.project.file(&format!(".stand-in/images/ghcr.io_team_auto_trader:{tag}"), content);
    }

    /// Two revisions of the stand-in for Alembic.
    pub fn two_revisions(&self) {
        let files = [
            ("001_low.sql", "ALTER TABLE users ADD COLUMN phone varchar(20);"),
            ("001_low.down.sql", "ALTER TABLE users DROP COLUMN phone;"),
            ("002_tags.sql", "CREATE TABLE tags (name text PRIMARY KEY);"),
            ("002_tags.down.sql", "DROP TABLE tags;"),
        ];
        for (name, text) in files {
            self.project.file(&format!("versions/{name}"), text);
        }
    }
}
