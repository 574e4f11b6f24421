//! The origin's reader: RFC 9112 to the letter, written apart from the product's so that a
//! mistake of one is not a mistake of both. It may be slow, so it is simple.

/// Kind of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole request.
    Request {
        /// The request.
        message: Message,
        /// Its length in bytes.
        used: usize,
    },
    /// The beginning of one, perhaps.
    NeedMore,
    /// Nothing that may be sent to an origin, and why.
    Malformed(&'static str),
}

/// A request as the origin understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The request line.
    pub line: String,
    /// Number of the draft it was made from, by its target: `/m3…` is the fourth of its pipeline.
    pub marker: Option<u16>,
    /// Without its coding.
    pub body: Vec<u8>,
}

/// Reads the first request of the bytes.
pub fn read(bytes: &[u8]) -> Step {
    match message(bytes) {
        Ok((message, rest)) => Step::Request {
            message,
            used: bytes.len() - rest.len(),
        },
        Err(Short::More) => Step::NeedMore,
        Err(Short::Bad(why)) => Step::Malformed(why),
    }
}

enum Short {
    More,
    Bad(&'static str),
}

type Read<'a, T> = Result<(T, &'a [u8]), Short>;

/// A line without its CR LF; a bare CR or LF is no line end and no part of a line.
fn line(bytes: &[u8]) -> Read<'_, &[u8]> {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return Err(Short::More);
    };
    let (line, rest) = bytes.split_at(end);
    match rest {
        [b'\r', b'\n', rest @ ..] => Ok((line, rest)),
        [b'\r'] => Err(Short::More),
        _ => Err(Short::Bad("a line does not end in CR LF")),
    }
}

fn is_token(text: &[u8]) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || special.contains(byte))
}

fn is_value(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// A field line: name and value.
fn field(line: &[u8]) -> Result<(String, &[u8]), Short> {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
        return Err(Short::Bad("a line without a colon"));
    };
    if !is_token(name) {
        return Err(Short::Bad("a field name is no token"));
    }
    if !is_value(value) {
        return Err(Short::Bad("a control in a field value"));
    }
    let value = value.trim_ascii();
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

fn message(bytes: &[u8]) -> Read<'_, Message> {
    let (request_line, mut rest) = line(bytes)?;
    let words: Vec<&[u8]> = request_line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Err(Short::Bad("the request line has not three parts"));
    };
    if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Short::Bad("the request line is malformed"));
    }
    // RFC 9110, 2.5: a higher minor version is read as the highest that is known.
    let known = match *version {
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
        _ => return Err(Short::Bad("the version is not known")),
    };
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    loop {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            break;
        }
        let (name, value) = field(text)?;
        match name.as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            "host" => hosts += 1,
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && known == 1) {
        return Err(Short::Bad("not one Host"));
    }
    let (body, rest) = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => (Vec::new(), rest),
        ([length], []) => with_length(length, rest)?,
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && known == 1 => chunked(rest)?,
        _ => return Err(Short::Bad("the framing is ambiguous")),
    };
    let message = Message {
        line: String::from_utf8_lossy(request_line).into_owned(),
        marker: marker(target),
        body,
    };
    Ok((message, rest))
}

fn marker(target: &[u8]) -> Option<u16> {
    let at = target.windows(2).position(|pair| pair == b"/m")?;
    let digits = target
        .get(at + 2..)?
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn with_length<'a>(length: &[u8], rest: &'a [u8]) -> Read<'a, Vec<u8>> {
    let all_digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(length)
        .ok()
        .and_then(|digits| digits.parse::<usize>().ok());
    let Some(number) = number.filter(|_| all_digits) else {
        return Err(Short::Bad("a length is no number"));
    };
    let (body, rest) = rest.split_at_checked(number).ok_or(Short::More)?;
    Ok((body.to_vec(), rest))
}

fn chunked(mut rest: &[u8]) -> Read<'_, Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (size_line, after) = line(rest)?;
        let digits: Vec<u8> = size_line
            .iter()
            .copied()
            .take_while(u8::is_ascii_hexdigit)
            .collect();
        let extension = size_line.get(digits.len()..).unwrap_or_default();
        let size = std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else {
            return Err(Short::Bad("a chunk size is no number"));
        };
        if !(extension.is_empty() || extension.starts_with(b";")) || !is_value(extension) {
            return Err(Short::Bad("a chunk extension is malformed"));
        }
        if size == 0 {
            rest = after;
            break;
        }
        let (data, after) = after.split_at_checked(size).ok_or(Short::More)?;
        body.extend_from_slice(data);
        rest = match after {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Err(Short::More),
            _ => return Err(Short::Bad("a chunk does not end in CR LF")),
        };
    }
    loop {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            return Ok((body, rest));
        }
        field(text)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<Vec<u8>, &'static str> {
        match read(text.as_bytes()) {
            Step::Request { message, used } => {
                assert_eq!(used, text.len());
                Ok(message.body)
            }
            Step::NeedMore => Err("more"),
            Step::Malformed(why) => Err(why),
        }
    }

    #[test]
    fn bodies_end_where_they_say() {
        let head = "POST /m2/x HTTP/1.1\r\nHost: a\r\n";
        assert_eq!(body(&format!("{head}\r\n")), Ok(Vec::new()));
        assert_eq!(
            body(&format!("{head}Content-Length: 2\r\n\r\nab")),
            Ok(b"ab".to_vec())
        );
        let chunks =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: u\r\n\r\n");
        assert_eq!(body(&chunks), Ok(b"ab".to_vec()));
        for end in 0..chunks.len() {
            assert_eq!(read(&chunks.as_bytes()[..end]), Step::NeedMore);
        }
        let newer = chunks.replace("HTTP/1.1", "HTTP/1.2");
        assert_eq!(body(&newer), Ok(b"ab".to_vec()));
        assert_eq!(marker(b"/m2/x"), Some(2));
        assert_eq!(marker(b"http://a/m12?x"), Some(12));
        assert_eq!(marker(b"/x"), None);
    }

    #[test]
    fn what_is_ambiguous_is_malformed() {
        for text in [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        ] {
            assert!(
                matches!(read(text.as_bytes()), Step::Malformed(_)),
                "{text:?}"
            );
        }
    }
}
