//! Compares two readings of the same bytes.

use crate::lane::Observed;
use crate::strict::Message;
use serde::Deserialize;
use std::fmt;

/// A proxy that is compared with Portolan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerName {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
}

/// Relation of what the origin saw through Portolan to what it saw through a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Portolan sent something that the origin cannot read. Never right.
    PortolanForwardsMalformed,
    /// The peer did.
    PeerForwardsMalformed,
    /// Some of the peer's requests did not come through Portolan; the others are the same.
    PortolanRefuses,
    /// Some of Portolan's requests did not come through the peer; the others are the same.
    PeerRefuses,
    /// The same requests, and a body ends elsewhere.
    BodyDiffers,
    /// Neither.
    Differs,
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortolanForwardsMalformed => "portolan-forwards-malformed",
            Self::PeerForwardsMalformed => "peer-forwards-malformed",
            Self::PortolanRefuses => "portolan-refuses",
            Self::PeerRefuses => "peer-refuses",
            Self::BodyDiffers => "body-differs",
            Self::Differs => "differs",
        })
    }
}

/// `None` when both saw the same requests with the same bodies.
pub fn relation(ours: &Observed, theirs: &Observed) -> Option<Relation> {
    let key = |message: &Message| (message.marker, message.body.clone());
    let ours_seen: Vec<_> = ours.requests.iter().map(key).collect();
    let theirs_seen: Vec<_> = theirs.requests.iter().map(key).collect();
    if !ours.malformed.is_empty() {
        return Some(Relation::PortolanForwardsMalformed);
    }
    if !theirs.malformed.is_empty() {
        return Some(Relation::PeerForwardsMalformed);
    }
    if ours_seen == theirs_seen {
        return None;
    }
    let markers = |seen: &[(Option<u16>, Vec<u8>)]| -> Vec<_> {
        seen.iter().map(|(marker, _)| *marker).collect()
    };
    Some(if within(&ours_seen, &theirs_seen) {
        Relation::PortolanRefuses
    } else if within(&theirs_seen, &ours_seen) {
        Relation::PeerRefuses
    } else if markers(&ours_seen) == markers(&theirs_seen) {
        Relation::BodyDiffers
    } else {
        Relation::Differs
    })
}

/// Returns true if `some` is a subsequence of `all`.
fn within<T: PartialEq>(some: &[T], all: &[T]) -> bool {
    let mut rest = all.iter();
    some.iter()
        .all(|wanted| rest.any(|element| element == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(requests: &[(u16, &str)]) -> Observed {
        let message = |(marker, body): &(u16, &str)| Message {
            marker: Some(*marker),
            body: body.as_bytes().to_vec(),
            ..Message::default()
        };
        Observed {
            requests: requests.iter().map(message).collect(),
            ..Observed::default()
        }
    }

    #[test]
    fn readings_relate_as_they_are_named() {
        let both = seen(&[(0, "a"), (1, "")]);
        assert_eq!(relation(&both, &both), None);
        assert_eq!(
            relation(&seen(&[(1, "")]), &both),
            Some(Relation::PortolanRefuses)
        );
        assert_eq!(relation(&both, &seen(&[])), Some(Relation::PeerRefuses));
        let longer = seen(&[(0, "ab"), (1, "")]);
        assert_eq!(relation(&both, &longer), Some(Relation::BodyDiffers));
        let smuggled = seen(&[(0, ""), (9, "")]);
        assert_eq!(relation(&both, &smuggled), Some(Relation::Differs));
        let bad = Observed {
            malformed: vec!["?".into()],
            ..Observed::default()
        };
        assert_eq!(
            relation(&bad, &both),
            Some(Relation::PortolanForwardsMalformed)
        );
        assert_eq!(relation(&both, &bad), Some(Relation::PeerForwardsMalformed));
    }
}
