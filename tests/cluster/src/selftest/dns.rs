//! One question to one DNS server: enough to check an address, and nothing that a tool would have to be
//! installed for.

use crate::wait::{self, Outcome};
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Asks until the name has this address among its answers: zone files are read within a second.
///
/// # Errors
/// When it has not within 15 seconds.
pub(super) fn expect(server: IpAddr, name: &str, wanted: IpAddr) -> Result<()> {
    wait::until(name, Duration::from_secs(15), || {
        Ok(match ask(server, name, wanted.is_ipv6()) {
            Ok(answers) if answers.contains(&wanted) => Outcome::Done(()),
            Ok(answers) => Outcome::NotYet(format!("{answers:?}, not {wanted}")),
            Err(error) => Outcome::NotYet(format!("{error:#}")),
        })
    })
}

fn ask(server: IpAddr, name: &str, v6: bool) -> Result<Vec<IpAddr>> {
    let local: SocketAddr = if server.is_ipv6() {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect((server, 53))?;
    socket.send(&question(name, v6)?)?;
    let mut buffer = [0_u8; 1500];
    let length = socket.recv(&mut buffer)?;
    answers(buffer.get(..length).unwrap_or_default(), v6).context("an answer that cannot be read")
}

fn question(name: &str, v6: bool) -> Result<Vec<u8>> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len())?);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, if v6 { 28 } else { 1 }, 0, 1]);
    Ok(packet)
}

/// The addresses of the asked type in an answer (RFC 1035, section 4).
fn answers(packet: &[u8], v6: bool) -> Option<Vec<IpAddr>> {
    let u16_at = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let mut at = skip_name(packet, 12)? + 4;
    let mut found = Vec::new();
    for _ in 0..u16_at(6)? {
        at = skip_name(packet, at)?;
        let (kind, length) = (u16_at(at)?, usize::from(u16_at(at + 8)?));
        let data = packet.get(at + 10..at + 10 + length)?;
        match (kind, v6) {
            (1, false) => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            (28, true) => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
        at += 10 + length;
    }
    Some(found)
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_an_answer() {
        let mut packet = question("a.test", false).unwrap();
        packet[7] = 1;
        packet.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 172, 30, 0, 10]);
        assert_eq!(
            answers(&packet, false).unwrap(),
            [IpAddr::from([172, 30, 0, 10])]
        );
        assert_eq!(answers(&packet[..20], false), None);
    }
}
