//! The authority of this machine: made once, kept in the state folder, its key known to nobody else.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use x509_parser::time::ASN1Time;

use super::certificate::{self, Facts};
use crate::{
    error::{Error, Kind, Result},
    state::{Folder, State},
};

const FOLDER: &str = "ca";
/// The key, then the certificate: one file, so that there is never one without the other.
const FILE: &str = "authority.pem";
/// The certificate alone, for programs that take a file.
const CERTIFICATE: &str = "ca.crt";
const MARK: &str = "-----BEGIN CERTIFICATE-----";
const ORGANISATION: &str = "stackctl";

const DAY: i64 = 24 * 3600;
const LIFE: i64 = 3650 * DAY;
/// Of what it issues.
const LEAF_LIFE: i64 = 90 * DAY;
/// Clocks of other machines may be late.
const BEFORE: i64 = 3600;

pub struct Authority {
    certificate: String,
    key: KeyPair,
    not_after: i64,
    file: PathBuf,
}

/// What a system can be told to trust, PEM, and the file that it is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub certificate: String,
    pub file: PathBuf,
}

/// A certificate with its key, both PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Authority {
    /// None: it was not made yet. Err: `Kind::Preflight` for one that cannot be used, with the fix.
    pub fn load(state: &State, now: i64) -> Result<Option<Authority>> {
        let folder = state.folder(FOLDER);
        match folder.read(FILE)? {
            None => Ok(None),
            Some(content) => Authority::read(&folder, &content, now).map(Some),
        }
    }

    /// Makes it if there is none. Of two runs that do so at once, one wins and both use its authority.
    pub fn ensure(state: &State, now: i64) -> Result<Authority> {
        let folder = state.folder(FOLDER);
        if folder.read(FILE)?.is_none() {
            let content = make(now).map_err(|error| failed("make the certificate authority", &error))?;
            folder.create(FILE, content.as_bytes())?;
        }
        let content = folder.read(FILE)?;
        let content = content.ok_or_else(|| Error::new(Kind::Unexpected, "the certificate authority is gone again"))?;
        Authority::read(&folder, &content, now)
    }

    /// The certificate of the authority that is kept, also of one that cannot be used any more.
    pub fn kept(state: &State) -> Result<Option<Anchor>> {
        let folder = state.folder(FOLDER);
        let whole = folder.read(FILE)?.and_then(|content| String::from_utf8(content).ok());
        let own = whole.and_then(|text| Some(text[text.find(MARK)?..].to_owned()));
        let alone = || Ok(folder.read(CERTIFICATE)?.and_then(|content| String::from_utf8(content).ok()));
        let certificate = own.map_or_else(alone, |own| Ok(Some(own)))?;
        Ok(certificate.map(|certificate| Anchor { certificate, file: folder.file(CERTIFICATE) }))
    }

    fn read(folder: &Folder, content: &[u8], now: i64) -> Result<Authority> {
        let file = folder.file(FILE);
        let shown = file.display().to_string();
        let unusable = |why: String| {
            Error::new(Kind::Preflight, format!("the certificate authority in {shown} cannot be used")).cause(why).hint(
                "remove that file, and the next `stackctl up` makes a new authority and new certificates; where the \
                     system trusts the old one, `stackctl ca untrust` before and `stackctl ca trust` after",
            )
        };
        let mode = fs::metadata(&file).map(|found| found.permissions().mode()).unwrap_or(0o600);
        if mode & 0o077 != 0 {
            let why = format!("others can read its key (mode {:o})", mode & 0o777);
            return Err(unusable(why).hint(format!("or `chmod 600 {shown}`, if nobody has")));
        }
        let text = std::str::from_utf8(content).map_err(|_| unusable("it is not PEM".to_owned()))?;
        let start = text.find(MARK).ok_or_else(|| unusable("there is no certificate in it".to_owned()))?;
        let (key, certificate) = text.split_at(start);
        let facts = certificate::facts(certificate).map_err(unusable)?;
        let key = KeyPair::from_pem(key).map_err(|_| unusable("there is no private key in it".to_owned()))?;
        check(&facts, certificate, &key, now).map_err(unusable)?;
        let certificate = certificate.to_owned();
        if folder.read(CERTIFICATE)?.as_deref() != Some(certificate.as_bytes()) {
            folder.write(CERTIFICATE, certificate.as_bytes())?;
        }
        Ok(Authority { certificate, key, not_after: facts.not_after, file: folder.file(CERTIFICATE) })
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    pub fn anchor(&self) -> Anchor {
        Anchor { certificate: self.certificate.clone(), file: self.file.clone() }
    }

    /// A certificate for servers of these names: valid for 90 days, or as long as the authority is.
    pub fn issue(&self, names: &BTreeSet<String>, now: i64) -> Result<Issued> {
        let failed = |error: rcgen::Error| failed("issue a certificate", &error);
        let alternatives: Vec<String> = names.iter().cloned().collect();
        let mut params = CertificateParams::new(alternatives).map_err(failed)?;
        let not_after = (now + LEAF_LIFE).min(self.not_after);
        let serial = validity(&mut params, now - BEFORE, not_after).map_err(failed)?;
        let common = names.iter().find(|name| name.contains('.')).or_else(|| names.first());
        params.distinguished_name = named(common.map_or("edge", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.key).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem(), serial, not_after })
    }
}

fn failed(what: &str, error: &rcgen::Error) -> Error {
    Error::new(Kind::Unexpected, format!("cannot {what}")).caused_by(error)
}

fn check(facts: &Facts, certificate: &str, key: &KeyPair, now: i64) -> std::result::Result<(), String> {
    if !facts.is_authority || !facts.subject.contains(&format!("O={ORGANISATION}")) {
        return Err(format!("it is not one that stackctl made: {}", facts.subject));
    }
    if certificate::public_key(certificate)? != key.subject_public_key_info() {
        return Err("its key belongs to another certificate".to_owned());
    }
    if facts.not_after <= now {
        return Err(format!("it expired on {}", date(facts.not_after)));
    }
    match facts.not_before > now {
        true => Err(format!("it is not valid before {}: is the clock right?", date(facts.not_before))),
        false => Ok(()),
    }
}

/// `2026-11-21`
pub fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

/// The key and the certificate of a new authority.
fn make(now: i64) -> std::result::Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    validity(&mut params, now - BEFORE, now + LIFE)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    params.distinguished_name = named(&format!("stackctl on {host}"));
    // Signs servers' certificates and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn named(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANISATION);
    // As long as a common name may be.
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

/// Sets from when to when it is valid, and a random serial number, which it returns.
fn validity(params: &mut CertificateParams, from: i64, to: i64) -> std::result::Result<String, rcgen::Error> {
    let time = |seconds| ASN1Time::from_timestamp(seconds).map_err(|_| rcgen::Error::CouldNotParseCertificate);
    params.not_before = time(from)?.to_datetime();
    params.not_after = time(to)?.to_datetime();
    let mut bytes: [u8; 16] = rand::random();
    // Positive, and as long as it looks.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&bytes));
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use tokio_rustls::rustls::{
        RootCertStore,
        client::WebPkiServerVerifier,
        client::danger::ServerCertVerifier,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn state() -> (tempfile::TempDir, State) {
        let home = tempfile::tempdir().unwrap();
        let state = State::at(home.path().join("stackctl"));
        (home, state)
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn accepts(authority: &Authority, issued: &Issued, name: &str, at: i64) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.unsigned_abs()));
        verifier.verify_server_cert(&leaf, &[], &name, &[], at).is_ok()
    }

    #[test]
    fn what_it_issues_is_verified_by_name_and_time() {
        let (_home, state) = state();
        let authority = Authority::ensure(&state, NOW).unwrap();
        let wanted = names(&["localhost", "127.0.0.1", "::1", "edge.hello.svc", "*.example.org"]);
        let issued = authority.issue(&wanted, NOW).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "edge.hello.svc", "a.example.org"] {
            assert!(accepts(&authority, &issued, name, NOW), "{name}");
        }
        assert!(!accepts(&authority, &issued, "edge.other.svc", NOW));
        assert!(!accepts(&authority, &issued, "localhost", NOW + 91 * DAY));
        let facts = certificate::facts(&issued.certificate).unwrap();
        assert_eq!((facts.names, facts.serial), (wanted, issued.serial.clone()));
        assert!(certificate::is_signed_by(&issued.certificate, authority.certificate()));
        assert_ne!(authority.issue(&names(&["a"]), NOW).unwrap().serial, issued.serial);
        assert!(!issued.certificate.contains("PRIVATE") && !authority.certificate().contains("PRIVATE"));
        // It does not issue what outlives it.
        let late = authority.issue(&names(&["a"]), NOW + LIFE - DAY).unwrap();
        assert_eq!(late.not_after, NOW + LIFE);
    }

    #[test]
    fn it_is_made_once_and_its_key_is_private() {
        let (_home, state) = state();
        assert!(Authority::load(&state, NOW).unwrap().is_none());
        let made: Vec<String> = thread::scope(|scope| {
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| Authority::ensure(&state, NOW).unwrap())).collect();
            runs.into_iter().map(|run| run.join().unwrap().certificate().to_owned()).collect()
        });
        assert!(made.iter().all(|certificate| *certificate == made[0]));
        let folder = state.folder(FOLDER);
        let mode = fs::metadata(folder.file(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = fs::read_to_string(Authority::load(&state, NOW).unwrap().unwrap().anchor().file).unwrap();
        assert_eq!(public, made[0]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    fn cause(result: Result<Option<Authority>>) -> String {
        let error = result.err().unwrap();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.hints[0].contains("remove that file"), "{error:?}");
        error.causes.join(" ")
    }

    #[test]
    fn one_that_cannot_be_used_says_why() {
        let (_home, state) = state();
        let folder = state.folder(FOLDER);
        Authority::ensure(&state, NOW).unwrap();
        assert!(cause(Authority::load(&state, NOW + LIFE + 1)).contains("it expired on 20"));
        assert!(cause(Authority::load(&state, NOW - DAY)).contains("not valid before"));

        let good = String::from_utf8(folder.read(FILE).unwrap().unwrap()).unwrap();
        let (key, certificate) = good.split_at(good.find(MARK).unwrap());
        let other = make(NOW).unwrap();
        folder.write(FILE, format!("{}{certificate}", &other[..other.find(MARK).unwrap()]).as_bytes()).unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("belongs to another"));

        let stranger = KeyPair::generate().unwrap();
        let foreign = CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(&stranger).unwrap();
        folder.write(FILE, format!("{}{}", stranger.serialize_pem(), foreign.pem()).as_bytes()).unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("not one that stackctl made"));

        folder.write(FILE, b"\xff\xfe").unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("not PEM"));
        folder.write(FILE, key.as_bytes()).unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("no certificate"));
        folder.write(FILE, certificate.as_bytes()).unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("no private key"));

        // What a system may have been told to trust is known of each of them.
        folder.write(FILE, foreign.pem().as_bytes()).unwrap();
        assert_eq!(Authority::kept(&state).unwrap().unwrap().certificate, foreign.pem());
        folder.write(FILE, b"\xff\xfe").unwrap();
        assert_eq!(Authority::kept(&state).unwrap().unwrap().certificate, certificate);

        folder.write(FILE, good.as_bytes()).unwrap();
        fs::set_permissions(folder.file(FILE), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(cause(Authority::load(&state, NOW)).contains("others can read its key"));
    }
}
