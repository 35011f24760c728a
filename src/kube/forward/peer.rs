//! Whether a caller that has sent all still wants the answer: TCP itself does not tell a closed socket from one of
//! which only the sending half is closed, but the kernel that holds the caller's socket too can be asked.

use std::net::SocketAddr;

/// True: nobody holds the caller's socket any more. None: it cannot be told, such as for a caller elsewhere.
#[cfg(target_os = "linux")]
pub fn is_gone(caller: SocketAddr, here: SocketAddr) -> Option<bool> {
    linux::is_gone(caller, here)
}

#[cfg(not(target_os = "linux"))]
pub fn is_gone(_caller: SocketAddr, _here: SocketAddr) -> Option<bool> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, SocketAddr};

    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, sendto, socket_with,
    };

    const HEAD: usize = 16;
    const REQUEST: usize = HEAD + 56;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLMSG_ERROR: u16 = 2;
    const NLM_F_REQUEST: u16 = 1;
    const ENOENT: i32 = 2;
    const TCP: u8 = 6;
    /// Of `idiag_inode` in the answer, an `inet_diag_msg` behind the netlink header.
    const INODE: usize = HEAD + 68;

    pub fn is_gone(caller: SocketAddr, here: SocketAddr) -> Option<bool> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok()?;
        sendto(&socket, &request(caller, here)?, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
        // The kernel answers before `sendto` returns.
        let mut answer = [0; 512];
        let (read, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
        judge(answer.get(..read)?)
    }

    /// The socket of exactly these two ends, as `inet_diag_req_v2`.
    fn request(caller: SocketAddr, here: SocketAddr) -> Option<[u8; REQUEST]> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (caller.ip(), here.ip()) else { return None };
        let mut request = [0; REQUEST];
        let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &u32::try_from(REQUEST).ok()?.to_ne_bytes());
        put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        put(6, &NLM_F_REQUEST.to_ne_bytes());
        put(HEAD, &[u8::try_from(AddressFamily::INET.as_raw()).ok()?, TCP]);
        // In any state.
        put(HEAD + 4, &u32::MAX.to_ne_bytes());
        put(HEAD + 8, &caller.port().to_be_bytes());
        put(HEAD + 10, &here.port().to_be_bytes());
        put(HEAD + 12, &from.octets());
        put(HEAD + 28, &to.octets());
        // No cookie is known.
        put(HEAD + 48, &[0xff; 8]);
        Some(request)
    }

    fn judge(answer: &[u8]) -> Option<bool> {
        let word = |at: usize| Some(i32::from_ne_bytes(*answer.get(at..)?.first_chunk()?));
        match u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?) {
            SOCK_DIAG_BY_FAMILY => Some(word(INODE)? == 0),
            NLMSG_ERROR => (word(HEAD)? == -ENOENT).then_some(true),
            _ => None,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_closed_socket_is_told_from_a_half_closed_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        let here = accepted.local_addr().unwrap();
        // A kernel that does not answer leaves the forward to its deadlines.
        let Some(gone) = is_gone(from, here) else { return };
        assert!(!gone);
        caller.shutdown(Shutdown::Write).unwrap();
        assert_eq!(is_gone(from, here), Some(false));
        drop(caller);
        assert_eq!(is_gone(from, here), Some(true));
    }
}
