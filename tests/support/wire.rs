//! A wire between a runner and its server that can go dead, as when a laptop leaves the network:
//! nothing passes any more, and nobody is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the client spoke, to begin with or after the server had.
#[derive(Default)]
struct Turns {
    client: AtomicUsize,
    answered: AtomicBool,
}

/// A forwarder on 127.0.0.1; its threads end with the test's process.
pub struct Wire {
    port: u16,
    dead: Arc<AtomicBool>,
    turns: Arc<Turns>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// Forwards to this port.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (dead, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, kept) = (dead.clone(), open.clone());
        let turns = Arc::new(Turns::default());
        let counted = turns.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().filter_map(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
                counted.answered.store(true, Ordering::SeqCst);
                let ends = [(&near, &far, true), (&far, &near, false)];
                for (from, to, is_client) in ends {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (cut, turns) = (cut.clone(), counted.clone());
                    let speaks = move || match is_client {
                        true if turns.answered.swap(false, Ordering::SeqCst) => {
                            turns.client.fetch_add(1, Ordering::SeqCst);
                        }
                        true => {}
                        false => turns.answered.store(true, Ordering::SeqCst),
                    };
                    std::thread::spawn(move || pump(from, to, &cut, speaks));
                }
                kept.lock().unwrap().extend([near, far]);
            }
        });
        Self { port, dead, turns, open }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often the client spoke, to begin with or after the server had: what a slow network makes
    /// one wait for.
    pub fn turns(&self) -> usize {
        self.turns.client.load(Ordering::SeqCst)
    }

    /// From now on nothing passes, and nobody is told.
    pub fn go_dead(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// New connections pass again; the old ones are reset.
    pub fn come_back(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.dead.store(false, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, dead: &AtomicBool, speaks: impl Fn()) {
    let mut piece = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut piece) {
        while dead.load(Ordering::SeqCst) && read > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if read > 0 {
            speaks();
        }
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
