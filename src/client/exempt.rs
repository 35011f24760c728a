//! What is reached without a proxy: NO_PROXY, as programs written in Go read it, kubectl and docker among them.

use std::net::IpAddr;

use ipnet::IpNet;

/// The entries of NO_PROXY.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exempt {
    /// `*`
    all: bool,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// `10.0.0.0/8`; counts for addresses, names are not looked up.
    Network(IpNet),
    /// `10.0.0.1`, `10.0.0.1:8443`, `[::1]:8443`
    Address(IpAddr, Option<u16>),
    /// `example.com` with all below it, `.example.com` and `*.example.com` only what is below; each with or without port.
    Name { domain: String, itself: bool, port: Option<u16> },
}

impl Exempt {
    /// Entries between commas or blanks. One that means nothing exempts nothing.
    pub fn parse(text: &str) -> Exempt {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        let entries: Vec<String> = entries.map(str::to_lowercase).collect();
        Exempt {
            all: entries.iter().any(|entry| entry == "*"),
            rules: entries.iter().filter_map(|it| rule(it)).collect(),
        }
    }

    /// `host`: a name, or an address without brackets.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        self.all
            || self.rules.iter().any(|rule| match rule {
                Rule::Network(network) => address.is_some_and(|address| network.contains(&address)),
                Rule::Address(known, at) => address == Some(*known) && at.is_none_or(|at| at == port),
                Rule::Name { domain, itself, port: at } => {
                    let below = host.strip_suffix(domain.as_str()).is_some_and(|before| before.ends_with('.'));
                    (below || (*itself && host == *domain)) && at.is_none_or(|at| at == port)
                }
            })
    }
}

fn rule(entry: &str) -> Option<Rule> {
    if let Ok(network) = entry.parse() {
        return Some(Rule::Network(network));
    }
    let (host, port) = match entry.rsplit_once(':') {
        // More colons without brackets: an IPv6 address, and no port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Some(Rule::Address(address, port));
    }
    let host = host.trim_end_matches('.');
    let below = host.strip_prefix('*').unwrap_or(host);
    let domain = below.strip_prefix('.').unwrap_or(below);
    let itself = domain == host;
    (!domain.is_empty() && !domain.contains(['*', ':'])).then(|| Rule::Name { domain: domain.to_owned(), itself, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_mean_what_they_mean_to_kubectl() {
        for (list, host, port, exempt) in [
            ("*", "anything.example", 443, true),
            ("", "a.example", 443, false),
            ("example.com", "example.com", 443, true),
            ("example.com", "api.example.com", 6443, true),
            ("example.com", "notexample.com", 443, false),
            (".example.com", "example.com", 443, false),
            (".example.com", "api.example.com", 443, true),
            ("*.example.com", "api.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("example.com:6443", "example.com", 6443, true),
            ("example.com:6443", "example.com", 443, false),
            ("EXAMPLE.com", "api.Example.COM.", 443, true),
            (" other, ,example.com, ", "example.com", 443, true),
            ("other example.com", "example.com", 443, true),
            ("10.0.0.0/8", "10.200.0.1", 6443, true),
            ("10.0.0.0/8", "11.0.0.1", 6443, false),
            ("10.0.0.0/8", "ten.example", 6443, false),
            ("10.0.0.1", "10.0.0.1", 6443, true),
            ("10.0.0.1:443", "10.0.0.1", 6443, false),
            ("fd00::/8", "fd12::1", 6443, true),
            ("fd12::1", "fd12::1", 6443, true),
            ("[fd12::1]:6443", "fd12::1", 6443, true),
            ("[fd12::1]:443", "fd12::1", 6443, false),
            ("10.0.0.0/99,example.com:port,[,:80", "example.com", 443, false),
        ] {
            assert_eq!(Exempt::parse(list).covers(host, port), exempt, "NO_PROXY={list} {host}:{port}");
        }
    }
}
