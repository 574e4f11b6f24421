//! Properties of the pure half over the same grammar: what is accepted is passed on with the
//! meaning that an independent strict reader finds in it, whatever pieces it came in.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(clippy::panic, clippy::indexing_slicing)]

use portolan_differential::case::Case;
use portolan_differential::grammar::{Base, lawful};
use portolan_differential::oddity::{self, Class};
use portolan_differential::pure::{Passed, Pure};
use portolan_differential::strict::{Step, read};

const CASES: u64 = 30_000;

fn seed() -> u64 {
    let seed = match std::env::var("PORTOLAN_TEST_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("PORTOLAN_TEST_SEED={text}")),
        Err(_) => fastrand::u64(..),
    };
    println!("PORTOLAN_TEST_SEED={seed}");
    seed
}

/// All requests of a pipeline as they are sent on, until one is refused, is not whole, or closes.
fn passed_on(pure: &Pure, mut bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<Passed>) {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        match pure.pass(bytes, piece) {
            Passed::On { sent, used, kept } => {
                all.push(sent);
                if !kept {
                    return (all, None);
                }
                bytes = &bytes[used..];
            }
            other => return (all, Some(other)),
        }
    }
    (all, None)
}

#[test]
fn forwarded_bytes_parse_strictly_as_the_same_request() {
    let (seed, pure) = (seed(), Pure::new().unwrap());
    let mut accepted = 0;
    for index in 0..CASES {
        let case = Case::generate(seed, index);
        let bytes = case.bytes();
        let shown = || format!("case {index}, {}: {}", case.bent(), bytes.escape_ascii());
        let (all, _) = passed_on(&pure, &bytes, usize::MAX / 2);
        let mut seen = Vec::new();
        for sent in &all {
            let Step::Request { message, used } = read(sent) else {
                panic!("{}\nwas passed on as {}", shown(), sent.escape_ascii());
            };
            // RFC 9112, 2.3: an intermediary sends its own version.
            assert!(message.line.ends_with(" HTTP/1.1"), "{}", shown());
            assert_eq!(
                used,
                sent.len(),
                "{}: more than one request went on",
                shown()
            );
            seen.push((message.marker, message.body));
        }
        accepted += all.len();
        if let Some(meant) = &case.meant {
            let meant: Vec<_> = meant
                .iter()
                .map(|message| (Some(message.marker), message.body.clone()))
                .collect();
            assert_eq!(seen, meant, "{}", shown());
        }
    }
    assert!(accepted > CASES as usize / 2, "{accepted}");
}

/// The strict reader and ours, on the same bytes: what we accept, it accepts, with the same end.
/// (It knows no empty line before a request, and neither does a case of one.)
#[test]
fn accepts_only_what_a_strict_reader_accepts() {
    let (seed, pure) = (seed(), Pure::new().unwrap());
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..CASES {
        let class = oddity::CLASSES[rng.usize(..oddity::CLASSES.len())];
        let bent = oddity::of(class);
        let oddity = &bent[rng.usize(..bent.len())];
        let mut draft = lawful(&mut rng, 0, oddity.base);
        draft.leading.clear();
        (oddity.bend)(&mut draft, &mut rng);
        let bytes = draft.bytes();
        if let Passed::On { used: ours, .. } = pure.pass(&bytes, bytes.len()) {
            let lines_before = bytes.starts_with(b"\r\n");
            let Step::Request { used, .. } = read(&bytes[2 * usize::from(lines_before)..]) else {
                panic!("{oddity:?}: {}", bytes.escape_ascii());
            };
            let end = used + 2 * usize::from(lines_before);
            assert_eq!(end, ours, "{oddity:?}: {}", bytes.escape_ascii());
        }
    }
}

/// However the bytes arrive, they are the same requests.
#[test]
fn parses_fragments_like_the_whole() {
    let (seed, pure) = (seed(), Pure::new().unwrap());
    for index in 0..CASES / 10 {
        let bytes = Case::generate(seed, index).bytes();
        let whole = passed_on(&pure, &bytes, bytes.len());
        let meaning = |(all, end): &(Vec<Vec<u8>>, Option<Passed>)| {
            let read = all.iter().map(|sent| read(sent)).map(|step| match step {
                Step::Request { message, .. } => (message.line, message.body),
                other => panic!("{other:?}: {}", bytes.escape_ascii()),
            });
            (read.collect::<Vec<_>>(), end.clone())
        };
        for piece in [1, 2, 3, 7, 64] {
            let pieces = passed_on(&pure, &bytes, piece);
            assert_eq!(
                meaning(&pieces),
                meaning(&whole),
                "case {index}: {}",
                bytes.escape_ascii()
            );
        }
    }
}

/// A chunked body that the strict reader takes is taken, but for those that are too much.
#[test]
fn rejects_lawful_chunked_bodies_only_for_their_size() {
    let (seed, pure) = (seed(), Pure::new().unwrap());
    let mut rng = fastrand::Rng::with_seed(seed);
    let bounded = [
        "chunk-17-digits",
        "chunk-40-digits",
        "extension-long",
        "extension-longer-than-a-head",
        "trailer-long",
        "trailers-many",
    ];
    let mut taken = 0;
    for class in [Class::Chunk, Class::Trailer] {
        for oddity in oddity::of(class) {
            for _ in 0..100 {
                let mut draft = lawful(&mut rng, 0, Base::Chunked);
                draft.leading.clear();
                (oddity.bend)(&mut draft, &mut rng);
                let bytes = draft.bytes();
                let ours = pure.pass(&bytes, bytes.len());
                if matches!(read(&bytes), Step::Request { .. }) {
                    let fits = matches!(ours, Passed::On { .. });
                    assert!(
                        fits || bounded.contains(&oddity.name),
                        "{oddity:?}: {}",
                        bytes.escape_ascii()
                    );
                    taken += usize::from(fits);
                }
            }
        }
    }
    assert!(taken > 300, "{taken}");
}
