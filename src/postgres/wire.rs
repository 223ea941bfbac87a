//! The bytes below the driver: the socket, and a listener on what the server says at the start.
//!
//! The listener exists for two things that the driver does not tell: the process id that the
//! server announced (a pooler announces its own), and by which way
//! it asks who we are (`require_auth`), which has to be known before a password is sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// A socket of either kind.
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the listener heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// BackendKeyData: the announced process id.
    pub(super) pid: Option<i32>,
    /// The announced key for cancel requests.
    pub(super) key: Option<i32>,
    /// The way of authentication that `require_auth` does not allow.
    pub(super) refused_auth: Option<&'static str>,
    asked: bool,
}

/// Shared between the stream and who asks afterwards.
pub(super) type Ear = Arc<Mutex<Heard>>;

/// A stream whose first messages are listened to. After the start it only passes bytes on.
pub(super) struct Listened<S> {
    inner: S,
    ear: Ear,
    allowed: Vec<String>,
    pending: Vec<u8>,
    done: bool,
}

impl<S> Listened<S> {
    pub(super) fn new(inner: S, ear: Ear, allowed: Vec<String>) -> Self {
        Self { inner, ear, allowed, pending: Vec::new(), done: false }
    }

    fn listen(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        // Type byte, then a length that counts itself, then the body.
        while let [kind, a, b, c, d, body @ ..] = self.pending.as_slice() {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let Some(body) = length.checked_sub(4).and_then(|length| body.get(..length)) else {
                break;
            };
            let mut heard = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
            match (*kind, body) {
                (b'K', [p0, p1, p2, p3, k0, k1, k2, k3, ..]) => {
                    heard.pid = Some(i32::from_be_bytes([*p0, *p1, *p2, *p3]));
                    heard.key = Some(i32::from_be_bytes([*k0, *k1, *k2, *k3]));
                }
                (b'R', [a, b, c, d, ..]) => {
                    let way = way_of(i32::from_be_bytes([*a, *b, *c, *d]), heard.asked);
                    heard.asked = true;
                    if let Some(way) = way.filter(|way| !allows(&self.allowed, way)) {
                        heard.refused_auth = Some(way);
                        return Err(io::Error::other("require_auth"));
                    }
                }
                // ReadyForQuery: the start is over.
                (b'Z', _) => self.done = true,
                _ => {}
            }
            drop(heard);
            self.pending.drain(..length + 1);
        }
        // No start of a PostgreSQL session is this long.
        self.done |= self.pending.len() > 1 << 20;
        if self.done {
            self.pending = Vec::new();
        }
        Ok(())
    }
}

/// libpq's name for an authentication request; None for the later steps of one.
fn way_of(code: i32, asked: bool) -> Option<&'static str> {
    match code {
        0 if !asked => Some("none"),
        3 => Some("password"),
        5 => Some("md5"),
        7 => Some("gss"),
        9 => Some("sspi"),
        10 => Some("scram-sha-256"),
        _ => None,
    }
}

/// `require_auth`: a list of ways, or of ways with `!`.
fn allows(list: &[String], way: &str) -> bool {
    match list.first() {
        None => true,
        Some(first) if first.starts_with('!') => !list.iter().any(|not| &not[1..] == way),
        Some(_) => list.iter().any(|word| word == way),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if !self.done && matches!(polled, Poll::Ready(Ok(()))) {
            self.listen(&buf.filled()[before..])?;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Listened<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// A TLS connector whose stream is listened to inside of the encryption.
pub(super) struct ListeningTls<T> {
    pub(super) inner: T,
    pub(super) ear: Ear,
    pub(super) allowed: Vec<String>,
}

impl<T> TlsConnect<Wire> for ListeningTls<T>
where
    T: TlsConnect<Wire> + Send + 'static,
    T::Future: Send,
    T::Stream: Unpin,
{
    type Stream = Listened<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: Wire) -> Self::Future {
        let Self { inner, ear, allowed } = self;
        let connecting = inner.connect(stream);
        Box::pin(async move { Ok(Listened::new(connecting.await?, ear, allowed)) })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hear(allowed: &[&str], chunks: &[&[u8]]) -> (io::Result<()>, Heard) {
        let ear = Ear::default();
        let allowed = allowed.iter().map(|word| word.to_string()).collect();
        let mut stream = Listened::new((), ear.clone(), allowed);
        let result = chunks.iter().try_for_each(|chunk| stream.listen(chunk));
        drop(stream);
        (result, Arc::try_unwrap(ear).unwrap().into_inner().unwrap())
    }

    const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
    const KEY: &[u8] = b"K\0\0\0\x0c\0\0\x30\x39\0\0\0\x07";

    #[test]
    fn the_announced_process_is_heard_however_the_bytes_are_cut() {
        let whole = [OK, b"S\0\0\0\x09a\0b\0\0", KEY, b"Z\0\0\0\x05I"].concat();
        for cut in 1..whole.len() {
            let (result, heard) = hear(&[], &[&whole[..cut], &whole[cut..]]);
            assert!(result.is_ok());
            assert_eq!((heard.pid, heard.key), (Some(12345), Some(7)), "cut at {cut}");
        }
    }

    #[test]
    fn a_way_that_is_not_allowed_is_refused_before_the_answer() {
        assert!(hear(&["scram-sha-256"], &[MD5]).0.is_err());
        assert_eq!(hear(&["scram-sha-256"], &[MD5]).1.refused_auth, Some("md5"));
        assert!(hear(&["scram-sha-256", "md5"], &[MD5, OK]).0.is_ok());
        assert!(hear(&["!md5"], &[MD5]).0.is_err());
        assert!(hear(&["md5"], &[OK]).0.is_err(), "trust is not md5");
        assert!(hear(&["none"], &[OK]).0.is_ok());
        assert!(hear(&[], &[MD5, OK]).0.is_ok());
    }
}
