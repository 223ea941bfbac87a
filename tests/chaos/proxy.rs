//! A proxy between program and server that knows where PostgreSQL's messages begin, and can lose
//! a COMMIT or another message, or its answer, or hold it back; or go silent, as a network does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees it.
    Before,
    /// The server performs it; the answer is lost.
    After,
    /// The client is cut off at once; the server sees it so much later.
    Late(Duration),
    /// From this message on nothing passes in these directions, not even the end of a connection.
    Silent(Lost),
    /// The same, and those who connect from now on are not heard either.
    NetworkDown(Lost),
}

/// What is lost of a connection that goes silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    ToServer,
    ToClient,
    Both,
}

/// Which message something happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The n-th with a COMMIT.
    Commit(u64),
    /// The first with all of these texts.
    Texts(&'static [&'static str]),
}

#[derive(Default)]
struct State {
    /// Messages with a COMMIT so far.
    commits: u64,
    /// At which of them what happens.
    plan: Option<(At, Cut)>,
    /// It has happened.
    done: bool,
    /// Who connects now is not heard.
    down: bool,
}

/// What passes no more in one connection.
#[derive(Default)]
struct Hole {
    to_server: AtomicBool,
    to_client: AtomicBool,
}

impl Hole {
    fn swallow(&self, lost: Lost) {
        self.to_server.fetch_or(lost != Lost::ToClient, Ordering::SeqCst);
        self.to_client.fetch_or(lost != Lost::ToServer, Ordering::SeqCst);
    }
}

/// Listens on 127.0.0.1 while the test's process lives.
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of a server's port.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || pass(client, server, &state));
            }
        });
        Self { port, state }
    }

    /// Connection string through the proxy.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// At the n-th COMMIT from now on (from 1), this happens, once.
    pub fn plan(&self, plan: Option<(u64, Cut)>) {
        let plan = plan.map(|(nth, cut)| (At::Commit(nth), cut));
        *self.state.lock().expect("the state") = State { plan, ..State::default() };
    }

    /// At the first message with all of these texts, this happens, once.
    pub fn plan_at(&self, texts: &'static [&'static str], cut: Cut) {
        let plan = Some((At::Texts(texts), cut));
        *self.state.lock().expect("the state") = State { plan, ..State::default() };
    }

    /// COMMITs since the last plan.
    pub fn commits(&self) -> u64 {
        self.state.lock().expect("the state").commits
    }

    /// Has the planned thing happened?
    pub fn has_cut(&self) -> bool {
        self.state.lock().expect("the state").done
    }
}

impl State {
    fn meets(&mut self, message: &[u8]) -> Option<Cut> {
        if message.first() != Some(&b'Q') {
            return None;
        }
        let has = |text: &str| message.windows(text.len()).any(|word| word == text.as_bytes());
        let commit = has("COMMIT");
        self.commits += u64::from(commit);
        let (at, cut) = self.plan?;
        let meant = match at {
            At::Commit(nth) => commit && self.commits == nth,
            At::Texts(texts) => texts.iter().all(|text| has(text)),
        };
        if self.done || !meant {
            return None;
        }
        self.done = true;
        self.down = matches!(cut, Cut::NetworkDown(_));
        Some(cut)
    }
}

fn pass(client: TcpStream, server: u16, state: &Arc<Mutex<State>>) {
    if state.lock().expect("the state").down {
        return swallow(&client);
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (Ok(mut from), Ok(mut to)) = (server.try_clone(), client.try_clone()) else { return };
    let hole = Arc::new(Hole::default());
    let back = hole.clone();
    let answers = std::thread::spawn(move || {
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            if back.to_client.load(Ordering::SeqCst) {
                continue;
            }
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        if !back.to_client.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    let _ = forward(&client, &server, state, &hole);
    if hole.to_server.load(Ordering::SeqCst) {
        // The server is not told that its client has gone.
        let _ = answers.join();
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Takes whatever comes, until nobody is there any more.
fn swallow(mut client: &TcpStream) {
    let mut piece = [0; 1024];
    while let Ok(1..) = client.read(&mut piece) {}
}

/// Client to server, message by message. The first ones have no type byte.
fn forward(
    mut client: &TcpStream,
    mut server: &TcpStream,
    state: &Mutex<State>,
    hole: &Hole,
) -> std::io::Result<()> {
    const TLS_OR_GSS: [u32; 2] = [80_877_103, 80_877_104];
    let mut typed = false;
    loop {
        let mut message = Vec::new();
        if typed {
            message.resize(1, 0);
            client.read_exact(&mut message)?;
        }
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        message.extend_from_slice(&length);
        let begin = message.len();
        message.resize(begin + (u32::from_be_bytes(length) as usize).saturating_sub(4), 0);
        client.read_exact(&mut message[begin..])?;
        if !typed {
            let code: [u8; 4] = message[4..8].try_into().unwrap_or_default();
            typed = !TLS_OR_GSS.contains(&u32::from_be_bytes(code));
        }
        let cut = state.lock().expect("the state").meets(&message);
        match cut {
            None => server.write_all(&message)?,
            Some(Cut::Before) => return Ok(()),
            Some(Cut::Silent(lost) | Cut::NetworkDown(lost)) => {
                hole.swallow(lost);
                if lost != Lost::ToClient {
                    swallow(client);
                    return Ok(());
                }
                server.write_all(&message)?;
            }
            Some(cut) => {
                client.shutdown(Shutdown::Both)?;
                if let Cut::Late(time) = cut {
                    std::thread::sleep(time);
                }
                server.write_all(&message)?;
                // The server has answered once it reads our end of the stream behind the message.
                server.shutdown(Shutdown::Write)?;
                std::thread::sleep(Duration::from_millis(20));
                let mut piece = [0; 1024];
                while server.read(&mut piece)? > 0 {}
                return Ok(());
            }
        }
    }
}
