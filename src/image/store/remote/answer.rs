//! What a registry has answered, and what is said where that is not how registries answer.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use url::Url;

use super::refusal::{self, Refusal};

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Web sites, log-in pages of networks and proxies answer so; no registry does.
    pub(super) fn is_html(&self) -> bool {
        let kind = self.header(header::CONTENT_TYPE).unwrap_or_default();
        let start: Vec<u8> = self.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(1).collect();
        kind.starts_with("text/html") || start == b"<"
    }

    pub(super) fn says_expired(&self) -> bool {
        let header = self.header(header::WWW_AUTHENTICATE).unwrap_or_default();
        refusal::mentions_expiry(&String::from_utf8_lossy(&self.body)) || refusal::mentions_expiry(header)
    }

    pub(super) fn no_registry(&self, at: &Url) -> Refusal {
        let what = match self.is_html() {
            true => "a web page (HTML)".to_owned(),
            false => format!("{} without saying how to log in", self.status),
        };
        Refusal::NotARegistry { seen: format!("{} answered with {what}", plain(at)) }
    }

    pub(super) fn unexpected(&self, at: &Url) -> Refusal {
        let said: String = String::from_utf8_lossy(&self.body).trim().chars().take(200).collect();
        Refusal::Unreachable { why: format!("{} answered {} {said}", plain(at), self.status).trim_end().to_owned() }
    }
}

/// A URL without its query, which may hold what is nobody's business.
fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
