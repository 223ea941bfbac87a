//! A bucket of an S3-compatible object store. Credentials come from the environment (`AWS_..`)
//! alone, and the redactor knows them.
//!
//! The store's requests go out through the same client as `http::get`'s, one at a time on a thread
//! of its own, so that no second web client and no second TLS library is compiled in.

use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use sha2::{Digest, Sha256};

use super::upload::failed;
use crate::host::{Host, Trouble};
use crate::model::{EventKind, Fault, Redactor, hex};
use crate::msg;
use crate::verbs::fs::sum::read_fault;

/// What is sent or read in one request, at least; of a large file more, because a store takes ten
/// thousand parts.
const PIECE: u64 = 16 << 20;
/// The most parts that are made of one file.
const PARTS: u64 = 9_000;
/// A request whose answer takes longer is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// A bucket, and what stands before each name in it.
pub(super) struct Bucket {
    name: String,
    prefix: String,
    store: AmazonS3,
}

impl Bucket {
    /// Opens it; nothing is asked of the store yet.
    ///
    /// # Errors
    /// `upload-failed` where the environment's settings do not fit together.
    pub(super) fn open(name: &str, prefix: &str, redactor: &Redactor) -> Result<Self, Fault> {
        for secret in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            if let Ok(value) = std::env::var(secret) {
                redactor.add(&value);
            }
        }
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_retry(retry)
            .with_http_connector(Connector)
            .build()
            .map_err(|error| failed(&format!("s3://{name}"), told(&error)))?;
        Ok(Self { name: name.into(), prefix: prefix.into(), store })
    }

    /// `s3://bucket/prefix/name`.
    pub(super) fn place(&self, name: &str) -> String {
        format!("s3://{}/{}", self.name, self.key(name))
    }

    fn key(&self, name: &str) -> Path {
        Path::from_iter(self.prefix.split('/').chain(name.split('/')).filter(|p| !p.is_empty()))
    }

    fn answer<T>(&self, name: &str, answer: object_store::Result<T>) -> Result<T, Trouble> {
        answer.map_err(|error| refused(failed(&self.place(name), told(&error)), &error).into())
    }

    /// Asks the store for the names below the prefix: a wrong key, or a bucket that is not there, is
    /// found before hours of dumping, not behind them.
    ///
    /// # Errors
    /// `upload-failed`, with what was refused and what helps.
    pub(super) fn look(&self, host: &Host) -> Result<(), Trouble> {
        let below = Some(self.key("")).filter(|prefix| !prefix.as_ref().is_empty());
        let Err(error) = host.wait(self.store.list_with_delimiter(below.as_ref()))? else {
            return Ok(());
        };
        let (place, bucket) = (self.place(""), &self.name);
        let fault = failed(&place, told(&error));
        // A list that fails says no more than that; the bucket itself is refused or missing.
        let fault = match host.wait(self.store.head(&Path::default()))? {
            Err(Error::NotFound { .. }) => {
                fault.cause(msg!("verbs.pg.upload.no-bucket", bucket = bucket))
            }
            Err(error) => refused(fault, &error),
            Ok(_) => fault,
        };
        Err(fault.remedy(msg!("verbs.pg.upload.early.remedy", place = place)).into())
    }

    /// Sends a file under a name that is free. Gives SHA-256 and size of what was read from it.
    ///
    /// # Errors
    /// `upload-failed`, `read-failed`.
    pub(super) fn send(
        &self,
        host: &Rc<Host>,
        from: &std::path::Path,
        name: &str,
    ) -> Result<(String, u64), Trouble> {
        let key = self.key(name);
        match host.wait(self.store.head(&key))? {
            Err(Error::NotFound { .. }) => {}
            Ok(_) => return Err(failed(&self.place(name), msg!("verbs.pg.upload.there")).into()),
            Err(error) => self.answer(name, Err(error))?,
        }
        let unreadable = |error: std::io::Error| read_fault(from, &error);
        let mut file = File::open(from).map_err(unreadable)?;
        let total = file.metadata().map_err(unreadable)?.len();
        let size = PIECE.max(total / PARTS);
        let mut read = Reading { file: &mut file, hash: Sha256::new(), bytes: 0 };
        let first = read.piece(size).map_err(unreadable)?;
        if read.bytes == total {
            let put = host.wait(self.store.put(&key, PutPayload::from(first)))?;
            self.answer(name, put)?;
            return Ok((hex(&read.hash.finalize()), read.bytes));
        }
        let upload = host.wait(self.store.put_multipart(&key))?;
        let mut upload = self.answer(name, upload)?;
        let sent = self.parts(host, name, upload.as_mut(), &mut read, (first, size, total), from);
        if sent.is_err() {
            // What a store keeps of an upload that broke off costs money every day.
            let _ = host.wait_out(tokio::time::timeout(PATIENCE, upload.abort()));
        }
        sent?;
        Ok((hex(&read.hash.finalize()), read.bytes))
    }

    fn parts(
        &self,
        host: &Rc<Host>,
        name: &str,
        upload: &mut dyn MultipartUpload,
        read: &mut Reading<'_>,
        (mut piece, size, total): (Vec<u8>, u64, u64),
        from: &std::path::Path,
    ) -> Result<(), Trouble> {
        while !piece.is_empty() {
            let part = host.wait(upload.put_part(PutPayload::from(piece)))?;
            self.answer(name, part)?;
            let (what, unit) = (self.place(name), "bytes".to_string());
            host.emit(EventKind::Progress { what, done: read.bytes, total: Some(total), unit })?;
            piece = read.piece(size).map_err(|error| read_fault(from, &error))?;
        }
        let done = host.wait(upload.complete())?;
        self.answer(name, done).map(|_| ())
    }

    /// SHA-256 and size of what the store gives back.
    ///
    /// # Errors
    /// `upload-failed`.
    pub(super) fn read_back(&self, host: &Rc<Host>, name: &str) -> Result<(String, u64), Trouble> {
        let key = self.key(name);
        let head = host.wait(self.store.head(&key))?;
        let size = self.answer(name, head)?.size;
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < size {
            let range = at..size.min(at + PIECE);
            let piece = host.wait(self.store.get_range(&key, range))?;
            let piece = self.answer(name, piece)?;
            if piece.is_empty() {
                break;
            }
            hash.update(&piece);
            at += piece.len() as u64;
        }
        Ok((hex(&hash.finalize()), at))
    }
}

/// Says why, where the store has refused.
fn refused(fault: Fault, error: &Error) -> Fault {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            fault.cause(msg!("verbs.pg.upload.refused"))
        }
        _ => fault,
    }
}

/// A file that is summed while it is read.
struct Reading<'a> {
    file: &'a mut File,
    hash: Sha256,
    bytes: u64,
}

impl Reading<'_> {
    /// The next bytes, fewer only at the end.
    fn piece(&mut self, size: u64) -> std::io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        self.file.by_ref().take(size).read_to_end(&mut piece)?;
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        Ok(piece)
    }
}

/// An error with its reasons, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        inner = error.source();
    }
    text
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(PATIENCE));
        Ok(HttpClient::new(Wire(Arc::new(ureq::Agent::new_with_config(config.build())))))
    }
}

#[derive(Debug)]
struct Wire(Arc<ureq::Agent>);

impl HttpService for Wire {
    // Written out as the trait's attribute writes it.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let agent = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = ureq::http::Request::from_parts(head, body.to_vec());
            // A thread of its own: who stops the run does not wait for the store's answer.
            let (answer, answered) = tokio::sync::oneshot::channel();
            let io = |error| HttpError::new(HttpErrorKind::Unknown, error);
            std::thread::Builder::new()
                .name("store".into())
                .spawn(move || {
                    let _ = answer.send(asked(&agent, request));
                })
                .map_err(io)?;
            answered.await.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?
        })
    }
}

fn asked(
    agent: &ureq::Agent,
    request: ureq::http::Request<Vec<u8>>,
) -> Result<HttpResponse, HttpError> {
    let broken = |error: ureq::Error| {
        let kind = match &error {
            ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => HttpErrorKind::Connect,
            ureq::Error::Io(_) => HttpErrorKind::Interrupted,
            _ => HttpErrorKind::Unknown,
        };
        HttpError::new(kind, error)
    };
    let (head, mut body) = agent.run(request).map_err(broken)?.into_parts();
    // A piece that was asked for, or a page of the store's own words.
    let limit = PIECE + (1 << 20);
    let bytes = body.with_config().limit(limit).read_to_vec().map_err(broken)?;
    Ok(HttpResponse::from_parts(head, bytes.into()))
}
