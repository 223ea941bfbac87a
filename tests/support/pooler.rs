//! pgbouncer in transaction mode before a server of a test, where the machine has the program.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::wait::comes;

/// A running pgbouncer; ended when dropped.
pub struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// pgbouncer with so many server sessions; None, and a line that says so, where the machine
    /// has no such program.
    pub fn start(server_port: u16, sessions: u32) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("SKIPPED: no pgbouncer on this machine (Debian: apt-get install pgbouncer)");
            return None;
        };
        // A port is free when it is asked for, and may be somebody else's a moment later.
        let listens = || Self::listening(&program, server_port, sessions);
        Some(comes("a pooler on a port of its own", listens))
    }

    fn listening(program: &Path, server_port: u16, sessions: u32) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("pooler-").tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let text = format!(
            "; Any user is let in as the server's own.\n[databases]\n* = host=127.0.0.1 port={server_port} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {sessions}\n\
             max_client_conn = 200\nlog_connections = 0\nlog_disconnections = 0\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, text).expect("its settings");
        let child = command(program, &file, folder.path()).spawn().expect("pgbouncer starts");
        let mut pooler = Self { child, port, _folder: folder };
        comes("pgbouncer listens or ends", || {
            if let Some(status) = pooler.child.try_wait().expect("its status") {
                return Ok(Err(format!("pgbouncer on port {port} ended: {status}")));
            }
            TcpStream::connect(("127.0.0.1", port)).map(|_| Ok(()))
        })?;
        Ok(pooler)
    }

    /// Connection string through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|file| file.is_file())
}

/// pgbouncer refuses to run as root, so there it runs as nobody.
fn command(program: &Path, file: &Path, folder: &Path) -> Command {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let mut command = Command::new(program);
    if root {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, open).expect("readable for it");
        command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    }
    command.arg("-q").arg(file).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
