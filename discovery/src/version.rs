//! Versions: names of the content of a resource.

use crate::table::Resource;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// 128 bits of SHA-256 over the canonical bytes of a resource.
///
/// A function of content alone: another leader, a restart or a reconnect computes the same
/// version, so nothing equal is ever sent twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub [u8; 16]);

impl Version {
    /// Computes the version of a resource. Its canonical bytes are its postcard encoding, which has one form per value.
    pub fn of(resource: &Resource) -> Self {
        let mut hash = Sha256::new();
        // Writing into a hash cannot fail; were it to, the bytes written so far would still be a function of content.
        let _ = postcard::to_io(resource, HashWriter(&mut hash));
        let mut version = [0; 16];
        version
            .iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        Self(version)
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        Action, Backend, Endpoint, EndpointSet, PathMatch, Route, UpstreamProtocol, VirtualHost,
    };

    fn endpoints(uid: &str) -> Resource {
        Resource::Endpoints(EndpointSet {
            name: "team/shop:http".into(),
            endpoints: vec![Endpoint {
                address: "10.0.0.1:8080".parse().unwrap(),
                uid: uid.into(),
            }],
            ..EndpointSet::default()
        })
    }

    #[test]
    fn versions_follow_content_including_the_pod_uid() {
        assert_eq!(Version::of(&endpoints("a")), Version::of(&endpoints("a")));
        assert_ne!(Version::of(&endpoints("a")), Version::of(&endpoints("b")));
    }

    #[test]
    fn another_upstream_protocol_is_another_version() {
        let version_with = |protocol| {
            let backends = vec![Backend {
                endpoints: "team/shop:http".into(),
                weight: 1,
                protocol,
                tls: None,
            }];
            let path = PathMatch::Prefix("/".into());
            Version::of(&Resource::VirtualHost(VirtualHost {
                hostname: "shop.example.com".into(),
                tls: None,
                routes: vec![Route::new(path.into(), Action::Forward { backends })],
            }))
        };
        assert_ne!(
            version_with(UpstreamProtocol::Http1),
            version_with(UpstreamProtocol::Http2)
        );
    }
}
