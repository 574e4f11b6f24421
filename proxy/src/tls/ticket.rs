//! Session tickets (RFC 5077, RFC 8446 4.6.1) that every proxy of a class can open, and that open
//! for no other server and for no other host.
//!
//! A ticket is sealed with a key of its own:
//! ```text
//! key and nonce = HKDF-SHA-256 (secret: the class's seed, salt: 32 random bytes,
//!                               info: label, epoch, SHA-256 of host and policy)
//! ticket        = name of the seed (4) | epoch (4) | salt (32) | AES-256-GCM (state) | tag (16)
//! ```
//! So there is nothing to keep per host, no nonce can repeat, and a ticket of one host, or of a
//! policy that was another, is noise to any other. The epoch ends what a stolen seed could open.

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use portolan_discovery::table::TicketSeed;
use rustls::server::ProducesTickets;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a ticket is good for, at least; at most it is twice as long. In seconds.
const EPOCH: u32 = 12 * 60 * 60;
/// No ticket of ours is longer: a session without certificates of the client.
const MAX_TICKET: usize = 1024;

const NAME: usize = 4;
const STAMP: usize = 4;
const SALT: usize = 32;
const TAG: usize = 16;
const KEY: usize = 32;
const NONCE: usize = 12;

/// The seeds of a class, shared by all its hosts.
#[derive(Debug)]
pub(crate) struct TicketKeys {
    /// The first seals, all open.
    seeds: ArcSwap<Vec<Seed>>,
    /// Seconds since 1970.
    clock: fn() -> u64,
}

struct Seed {
    secret: [u8; 32],
    /// Tells which seed a ticket is of, and nothing about the seed.
    name: [u8; NAME],
}

impl fmt::Debug for Seed {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seed").field(&self.name).finish()
    }
}

impl Seed {
    fn new(seed: &TicketSeed) -> Self {
        let mut name = [0; NAME];
        // Of a secret as long as the hash's output: the prefix of a hash gives nothing away.
        let digest = Sha256::new()
            .chain_update(b"portolan ticket seed name")
            .chain_update(seed.0)
            .finalize();
        name.iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        Self {
            secret: seed.0,
            name,
        }
    }
}

impl Default for TicketKeys {
    /// Without a seed: no session is resumed.
    fn default() -> Self {
        Self::with_clock(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |since| since.as_secs())
        })
    }
}

impl TicketKeys {
    fn with_clock(clock: fn() -> u64) -> Self {
        Self {
            seeds: ArcSwap::default(),
            clock,
        }
    }

    /// Takes new seeds, the one to seal with first.
    pub(crate) fn replace(&self, seeds: &[TicketSeed]) {
        let seeds = seeds.iter().map(Seed::new).collect();
        self.seeds.store(Arc::new(seeds));
    }

    fn epoch(&self) -> u32 {
        u32::try_from((self.clock)() / u64::from(EPOCH)).unwrap_or(u32::MAX)
    }
}

/// Seals and opens the tickets of one host under one policy.
#[derive(Debug)]
pub(crate) struct Ticketer {
    keys: Arc<TicketKeys>,
    context: [u8; 32],
}

impl Ticketer {
    /// `context` says for whom: whatever differs in it resumes nothing of the other.
    pub(crate) fn new(keys: Arc<TicketKeys>, context: [u8; 32]) -> Self {
        Self { keys, context }
    }

    fn seal(&self, state: &[u8], salt: [u8; SALT]) -> Option<Vec<u8>> {
        let seeds = self.keys.seeds.load();
        let seed = seeds.first()?;
        let stamp = self.keys.epoch().to_be_bytes();
        let (key, nonce) = derive(seed, &salt, stamp, &self.context)?;
        let mut sealed = state.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
            .ok()?;
        Some([&seed.name[..], &stamp, &salt, &sealed].concat())
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (stamp, rest) = rest.split_first_chunk::<STAMP>()?;
        let (salt, sealed) = rest.split_first_chunk::<SALT>()?;
        // The clocks of two proxies may stand on either side of the turn of an epoch.
        if self.keys.epoch().abs_diff(u32::from_be_bytes(*stamp)) > 1 {
            return None;
        }
        let seeds = self.keys.seeds.load();
        let seed = seeds.iter().find(|seed| seed.name == *name)?;
        let (key, nonce) = derive(seed, salt, *stamp, &self.context)?;
        let mut opened = sealed.to_vec();
        let length = key
            .open_in_place(nonce, Aad::empty(), &mut opened)
            .ok()?
            .len();
        opened.truncate(length);
        Some(opened)
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        !self.keys.seeds.load().is_empty()
    }

    fn lifetime(&self) -> u32 {
        EPOCH
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // Longer ones would not be opened.
        if plain.len() > MAX_TICKET - NAME - STAMP - SALT - TAG {
            return None;
        }
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        self.seal(plain, salt)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher)
    }
}

/// How much is derived for one ticket.
struct KeyAndNonce;

impl KeyType for KeyAndNonce {
    fn len(&self) -> usize {
        KEY + NONCE
    }
}

fn derive(
    seed: &Seed,
    salt: &[u8; SALT],
    stamp: [u8; STAMP],
    context: &[u8; 32],
) -> Option<(LessSafeKey, Nonce)> {
    let extracted = Salt::new(HKDF_SHA256, salt).extract(&seed.secret);
    let info = [&b"portolan session ticket 1"[..], &stamp, context];
    let mut derived = [0; KEY + NONCE];
    extracted
        .expand(&info, KeyAndNonce)
        .and_then(|derived_key| derived_key.fill(&mut derived))
        .ok()?;
    let (key, nonce) = derived.split_first_chunk::<KEY>()?;
    let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    Some((LessSafeKey::new(key), nonce))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1_800_000_000) };
    }

    fn keys(seeds: &[u8]) -> Arc<TicketKeys> {
        let keys = TicketKeys::with_clock(|| NOW.get());
        let seeds: Vec<_> = seeds.iter().map(|seed| TicketSeed([*seed; 32])).collect();
        keys.replace(&seeds);
        Arc::new(keys)
    }

    fn ticketer(seeds: &[u8], context: u8) -> Ticketer {
        Ticketer::new(keys(seeds), [context; 32])
    }

    /// Made by another implementation (HKDF and AES-GCM of pyca/cryptography).
    #[test]
    fn a_known_ticket() {
        let ticket = ticketer(&[7], 9).seal(b"a session", [5; SALT]).unwrap();
        assert_eq!(
            hex::encode(&ticket),
            concat!(
                "ff38cc1e0000a2c2",
                "0505050505050505050505050505050505050505050505050505050505050505",
                "ce99a45f9fe92acbdfb7c9426585401238bc4db8722af7afa1"
            )
        );
        assert_eq!(ticketer(&[7], 9).open(&ticket).unwrap(), b"a session");
    }

    #[test]
    fn opens_only_with_the_same_seed_and_host() {
        let ticket = ticketer(&[1], 9).encrypt(b"state").unwrap();
        assert_eq!(ticketer(&[1], 9).decrypt(&ticket).unwrap(), b"state");
        assert_eq!(ticketer(&[2], 9).decrypt(&ticket), None, "another seed");
        assert_eq!(ticketer(&[1], 8).decrypt(&ticket), None, "another host");
        assert_eq!(ticketer(&[], 9).decrypt(&ticket), None, "no seed");
    }

    #[test]
    fn a_new_seed_seals_and_the_former_still_opens() {
        let ticket = ticketer(&[1], 9).encrypt(b"state").unwrap();
        let rotated = ticketer(&[2, 1], 9);
        assert!(rotated.decrypt(&ticket).is_some());
        let ticket = rotated.encrypt(b"state").unwrap();
        assert!(ticketer(&[2], 9).decrypt(&ticket).is_some());
    }

    #[test]
    fn seeds_are_replaced_for_ticketers_that_exist() {
        let keys = keys(&[]);
        let ticketer = Ticketer::new(Arc::clone(&keys), [9; 32]);
        assert!(!ticketer.enabled() && ticketer.encrypt(b"state").is_none());
        keys.replace(&[TicketSeed([1; 32])]);
        assert!(ticketer.enabled() && ticketer.encrypt(b"state").is_some());
    }

    #[test]
    fn a_ticket_ends_with_the_epoch_after_its_own() {
        let ticketer = ticketer(&[1], 9);
        let issued = NOW.get();
        let ticket = ticketer.encrypt(b"state").unwrap();
        let opens = |at| {
            NOW.set(at);
            ticketer.decrypt(&ticket).is_some()
        };
        let epoch = u64::from(EPOCH);
        assert!(opens(issued + epoch) && opens(issued - epoch));
        assert!(!opens(issued + 2 * epoch) && !opens(issued - 2 * epoch));
    }

    #[test]
    fn two_tickets_of_one_state_have_nothing_in_common() {
        let ticketer = ticketer(&[1], 9);
        let one = ticketer.encrypt(b"state").unwrap();
        let two = ticketer.encrypt(b"state").unwrap();
        let after = NAME + STAMP;
        assert_ne!(one[after..after + SALT], two[after..after + SALT]);
        assert_ne!(one[after + SALT..], two[after + SALT..]);
    }

    #[test]
    fn a_state_that_is_too_long_gets_no_ticket() {
        let ticketer = ticketer(&[1], 9);
        let most = MAX_TICKET - NAME - STAMP - SALT - TAG;
        assert_eq!(ticketer.encrypt(&vec![0; most]).unwrap().len(), MAX_TICKET);
        assert_eq!(ticketer.encrypt(&vec![0; most + 1]), None);
        assert_eq!(ticketer.decrypt(&vec![0; MAX_TICKET + 1]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_changed_or_cut_opens_nothing(
            state in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let ticketer = ticketer(&[1, 2], 9);
            let ticket = ticketer.encrypt(&state).unwrap();
            prop_assert_eq!(ticketer.decrypt(&ticket), Some(state));
            let at = at.index(ticket.len());
            prop_assert_eq!(ticketer.decrypt(&ticket[..at]), None);
            let mut changed = ticket;
            changed[at] ^= flip;
            prop_assert_eq!(ticketer.decrypt(&changed), None);
        }

        #[test]
        fn noise_opens_nothing(noise in prop::collection::vec(any::<u8>(), 0..1100)) {
            prop_assert_eq!(ticketer(&[1], 9).decrypt(&noise), None);
        }
    }
}
