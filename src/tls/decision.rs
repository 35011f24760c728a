//! Whether a certificate has to be issued. Pure.

use std::{collections::BTreeSet, fmt};

use super::certificate::Facts;
use crate::tls::wanted::Certificate;

/// A certificate is renewed when it has less than this left: seconds.
const RENEW: i64 = 30 * 24 * 3600;

/// What was seen of a certificate's Secret, and when. Never its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Seconds since 1970.
    pub now: i64,
    /// Err: why there is no certificate in it.
    pub certificate: Result<Facts, String>,
    /// The Secret carries our mark.
    pub ours: bool,
    /// The authority of this machine signed it.
    pub signed: bool,
    /// The ConfigMap says what it has to.
    pub bundled: bool,
    /// What to trust of a Secret that is somebody else's.
    pub own: Option<OwnTrust>,
    /// The name of the load balancer that leads to the edge, where the certificate is to have it.
    pub host: Option<String>,
}

/// What a certificate's Secret itself says about whom to trust, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTrust {
    pub certificate: String,
    /// Its `ca.crt`, where it has one.
    pub authority: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Keep {
        serial: String,
    },
    /// Somebody else's, and valid: it stays until it expires.
    KeepForeign {
        serial: String,
        issuer: String,
        /// Seconds since 1970.
        not_after: i64,
    },
    Issue(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Missing,
    Unreadable,
    Expires,
    Names,
    Authority,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Missing => "there was none",
            Reason::Unreadable => "there was none that could be read",
            Reason::Expires => "the last one expires soon",
            Reason::Names => "its names have changed",
            Reason::Authority => "the last one is another authority's",
        })
    }
}

impl Decision {
    /// Of the certificate that stays.
    pub fn serial(&self) -> Option<&str> {
        match self {
            Decision::Keep { serial } | Decision::KeepForeign { serial, .. } => Some(serial),
            Decision::Issue(_) => None,
        }
    }
}

/// `seen` None: there is no Secret, or no cluster.
pub fn decide(wanted: &Certificate, seen: Option<&Seen>) -> Decision {
    let Some(seen) = seen else { return Decision::Issue(Reason::Missing) };
    let Ok(facts) = &seen.certificate else { return Decision::Issue(Reason::Unreadable) };
    let left = facts.not_after - seen.now;
    let serial = facts.serial.clone();
    if !seen.ours {
        return match left > 0 {
            true => Decision::KeepForeign { serial, issuer: facts.issuer.clone(), not_after: facts.not_after },
            false => Decision::Issue(Reason::Expires),
        };
    }
    match () {
        () if !seen.signed => Decision::Issue(Reason::Authority),
        () if left < RENEW || facts.not_before > seen.now => Decision::Issue(Reason::Expires),
        () if names(wanted, seen.host.as_deref()).is_none_or(|names| facts.names != names) => {
            Decision::Issue(Reason::Names)
        }
        () => Decision::Keep { serial },
    }
}

/// All that the certificate is to be good for. None: the name of the load balancer is not known yet. `host`: its name.
pub fn names(wanted: &Certificate, host: Option<&str>) -> Option<BTreeSet<String>> {
    if wanted.service.is_some() && host.is_none() {
        return None;
    }
    Some(wanted.names.iter().cloned().chain(host.map(str::to_owned)).collect())
}

/// Whether anything has to be written.
pub fn is_due(wanted: &Certificate, seen: Option<&Seen>) -> bool {
    matches!(decide(wanted, seen), Decision::Issue(_)) || seen.is_none_or(|seen| !seen.bundled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::{Key, Origin};

    const DAY: i64 = 24 * 3600;

    fn wanted(names: &[&str]) -> Certificate {
        Certificate {
            secret: "edge-tls".into(),
            bundle: "edge-ca".into(),
            namespace: "hello".into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            service: None,
            origin: Origin::default(),
        }
    }

    fn seen(left: i64) -> Seen {
        let facts = Facts {
            serial: "0a".into(),
            names: wanted(&["edge"]).names,
            not_before: 0,
            not_after: 1_000_000_000 + left,
            issuer: "CN=x".into(),
            subject: "CN=edge".into(),
            is_authority: false,
        };
        Seen {
            now: 1_000_000_000,
            certificate: Ok(facts),
            ours: true,
            signed: true,
            bundled: true,
            own: None,
            host: None,
        }
    }

    #[test]
    fn each_reason_to_issue() {
        let wanted = wanted(&["edge"]);
        let issue = |seen: Seen| decide(&wanted, Some(&seen));
        assert_eq!(issue(seen(60 * DAY)), Decision::Keep { serial: "0a".into() });
        assert!(!is_due(&wanted, Some(&seen(60 * DAY))));
        assert_eq!(decide(&wanted, None), Decision::Issue(Reason::Missing));
        assert_eq!(issue(Seen { certificate: Err("no".into()), ..seen(1) }), Decision::Issue(Reason::Unreadable));
        assert_eq!(issue(seen(29 * DAY)), Decision::Issue(Reason::Expires));
        assert_eq!(issue(Seen { signed: false, ..seen(60 * DAY) }), Decision::Issue(Reason::Authority));
        assert_eq!(
            decide(&super::tests::wanted(&["edge", "x"]), Some(&seen(60 * DAY))),
            Decision::Issue(Reason::Names)
        );
        assert!(is_due(&wanted, Some(&Seen { bundled: false, ..seen(60 * DAY) })));
    }

    #[test]
    fn the_name_of_a_load_balancer_belongs_to_it_once_there_is_one() {
        let service = Key { group: String::new(), kind: "Service".into(), namespace: None, name: "edge-public".into() };
        let wanted = Certificate { service: Some(service), ..wanted(&["edge"]) };
        let with = |host: Option<&str>, names: &[&str]| {
            let names = super::tests::wanted(names).names;
            let facts = Facts { names, ..seen(60 * DAY).certificate.unwrap() };
            decide(&wanted, Some(&Seen { certificate: Ok(facts), host: host.map(str::to_owned), ..seen(60 * DAY) }))
        };
        assert_eq!(with(Some("lb.example"), &["edge", "lb.example"]), Decision::Keep { serial: "0a".into() });
        for (host, names) in [
            (None, &["edge"][..]),
            (None, &["edge", "lb.example"]),
            (Some("lb.example"), &["edge"]),
            (Some("new.example"), &["edge", "lb.example"]),
        ] {
            assert_eq!(with(host, names), Decision::Issue(Reason::Names), "{host:?} {names:?}");
        }
    }

    #[test]
    fn somebody_elses_stays_until_it_expires() {
        let foreign = |left| Seen { ours: false, signed: false, ..seen(left) };
        let wanted = wanted(&["other"]);
        let Decision::KeepForeign { issuer, .. } = decide(&wanted, Some(&foreign(1))) else { panic!() };
        assert_eq!(issuer, "CN=x");
        assert_eq!(decide(&wanted, Some(&foreign(0))), Decision::Issue(Reason::Expires));
    }

    proptest! {
        #[test]
        fn what_is_kept_is_valid_and_what_was_issued_is_kept(left in -400 * DAY..400 * DAY, ours: bool, signed: bool) {
            let seen = Seen { ours, signed, ..seen(left) };
            if decide(&wanted(&["edge"]), Some(&seen)).serial().is_some() {
                prop_assert!(left > 0);
            }
            if ours && signed && left >= RENEW {
                prop_assert!(decide(&wanted(&["edge"]), Some(&seen)).serial().is_some());
            }
        }
    }
}
