//! Somebody else's session, that holds what it was told to take until it is told to let go.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::wait::SOON;

/// Has a run waited for a lock for so long?
pub const WAITS_FOR_A_LOCK: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity \
    WHERE wait_event_type = 'Lock' AND application_name LIKE 'runsheet/%' \
    AND clock_timestamp() > query_start + interval '900 ms')";

/// A psql that does what it is told; ended when dropped.
pub struct Gate {
    hold: Child,
    said: Receiver<String>,
}

impl Gate {
    /// A session of that application name.
    pub fn to(url: &str, application: &str) -> Self {
        let programs = runsheet::postgres::programs::Programs::new(None, None);
        let mut hold = Command::new(programs.find("psql", None).expect("psql").path)
            .args(["-X", "-q", url])
            .env("PGAPPNAME", application)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let out = BufReader::new(hold.stdout.take().expect("piped"));
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Self { hold, said }
    }

    /// A session whose transaction stays open and holds what the statements have taken.
    pub fn holding(url: &str, application: &str, sql: &str) -> Self {
        let mut gate = Self::to(url, application);
        gate.tell(&format!("BEGIN;\n{sql};\n"));
        gate.done();
        gate
    }

    /// A session with a snapshot that is kept: what is built beside running sessions waits for it.
    pub fn reading(url: &str, sql: &str) -> Self {
        let mut gate = Self::to(url, "psql");
        gate.tell(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ;\n{sql};\n"));
        gate.done();
        gate
    }

    /// A session that is there when this returns, and does nothing.
    pub fn connected(url: &str, application: &str) -> Self {
        let mut gate = Self::to(url, application);
        gate.tell("SELECT 1;\n");
        gate.done();
        gate
    }

    /// Statements, with their line end; not waited for.
    pub fn tell(&mut self, text: &str) {
        self.hold.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until everything that it was told is done.
    #[track_caller]
    pub fn done(&mut self) {
        const MARK: &str = "-- done --";
        self.tell(&format!("\\echo '{MARK}'\n"));
        while self.said.recv_timeout(SOON).expect("it does what it is told") != MARK {}
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
