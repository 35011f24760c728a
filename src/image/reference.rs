//! Names of images, as Docker reads them.

/// `docker.io/library/node`, `22-slim`, `sha256:…`: a reference with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `docker.io`, `127.0.0.1:5001`.
    pub host: String,
    /// `library/node`.
    pub path: String,
    /// `latest` when neither tag nor digest is given.
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

impl Reference {
    pub fn parse(text: &str) -> Reference {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (name, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            _ => ("docker.io", name.to_owned()),
        };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let path = if host == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Reference { host: host.to_owned(), path, tag, digest }
    }

    /// Whether both name one image: beside a digest the tag is of no matter.
    pub fn is_same(&self, other: &Reference) -> bool {
        let version = match self.digest.is_some() || other.digest.is_some() {
            true => self.digest == other.digest,
            false => self.tag == other.tag,
        };
        version && self.repository() == other.repository()
    }

    /// `docker.io/library/node`
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in() {
        let cases = [
            ("node", "docker.io/library/node", Some("latest"), None),
            ("node:22-slim", "docker.io/library/node", Some("22-slim"), None),
            ("bitnami/redis:7", "docker.io/bitnami/redis", Some("7"), None),
            ("index.docker.io/library/node:1", "docker.io/library/node", Some("1"), None),
            ("127.0.0.1:5001/a/b:c", "127.0.0.1:5001/a/b", Some("c"), None),
            ("localhost/x", "localhost/x", Some("latest"), None),
            ("localhost:5000/x", "localhost:5000/x", Some("latest"), None),
            ("node@sha256:ab", "docker.io/library/node", None, Some("sha256:ab")),
            ("node:22@sha256:ab", "docker.io/library/node", Some("22"), Some("sha256:ab")),
        ];
        for (text, repository, tag, digest) in cases {
            let reference = Reference::parse(text);
            assert_eq!(reference.repository(), repository, "{text}");
            assert_eq!((reference.tag.as_deref(), reference.digest.as_deref()), (tag, digest), "{text}");
        }
    }
}
