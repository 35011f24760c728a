//! What a certificate says, read from its PEM.

use std::{collections::BTreeSet, net::IpAddr};

use x509_parser::{
    extensions::GeneralName,
    pem::{Pem, parse_x509_pem},
    prelude::X509Certificate,
};

/// Of the first certificate of a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Host names and IP addresses that it is for.
    pub names: BTreeSet<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// `CN=…, O=…`
    pub issuer: String,
    pub subject: String,
    pub is_authority: bool,
}

/// Err: why it is none.
pub fn facts(pem: &str) -> Result<Facts, String> {
    let pem = parse(pem)?;
    let certificate = x509(&pem)?;
    let mut names = BTreeSet::new();
    let alternatives = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.extend([(*name).to_owned()]),
            GeneralName::IPAddress(bytes) => names.extend(address(bytes)),
            _ => {}
        }
    }
    let serial = certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Facts {
        serial,
        names,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        issuer: certificate.issuer().to_string(),
        subject: certificate.subject().to_string(),
        is_authority: certificate.is_ca(),
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(v6).map(|address| address.to_string())
}

/// Whether it is its own authority.
pub fn is_self_signed(certificate: &str) -> bool {
    is_signed_by(certificate, certificate)
}

/// Whether the key of `authority` signed `certificate`; both PEM.
pub fn is_signed_by(certificate: &str, authority: &str) -> bool {
    let check = || {
        let (certificate, authority) = (parse(certificate)?, parse(authority)?);
        let (certificate, authority) = (x509(&certificate)?, x509(&authority)?);
        let named = certificate.issuer() == authority.subject();
        let signed = certificate.verify_signature(Some(authority.public_key())).is_ok();
        Ok::<_, String>(named && signed)
    };
    check().unwrap_or(false)
}

/// The public key of a certificate: DER of a SubjectPublicKeyInfo.
pub fn public_key(certificate: &str) -> Result<Vec<u8>, String> {
    let pem = parse(certificate)?;
    Ok(x509(&pem)?.public_key().raw.to_vec())
}

fn parse(pem: &str) -> Result<Pem, String> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| "it is not PEM".to_owned())?;
    match pem.label.as_str() {
        "CERTIFICATE" => Ok(pem),
        other => Err(format!("it holds a {other}, not a certificate")),
    }
}

fn x509(pem: &Pem) -> Result<X509Certificate<'_>, String> {
    pem.parse_x509().map_err(|error| format!("it is no X.509 certificate: {error}"))
}
