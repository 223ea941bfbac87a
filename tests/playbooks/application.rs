//! The application under test: a small real web server on the database, and people who read and
//! write through it while a playbook runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::Listener;
use crate::support::cluster::query;

/// A server that answers `/health`, `/read` and `/write` with what the database says.
pub struct Application {
    listener: Listener,
    people: Vec<JoinHandle<()>>,
    done: Arc<AtomicBool>,
    /// Reads and writes that were answered, and those that were not.
    counts: Arc<[AtomicU64; 3]>,
}

impl Application {
    /// On a database; `read` gives one value, `write` adds one row.
    pub fn start(url: &str, read: &str, write: &str) -> Self {
        let (url, read, write) = (url.to_string(), read.to_string(), write.to_string());
        let listener = Listener::start(move |_, request| {
            let path = request.split(' ').nth(1).unwrap_or("/");
            let sql = match path {
                "/read" => &read,
                "/write" => &write,
                _ => "SELECT 1",
            };
            match query(&url, sql) {
                Ok(_) => (200, "ok".into()),
                Err(error) => (503, error),
            }
        });
        Self {
            listener,
            people: Vec::new(),
            done: Arc::default(),
            counts: Arc::new([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]),
        }
    }

    /// The address of its health check.
    pub fn health(&self) -> String {
        self.listener.url("/health")
    }

    /// One reader and one writer, at it until [`Application::close`].
    pub fn open(&mut self) {
        for (at, path) in ["/read", "/write"].into_iter().enumerate() {
            let (url, done, counts) =
                (self.listener.url(path), self.done.clone(), self.counts.clone());
            self.people.push(std::thread::spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let slot = if get(&url) == 200 { at } else { 2 };
                    counts[slot].fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        let since = Instant::now();
        while self.reads() == 0 || self.writes() == 0 {
            assert!(since.elapsed() < Duration::from_secs(30), "nobody is let in");
            std::thread::yield_now();
        }
    }

    /// Sends the people home; gives how many requests failed.
    pub fn close(&mut self) -> u64 {
        self.done.store(true, Ordering::SeqCst);
        self.people.drain(..).for_each(|person| person.join().expect("a person"));
        self.counts[2].load(Ordering::SeqCst)
    }

    /// Answered reads.
    pub fn reads(&self) -> u64 {
        self.counts[0].load(Ordering::SeqCst)
    }

    /// Answered writes.
    pub fn writes(&self) -> u64 {
        self.counts[1].load(Ordering::SeqCst)
    }
}

/// The status of a GET; 0 where nobody answers.
pub fn get(url: &str) -> u16 {
    let rest = url.strip_prefix("http://").expect("http");
    let (host, path) = rest.split_once('/').expect("a path");
    let Ok(mut stream) = TcpStream::connect(host) else { return 0 };
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err()
    {
        return 0;
    }
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
