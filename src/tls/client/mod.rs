//! Our own side of TLS connections: whom they trust.

mod pinned;

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::{Context, Error, Kind, Result};

/// The certificates of a PEM text, at least one, as roots. `what`: says in an error that they could not be read.
pub fn roots(pem: &[u8], kind: Kind, what: impl Fn() -> String + Copy) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.context(kind, what)?).context(kind, what)?;
    }
    if roots.is_empty() {
        return Err(Error::new(kind, what()).cause("it holds no certificate"));
    }
    Ok(roots)
}

/// Trusts what these roots signed, and besides them this one certificate itself, PEM, whatever names it is for.
pub fn pinned(roots: RootCertStore, certificate: &[u8]) -> Result<ClientConfig> {
    let what = || "the edge's certificate cannot be read".to_owned();
    let certificate = CertificateDer::from_pem_slice(certificate).context(Kind::Preflight, what)?;
    let verifier =
        pinned::Pinned::new(roots, certificate).context(Kind::Unexpected, || "TLS could not be set up".to_owned())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context(Kind::Unexpected, || "TLS could not be set up".to_owned())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// `roots`: what to trust; None: the roots of the system.
pub fn config(roots: Option<RootCertStore>) -> Result<ClientConfig> {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context(Kind::Unexpected, || "TLS could not be set up".to_owned())
    };
    let builder = match roots {
        Some(roots) => builder()?.with_root_certificates(roots),
        // A machine without roots can still make plain requests; TLS then fails with an unknown issuer.
        None => match builder()?.with_native_roots() {
            Ok(builder) => builder,
            Err(_) => builder()?.with_root_certificates(RootCertStore::empty()),
        },
    };
    Ok(builder.with_no_client_auth())
}
