//! TLS as libpq's `sslmode` means it: encrypt only, verify the authority, or the host's name too.
//!
//! Knows certificates, not sockets. `connect` asks for a connector and turns a failed handshake
//! into a fault.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, InconsistentKeys, RootCertStore,
    SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{SslMode, Target};
use crate::model::{Fault, FaultKind};
use crate::msg;

/// A connector that trusts what the target says may be trusted.
///
/// # Errors
/// `tls-root`, `tls-crl`, `tls-client-cert`, `tls-client-key` where a file cannot be used.
pub(super) fn connector(target: &Target) -> Result<MakeRustlsConnect, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = if target.tls13_only {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let unusable = |error: rustls::Error| {
        fault("tls-handshake", msg!("postgres.tls-handshake")).detail(error.to_string())
    };
    let verifier = Verifier::new(target, provider.clone())?;
    let keys = provider.key_provider;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client_certificate(target)? {
        Some((chain, key)) => {
            let refused = |error: rustls::Error| {
                fault("tls-client-key", msg!("postgres.tls-client-key", file = key_file(target)))
                    .detail(error.to_string())
                    .remedy(msg!("postgres.tls-client-key-remedy"))
            };
            let key = keys.load_private_key(key).map_err(refused)?;
            // Looked for in the bytes, since webpki cannot read old version 1 certificates, which
            // is no reason against them: the server decides.
            let own = key.public_key();
            let fits = own
                .is_none_or(|own| chain[0].windows(own.len()).any(|bytes| bytes == own.as_ref()));
            if !fits {
                return Err(refused(rustls::Error::InconsistentKeys(
                    InconsistentKeys::KeyMismatch,
                )));
            }
            let identity = CertifiedKey::new(chain, key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    if target.ssl_direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(target: &Target) -> Result<Option<Identity>, Fault> {
    let Some(path) = &target.sslcert else { return Ok(None) };
    let chain = certificates(path).map_err(|why| {
        fault("tls-client-cert", msg!("postgres.tls-client-cert", file = path.display()))
            .detail(why)
    })?;
    let key = match &target.sslkey {
        Some(path) => PrivateKeyDer::from_pem_file(path).map_err(|why| why.to_string()),
        None => Err(msg!("postgres.tls-no-key")),
    };
    let key = key.map_err(|why| {
        fault("tls-client-key", msg!("postgres.tls-client-key", file = key_file(target)))
            .detail(why)
            .remedy(msg!("postgres.tls-client-key-remedy"))
    })?;
    Ok(Some((chain, key)))
}

fn key_file(target: &Target) -> String {
    target.sslkey.as_deref().unwrap_or(Path::new("sslkey")).display().to_string()
}

/// The certificates of a PEM file; at least one, else the reason.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(found) if found.is_empty() => Err(msg!("postgres.tls-no-certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// Verifies as much as `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    /// None: whoever answers is taken (`require` without a root certificate, `prefer`, `allow`).
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates of the root file. A server may use one of them itself, which is what people
    /// with a self-signed certificate do: OpenSSL accepts it, webpki alone does not.
    trusted: Vec<CertificateDer<'static>>,
    /// The host's name must be in the certificate.
    names: bool,
    schemes: Vec<SignatureScheme>,
}

impl Verifier {
    fn new(target: &Target, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Self, Fault> {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let names = target.sslmode == SslMode::VerifyFull;
        // As libpq: with a root certificate at hand, `require` verifies like `verify-ca`.
        let verifies = target.sslmode >= SslMode::VerifyCa
            || (target.sslmode == SslMode::Require && target.sslrootcert.is_some());
        if !verifies {
            return Ok(Self { chain: None, trusted: Vec::new(), names, schemes });
        }
        let (roots, trusted) = roots(target)?;
        let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(path) = &target.sslcrl {
            let lists: Result<Vec<_>, _> =
                CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
            let lists = lists.map_err(|error| {
                fault("tls-crl", msg!("postgres.tls-crl", file = path.display()))
                    .detail(error.to_string())
            })?;
            builder = builder.with_crls(lists).allow_unknown_revocation_status();
        }
        let chain = builder.build().map_err(|error| {
            let file = target.sslrootcert.clone().unwrap_or_else(|| "system".into());
            fault("tls-root", msg!("postgres.tls-root", file = file)).detail(error.to_string())
        })?;
        Ok(Self { chain: Some(chain), trusted, names, schemes })
    }
}

/// The file's authorities, or the machine's own where no file is named.
fn roots(target: &Target) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Fault> {
    let mut store = RootCertStore::empty();
    let file = target.sslrootcert.as_deref().filter(|file| *file != "system");
    let Some(file) = file else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok((store, Vec::new()));
    };
    let trusted = certificates(Path::new(file)).map_err(|why| {
        fault("tls-root", msg!("postgres.tls-root", file = file))
            .detail(why)
            .remedy(msg!("postgres.tls-root-remedy"))
    })?;
    store.add_parsable_certificates(trusted.clone());
    Ok((store, trusted))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        if self.trusted.iter().any(|known| known.as_ref() == end_entity.as_ref()) {
            if self.names {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let wrong_name = |error: &rustls::Error| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            let rustls::Error::InvalidCertificate(why) = error else { return false };
            matches!(why, NotValidForName | NotValidForNameContext { .. })
        };
        // The name is looked at last: a wrong name means that the chain was right.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if !self.names && wrong_name(&error) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.chain {
            Some(chain) => chain.verify_tls12_signature(message, cert, dss),
            // Who takes any certificate gains nothing by its signature, and would lose the old
            // version 1 certificates, which webpki cannot read.
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.chain {
            Some(chain) => chain.verify_tls13_signature(message, cert, dss),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// The fault for a TLS error, where one is somewhere below this error.
pub(super) fn fault_of(error: &(dyn std::error::Error + 'static), host: &str) -> Option<Fault> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(tls, host));
        }
        // io::Error hides what it wraps from source().
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error, host: &str) -> Fault {
    use CertificateError as Why;
    let fault = match error {
        rustls::Error::InvalidCertificate(why) => match why {
            Why::NotValidForName | Why::NotValidForNameContext { .. } => {
                fault("tls-name", msg!("postgres.tls-name", host = host))
                    .remedy(msg!("postgres.tls-name-remedy"))
            }
            Why::Expired | Why::ExpiredContext { .. } => {
                fault("tls-expired", msg!("postgres.tls-expired", host = host))
                    .remedy(msg!("postgres.tls-expired-remedy"))
            }
            Why::Revoked => fault("tls-revoked", msg!("postgres.tls-revoked", host = host)),
            _ => fault("tls-untrusted", msg!("postgres.tls-untrusted", host = host))
                .cause(msg!("postgres.tls-untrusted-cause"))
                .remedy(msg!("postgres.tls-untrusted-remedy")),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => fault("tls-client-refused", msg!("postgres.tls-client-refused", host = host))
            .remedy(msg!("postgres.tls-client-refused-remedy")),
        _ => fault("tls-handshake", msg!("postgres.tls-handshake")),
    };
    fault.detail(error.to_string())
}

fn fault(code: &str, message: String) -> Fault {
    Fault::new(FaultKind::NoConnection, code, message)
}
