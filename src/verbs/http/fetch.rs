//! One GET request, bounded in time and size.
//!
//! The client blocks; it works on a thread of its own, so that Ctrl-C and the item's time are
//! heard while it waits. A request given up on ends by its own time limit.

use std::io::Read;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::host::{Host, Trouble};
use crate::model::{Fault, format_span};
use crate::msg;

/// No answer that a playbook looks at is longer.
pub(in crate::verbs) const LONGEST_BODY: u64 = 1 << 20;
/// How long a request may take where nothing is said.
pub(in crate::verbs) const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug)]
pub(in crate::verbs) struct Request {
    /// `http://..` or `https://..`.
    pub(in crate::verbs) url: String,
    /// From the look-up of the name to the last byte.
    pub(in crate::verbs) timeout: Duration,
    /// Name and value.
    pub(in crate::verbs) headers: Vec<(String, String)>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(in crate::verbs) struct Answer {
    /// The status, redirections followed.
    pub(in crate::verbs) status: u16,
    /// The body as text.
    pub(in crate::verbs) body: String,
    /// True where the body was longer than [`LONGEST_BODY`].
    pub(in crate::verbs) cut: bool,
    /// From the request to the last byte.
    pub(in crate::verbs) took: Duration,
}

/// An address that can be asked.
///
/// # Errors
/// `bad-url`.
pub(in crate::verbs) fn checked_url(url: &str) -> Result<(), Fault> {
    let scheme = url.split("://").next().unwrap_or("").to_ascii_lowercase();
    if matches!(scheme.as_str(), "http" | "https") && url.len() > scheme.len() + 3 {
        return Ok(());
    }
    Err(Fault::usage("bad-url", msg!("verbs.http.bad-url", url = url))
        .remedy(msg!("verbs.http.bad-url.remedy")))
}

/// Asks. Any status is an answer.
///
/// # Errors
/// `http-failed` with what went wrong, `http-timeout`; the stop of whoever interrupts.
pub(in crate::verbs) fn fetch(host: &Rc<Host>, request: Request) -> Result<Answer, Trouble> {
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("http".into())
        .spawn(move || {
            let _ = told.send(ask(&request));
        })
        .map_err(|error| Fault::failed("internal", error.to_string()))?;
    match host.wait(answer)? {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Fault::failed("internal", "the request's thread ended").into()),
    }
}

fn ask(request: &Request) -> Result<Answer, Fault> {
    let failed = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => Fault::failed(
            "http-timeout",
            msg!("verbs.http.timeout", url = request.url, limit = format_span(request.timeout)),
        ),
        other => Fault::failed("http-failed", msg!("verbs.http.failed", url = request.url))
            .detail(other.to_string()),
    };
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(request.timeout))
        .user_agent(concat!("runsheet/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(trusted()).build());
    if is_loopback(&request.url) {
        // A proxy of the environment would look for the service on its own machine.
        config = config.proxy(None);
    }
    let agent = config.build().new_agent();
    let started = Instant::now();
    let mut asking = agent.get(&request.url);
    for (name, value) in &request.headers {
        asking = asking.header(name, value);
    }
    let mut answer = asking.call().map_err(failed)?;
    let mut bytes = Vec::new();
    answer
        .body_mut()
        .as_reader()
        .take(LONGEST_BODY + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(ureq::Error::from(error)))?;
    let cut = bytes.len() as u64 > LONGEST_BODY;
    bytes.truncate(LONGEST_BODY as usize);
    Ok(Answer {
        status: answer.status().as_u16(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
        cut,
        took: started.elapsed(),
    })
}

/// The machine's own authorities, a company's among them; the built-in list where it has none.
fn trusted() -> RootCerts {
    static NATIVE: OnceLock<Option<Arc<Vec<Certificate<'static>>>>> = OnceLock::new();
    let native = NATIVE.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        let certificates: Vec<Certificate<'static>> =
            found.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        (!certificates.is_empty()).then(|| Arc::new(certificates))
    });
    match native {
        Some(certificates) => RootCerts::Specific(certificates.clone()),
        None => RootCerts::WebPki,
    }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("").to_ascii_lowercase();
    let named = |name: &str| host == name || host.starts_with(&format!("{name}:"));
    named("localhost") || named("[::1]") || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_asked() {
        assert!(checked_url("http://127.0.0.1:3000/health").is_ok());
        assert!(checked_url("HTTPS://shop.example.com").is_ok());
        for bad in ["file:///etc/passwd", "shop.example.com", "http://", ""] {
            assert!(checked_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_own_machine_is_recognised() {
        for own in ["http://localhost:1/x", "http://me:pw@127.0.0.1/", "http://[::1]:80"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["http://localhost.example.com/", "http://shop.example.com/?127.0.0.1"] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
