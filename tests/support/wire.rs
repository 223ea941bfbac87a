//! A wire between a runner and its server that can go dead, as when a laptop leaves the network:
//! nothing passes any more, and nobody is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A forwarder on 127.0.0.1; its threads end with the test's process.
pub struct Wire {
    port: u16,
    dead: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// Forwards to this port.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (dead, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, kept) = (dead.clone(), open.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().filter_map(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
                let ends = [(&near, &far), (&far, &near)];
                for (from, to) in ends {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let cut = cut.clone();
                    std::thread::spawn(move || pump(from, to, &cut));
                }
                kept.lock().unwrap().extend([near, far]);
            }
        });
        Self { port, dead, open }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
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

fn pump(mut from: TcpStream, mut to: TcpStream, dead: &AtomicBool) {
    let mut piece = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut piece) {
        while dead.load(Ordering::SeqCst) && read > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
