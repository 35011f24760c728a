//! Who listens on which TCP port of this machine, from `/proc`.

use std::{collections::HashMap, fs, io::ErrorKind, net::TcpListener};

use crate::error::{Context, Kind, Result};
use crate::provider::check::Check;

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub port: u16,
    inode: u64,
}

/// All listening TCP sockets, of IPv4 and IPv6. Empty where there is no `/proc`.
pub fn listening() -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => sockets.extend(parse(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(Kind::Unexpected, || format!("cannot read {table}")),
        }
    }
    Ok(sockets)
}

/// The ports must be free; one that is not is reported with the program that has it.
pub fn examine(ports: &[u16]) -> Vec<Check> {
    if ports.is_empty() {
        return Vec::new();
    }
    let taken: Vec<u16> = ports.iter().copied().filter(|port| !is_free(*port)).collect();
    if taken.is_empty() {
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        return vec![Check::ok("ports", format!("{} free", list.join(", ")))];
    }
    let sockets = listening().unwrap_or_default();
    let owners = owners();
    let describe = |port: u16| {
        let who = sockets.iter().filter(|socket| socket.port == port).find_map(|socket| owners.get(&socket.inode));
        let found = match who {
            Some(who) => format!("{port} is used by {who}"),
            None => format!("{port} is used by a program of another user"),
        };
        Check::failed("ports", found, format!("stop that program, or choose another port than {port}"))
    };
    taken.into_iter().map(describe).collect()
}

/// To try is the only certain way; a port below 1024 that we may not have ourselves is free for the engine.
pub fn is_free(port: u16) -> bool {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
}

/// A port that nobody has at the moment.
pub fn any_free() -> Option<u16> {
    TcpListener::bind(("127.0.0.1", 0)).ok()?.local_addr().ok().map(|address| address.port())
}

/// `sl local_address rem_address st …`: state 0A is LISTEN, field 9 the inode.
fn parse(table: &str) -> Vec<Socket> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        if *fields.get(3)? != "0A" {
            return None;
        }
        Some(Socket { port: u16::from_str_radix(port, 16).ok()?, inode: fields.get(9)?.parse().ok()? })
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Who listens on a port, as far as we may look.
pub fn owner(port: u16) -> Option<String> {
    let socket = listening().ok()?.into_iter().find(|socket| socket.port == port)?;
    owners().remove(&socket.inode)
}

/// Inode of a socket to `NAME (pid ID)`, as far as we may look: processes of other users are closed to us.
fn owners() -> HashMap<u64, String> {
    let mut owners = HashMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = process.file_name();
        let Some(id) = id.to_str().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        for target in files.flatten().filter_map(|file| fs::read_link(file.path()).ok()) {
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                owners.entry(inode).or_insert_with(|| {
                    let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                    format!("{} (pid {id})", name.trim())
                });
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::check::Status;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1 0 100 0 0 10 0\n   \
        1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0\n   \
        2: garbage\n";

    #[test]
    fn only_listening_sockets_count() {
        assert_eq!(parse(TABLE), [Socket { port: 80, inode: 1234 }]);
    }

    #[test]
    fn a_port_in_use_is_reported_with_its_program() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let checks = examine(&[port]);
        assert_eq!(checks[0].status, Status::Failed);
        assert!(checks[0].found.contains(&format!("(pid {})", std::process::id())), "{:?}", checks[0]);
        assert!(listening().unwrap().iter().any(|socket| socket.port == port));
        drop(listener);
        assert_eq!(examine(&[port])[0].status, Status::Ok);
        assert!(examine(&[]).is_empty());
    }
}
