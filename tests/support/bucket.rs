//! A small S3-like store for one test: objects by name, in one request or in parts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How it behaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Good,
    /// Gives back one byte that it was not sent.
    LosesAByte,
    /// 403 for everything.
    Refuses,
}

#[derive(Default)]
struct Kept {
    /// Objects by the last part of their names, and how many requests brought them.
    objects: BTreeMap<String, (Vec<u8>, usize)>,
    /// Parts of uploads that are not complete, by name and number.
    parts: BTreeMap<(String, u32), Vec<u8>>,
}

/// An address that keeps what it is sent; the thread ends with the test's process.
pub struct Bucket {
    port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl Bucket {
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let inside = kept.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                answer(stream, &inside, mood);
            }
        });
        Self { port, kept }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What is kept under a name.
    pub fn get(&self, name: &str) -> Vec<u8> {
        self.kept.lock().unwrap().objects.get(name).map_or(Vec::new(), |(bytes, _)| bytes.clone())
    }

    /// How many requests brought it.
    pub fn parts(&self, name: &str) -> usize {
        self.kept.lock().unwrap().objects.get(name).map_or(0, |(_, parts)| *parts)
    }
}

fn answer(mut stream: TcpStream, kept: &Mutex<Kept>, mood: Mood) {
    let mut request = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let end = loop {
        if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = request.split_off(end);
    while body.len() < length {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => body.extend_from_slice(&piece[..count]),
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let signed = header("authorization").is_some_and(|text| text.contains("AKIDEXAMPLE"));
    let whole = path.trim_end_matches('/') == "/vault";
    let lists = method == "GET" && whole && query.contains("list-type=2");
    assert!((whole || path.starts_with("/vault/shop/nightly/")) && signed, "{head}");
    let name = path.rsplit('/').next().unwrap().to_string();
    let number = query.split('&').find_map(|word| word.strip_prefix("partNumber="));
    let mut kept = kept.lock().unwrap();
    let (status, more, content) = match (method, number) {
        _ if mood == Mood::Refuses => (403, String::new(), b"<Error>no</Error>".to_vec()),
        _ if lists => {
            let text = "<ListBucketResult><Name>vault</Name><IsTruncated>false</IsTruncated>\
                </ListBucketResult>";
            (200, String::new(), text.into())
        }
        ("PUT", Some(number)) => {
            kept.parts.insert((name, number.parse().unwrap()), body);
            (200, String::new(), Vec::new())
        }
        ("PUT", None) => {
            kept.objects.insert(name, (body, 1));
            (200, String::new(), Vec::new())
        }
        ("POST", _) if query.starts_with("uploads") => {
            let text = "<InitiateMultipartUploadResult><UploadId>u1</UploadId>\
                </InitiateMultipartUploadResult>";
            (200, String::new(), text.into())
        }
        ("POST", _) => {
            let parts = std::mem::take(&mut kept.parts);
            let count = parts.len();
            kept.objects.insert(name, (parts.into_values().flatten().collect(), count));
            let text =
                "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>";
            (200, String::new(), text.into())
        }
        _ => match kept.objects.get(&name) {
            None => (404, String::new(), Vec::new()),
            Some((bytes, _)) => {
                let mut bytes = bytes.clone();
                if mood == Mood::LosesAByte {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                let all = bytes.len();
                match header("range").and_then(|text| text.strip_prefix("bytes=").map(String::from))
                {
                    Some(range) => {
                        let (from, to) = range.split_once('-').unwrap();
                        let (from, to): (usize, usize) =
                            (from.parse().unwrap(), to.parse().unwrap());
                        let to = to.min(all - 1);
                        let more = format!("Content-Range: bytes {from}-{to}/{all}\r\n");
                        (206, more, bytes[from..=to].to_vec())
                    }
                    None => (200, String::new(), bytes),
                }
            }
        },
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nETag: \"e\"\r\n{more}\
         Last-Modified: Sat, 21 Nov 2026 03:15:42 GMT\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&content);
    }
}
