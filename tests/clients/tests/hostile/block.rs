//! Header blocks (RFC 7541): written without compression, so that every byte is ours; read just as
//! far as the status.

/// A field that is never indexed (RFC 7541, 6.2.2), whatever its bytes are.
pub(crate) fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    literal(0x00, name.as_ref(), value.as_ref())
}

/// A field that goes into the dynamic table (RFC 7541, 6.2.1).
pub(crate) fn indexed_field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    literal(0x40, name.as_ref(), value.as_ref())
}

/// The newest entry of the dynamic table (RFC 7541, 2.3.3 and 6.1).
pub(crate) const NEWEST: u8 = 0x80 | 62;

fn literal(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    for text in [name, value] {
        length(text.len(), &mut out);
        out.extend_from_slice(text);
    }
    out
}

/// With a prefix of seven bits (RFC 7541, 5.1).
fn length(mut value: usize, out: &mut Vec<u8>) {
    const PREFIX: usize = 127;
    if value < PREFIX {
        return out.push(value as u8);
    }
    out.push(PREFIX as u8);
    value -= PREFIX;
    while value >= 128 {
        out.push((value % 128) as u8 | 128);
        value /= 128;
    }
    out.push(value as u8);
}

/// A block of these fields, in this order.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let bytes = fields.iter().map(|(name, value)| field(name, value));
    bytes.collect::<Vec<_>>().concat()
}

/// The status of an answer: the first field, always (RFC 9113, 8.3.2). Its value is read where it
/// is of the static table, or a literal in digits; the dynamic table is never used, for we say
/// that ours has no room.
pub(crate) fn status(mut block: &[u8]) -> Option<u16> {
    // Updates of the table's size come first (RFC 7541, 6.3).
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    let (first, rest) = block.split_first()?;
    // Entries 8 to 14 of the static table are of `:status` (RFC 7541, Appendix A).
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match first {
        0x88..=0x8e => STATIC.get(usize::from(first - 0x88)).copied(),
        // Literals with that name, in each way of indexing.
        0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => {
            let (length, value) = rest.split_first()?;
            let value = value.get(..usize::from(length & 0x7f))?;
            match length & 0x80 {
                0 => std::str::from_utf8(value).ok()?.parse().ok(),
                _ => digits(value)?.parse().ok(),
            }
        }
        _ => None,
    }
}

/// Three digits in the Huffman code (RFC 7541, Appendix B): 0 to 2 have five bits, the others six.
fn digits(code: &[u8]) -> Option<String> {
    let bits: String = code.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut bits = bits.as_str();
    let mut digits = String::new();
    while digits.len() < 3 {
        let short = u8::from_str_radix(bits.get(..5)?, 2).ok()?;
        let (digit, taken) = match short {
            0..=2 => (short, 5),
            // 011001 is 3.
            _ => (
                u8::from_str_radix(bits.get(..6)?, 2)
                    .ok()?
                    .checked_sub(0x19)?
                    + 3,
                6,
            ),
        };
        digits.push(char::from_digit(u32::from(digit), 10)?);
        bits = &bits[taken..];
    }
    Some(digits)
}

#[test]
fn a_status_is_read_in_each_way_of_writing() {
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(&[0x20, 0x8c, 0x00]), Some(400));
    assert_eq!(status(b"\x08\x03413"), Some(413));
    // RFC 7541, C.6.1 and C.6.2.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    assert_eq!(status(&[0xbe]), None);
}

#[test]
fn a_long_field_says_its_length() {
    let long = field("a", vec![b'x'; 300]);
    assert_eq!(long[..6], [0x00, 1, b'a', 127, 0xad, 1]);
    assert_eq!(long.len(), 306);
}
