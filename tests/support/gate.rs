//! Somebody else's session, that holds what it was told to take until it is told to let go.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// A psql that does what it is told; ended when dropped.
pub struct Gate {
    hold: Child,
}

impl Gate {
    /// A session of that application name.
    pub fn to(url: &str, application: &str) -> Self {
        let programs = runsheet::postgres::programs::Programs::new(None, None);
        let hold = Command::new(programs.find("psql", None).expect("psql").path)
            .args(["-X", "-q", url])
            .env("PGAPPNAME", application)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql");
        Self { hold }
    }

    /// Statements, with their line end; not waited for.
    pub fn tell(&mut self, text: &str) {
        self.hold.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends the session, and with it all that it holds.
    pub fn open(mut self) {
        drop(self.hold.stdin.take());
        self.hold.wait().unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.hold.kill();
        let _ = self.hold.wait();
    }
}
