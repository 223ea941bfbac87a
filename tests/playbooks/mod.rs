//! The shipped playbooks, run whole.

pub mod alembic;
pub mod application;
pub mod auto_trader;
pub mod container_start;
pub mod coverage;
pub mod ground;
pub mod iamvet;
pub mod iamvet_guards;
pub mod misopin;
pub mod prisma;
pub mod videoplanet;

use std::path::Path;
use std::process::Command;

use crate::support::Cluster;

/// Runs a file of `playbooks/FOLDER/sql` with psql, as the playbook's page says.
pub fn load(cluster: &Cluster, database: &str, folder: &str, file: &str, vars: &[&str]) {
    let psql = runsheet::postgres::programs::Programs::new(None, None).find("psql", None);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(folder).join("sql");
    let mut command = Command::new(psql.expect("psql").path);
    command.args(["-X", "-q", "-d", &cluster.url(database), "-v", "ON_ERROR_STOP=1"]);
    for var in vars {
        command.args(["-v", var]);
    }
    let ran = command.arg("-f").arg(path.join(file)).output().expect("psql starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// Asks the server until the answer is true.
#[track_caller]
pub fn wait_until(cluster: &Cluster, database: &str, question: &str) {
    let since = std::time::Instant::now();
    while cluster.value(database, question) != "t" {
        assert!(since.elapsed().as_secs() < 30, "never true: {question}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Waits for a file that another process writes.
#[track_caller]
pub fn wait_for_file(path: &Path) {
    let since = std::time::Instant::now();
    while !path.exists() {
        assert!(since.elapsed().as_secs() < 30, "never there: {}", path.display());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
