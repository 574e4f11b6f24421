//! Lawful requests (RFC 9112), in the variety that the RFC allows: drafts whose every part can
//! still be bent before they become bytes.

use fastrand::Rng;

/// The hosts that every peer serves.
pub const HOSTS: [&str; 2] = ["shop.test", "blog.test"];

/// Parts that a draft must have for an oddity to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Whatever is drawn.
    Any,
    /// A body with a length.
    WithLength,
    /// A chunked body of at least one chunk.
    Chunked,
}

/// A field line.
#[derive(Clone, Debug)]
pub struct Field {
    /// As written.
    pub name: Vec<u8>,
    /// The colon with the white space around the value.
    pub colon: Vec<u8>,
    /// As written.
    pub value: Vec<u8>,
    /// Its line end.
    pub end: Vec<u8>,
}

/// A chunk.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The size, as written.
    pub size: Vec<u8>,
    /// With its semicolon, if there is one.
    pub extension: Vec<u8>,
    /// The line end behind the size.
    pub end: Vec<u8>,
    /// Its data; empty in the last one.
    pub data: Vec<u8>,
    /// The line end behind the data; nothing in the last one.
    pub data_end: Vec<u8>,
}

/// Form of a body.
#[derive(Clone, Debug)]
pub enum Body {
    /// As it is.
    Plain(Vec<u8>),
    /// In the chunked coding: the chunks with the last one, the trailers, the last line end.
    Chunked(Vec<Chunk>, Vec<Field>, Vec<u8>),
}

/// A request that is being made.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its place in the pipeline, which is written into its target: the origin knows it by that.
    pub marker: u16,
    /// Bytes before the request line.
    pub leading: Vec<u8>,
    /// The method.
    pub method: Vec<u8>,
    /// The target.
    pub target: Vec<u8>,
    /// The version.
    pub version: Vec<u8>,
    /// Separator of the three parts.
    pub spaces: [Vec<u8>; 2],
    /// The end of the request line.
    pub line_end: Vec<u8>,
    /// In their order.
    pub fields: Vec<Field>,
    /// The empty line.
    pub head_end: Vec<u8>,
    /// Form of its body.
    pub body: Body,
    /// Content of the body.
    pub content: Vec<u8>,
    /// Nothing may be processed after it.
    pub closes: bool,
    /// Sent up to here only, as parts of ten thousand; then nothing follows.
    pub cut: Option<usize>,
}

impl Field {
    /// `name: value` and a line end.
    pub fn new(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            colon: b": ".to_vec(),
            value: value.as_ref().to_vec(),
            end: b"\r\n".to_vec(),
        }
    }

    /// A line that is whatever it is.
    pub fn raw(line: impl AsRef<[u8]>) -> Self {
        Self {
            name: line.as_ref().to_vec(),
            colon: Vec::new(),
            value: Vec::new(),
            end: b"\r\n".to_vec(),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        [&*self.name, &self.colon, &self.value, &self.end].concat()
    }
}

impl Chunk {
    fn new(data: &[u8], size: String) -> Self {
        let line_end = if data.is_empty() { "" } else { "\r\n" };
        Self {
            size: size.into_bytes(),
            extension: Vec::new(),
            end: b"\r\n".to_vec(),
            data: data.to_vec(),
            data_end: line_end.as_bytes().to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [
            &*self.size,
            &self.extension,
            &self.end,
            &self.data,
            &self.data_end,
        ]
        .concat()
    }
}

impl Draft {
    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = [
            &*self.leading,
            &self.method,
            &self.spaces[0],
            &self.target,
            &self.spaces[1],
            &self.version,
            &self.line_end,
        ]
        .concat();
        self.fields
            .iter()
            .for_each(|field| out.extend(field.bytes()));
        out.extend_from_slice(&self.head_end);
        match &self.body {
            Body::Plain(bytes) => out.extend_from_slice(bytes),
            Body::Chunked(chunks, trailers, end) => {
                chunks.iter().for_each(|chunk| out.extend(chunk.bytes()));
                trailers.iter().for_each(|field| out.extend(field.bytes()));
                out.extend_from_slice(end);
            }
        }
        if let Some(part) = self.cut {
            out.truncate((out.len() * part / 10_000).max(1));
        }
        out
    }

    /// Returns true if it has a body with a length.
    pub fn has_length(&self) -> bool {
        matches!(&self.body, Body::Plain(bytes) if !bytes.is_empty())
    }

    /// Returns true if its body is chunked.
    pub fn is_chunked(&self) -> bool {
        matches!(self.body, Body::Chunked(..))
    }

    /// The first field of this name.
    pub fn field(&mut self, name: &str) -> Option<&mut Field> {
        let mut fields = self.fields.iter_mut();
        fields.find(|field| field.is(name))
    }

    /// Sets a field, or adds it.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match self.field(name) {
            Some(field) => field.value = value.as_ref().to_vec(),
            None => self.add(Field::new(name, value)),
        }
    }

    /// Adds a field line at the end.
    pub fn add(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|field| !field.is(name));
    }

    /// Changes a chunk of the body: the first, or the last one, which has no data.
    pub fn chunk(&mut self, last: bool) -> Option<&mut Chunk> {
        let Body::Chunked(chunks, ..) = &mut self.body else {
            return None;
        };
        if last {
            chunks.last_mut()
        } else {
            chunks.first_mut()
        }
    }

    /// Takes its body away.
    pub fn without_body(&mut self) {
        self.remove("Content-Length");
        self.remove("Transfer-Encoding");
        self.body = Body::Plain(Vec::new());
        self.content.clear();
    }

    /// Makes it one of HTTP/1.0, lawful as such.
    pub fn old(&mut self) {
        if self.is_chunked() {
            self.without_body();
        }
        self.method = b"POST".to_vec();
        self.version = b"HTTP/1.0".to_vec();
    }

    /// Adds a line to the trailer section.
    pub fn trailer(&mut self, field: Field) {
        if let Body::Chunked(_, trailers, _) = &mut self.body {
            trailers.push(field);
        }
    }
}

/// A lawful request.
pub fn lawful(rng: &mut Rng, marker: u16, base: Base) -> Draft {
    let host = *pick(rng, &HOSTS);
    let mut draft = Draft {
        marker,
        leading: Vec::new(),
        method: method(rng, base).into(),
        target: target(rng, marker).into_bytes(),
        version: b"HTTP/1.1".to_vec(),
        spaces: [b" ".to_vec(), b" ".to_vec()],
        line_end: b"\r\n".to_vec(),
        fields: vec![Field::new("Host", host)],
        head_end: b"\r\n".to_vec(),
        body: Body::Plain(Vec::new()),
        content: Vec::new(),
        closes: false,
        cut: None,
    };
    for _ in 0..rng.usize(0..4) {
        draft.add(ordinary_field(rng));
    }
    let kind = match base {
        Base::Any => rng.u8(0..3),
        Base::WithLength => 1,
        Base::Chunked => 2,
    };
    match kind {
        0 => {}
        1 => with_length(rng, &mut draft, base),
        _ => chunked(rng, &mut draft, base),
    }
    close_or_keep(rng, &mut draft);
    for field in &mut draft.fields {
        disguise(rng, field);
    }
    rng.shuffle(&mut draft.fields);
    draft
}

fn method(rng: &mut Rng, base: Base) -> &'static str {
    let all = ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH"];
    let first = if base == Base::Any { 0 } else { 4 };
    pick::<&str>(rng, all.get(first..).unwrap_or(&all))
}

fn target(rng: &mut Rng, marker: u16) -> String {
    let tail = pick(
        rng,
        &[
            "",
            "/",
            "/a",
            "/a/b.c",
            "/%20",
            "?",
            "?q",
            "?a=b&c=d%20",
            "/~x;y=z?u",
            "/a:b@c,d!e",
        ],
    );
    format!("/m{marker}{tail}")
}

fn ordinary_field(rng: &mut Rng) -> Field {
    let fields = [
        ("Accept", "*/*"),
        ("User-Agent", "differential/1 (test; a \"b\" \\ c)"),
        ("X-Empty", ""),
        ("X-Tab", "a\tb"),
        ("Cookie", "a=b; c=d"),
        ("Accept-Encoding", "gzip, chunked"),
        ("X-Like", "Transfer-Encoding: chunked"),
        ("Content-Type", "text/plain"),
        ("X-Punctuation", "!#$%&'*+-.^_`|~"),
        ("Range", "bytes=0-4"),
        ("Cache-Control", "no-cache"),
    ];
    let (name, value) = pick(rng, &fields);
    Field::new(name, value)
}

/// A body that would be requests if it were not a body.
fn content(rng: &mut Rng) -> Vec<u8> {
    let smuggled = b"GET /m9-smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    match rng.u8(0..6) {
        0 => smuggled.to_vec(),
        1 => b"0\r\n\r\n".to_vec(),
        2 => [&b"\r\n"[..], smuggled].concat(),
        3 => (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect(),
        4 => vec![b'x'; rng.usize(1..300)],
        _ => b"hello".to_vec(),
    }
}

fn with_length(rng: &mut Rng, draft: &mut Draft, base: Base) {
    let content = match rng.u8(0..8) {
        0 if base == Base::Any => Vec::new(),
        _ => content(rng),
    };
    let zeros = pick(rng, &["", "", "", "0", "000"]);
    draft.add(Field::new(
        "Content-Length",
        format!("{zeros}{}", content.len()),
    ));
    draft.body = Body::Plain(content.clone());
    draft.content = content;
}

fn chunked(rng: &mut Rng, draft: &mut Draft, base: Base) {
    let coding = pick(
        rng,
        &["chunked", "chunked", "chunked", "Chunked", "CHUNKED"],
    );
    draft.add(Field::new("Transfer-Encoding", coding));
    let least = usize::from(base == Base::Chunked);
    let mut chunks = Vec::new();
    for _ in 0..rng.usize(least..4) {
        let data = content(rng);
        draft.content.extend_from_slice(&data);
        let size = match rng.u8(0..4) {
            0 => format!("{:X}", data.len()),
            1 => format!("{:04x}", data.len()),
            _ => format!("{:x}", data.len()),
        };
        let mut chunk = Chunk::new(&data, size);
        chunk.extension = extension(rng);
        chunks.push(chunk);
    }
    let size = (*pick(rng, &["0", "0", "0", "00", "0000"])).to_owned();
    let mut last = Chunk::new(b"", size);
    last.extension = extension(rng);
    chunks.push(last);
    let mut trailers = Vec::new();
    for _ in 0..rng.usize(0..6).saturating_sub(3) {
        trailers.push(Field::new("X-Trailer", "a b"));
    }
    draft.body = Body::Chunked(chunks, trailers, b"\r\n".to_vec());
}

/// RFC 9112 7.1.1.
fn extension(rng: &mut Rng) -> Vec<u8> {
    let extensions: [&[u8]; 12] = [
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        b";a",
        b";a=b",
        b";a=\"b c\"",
        b";a;b=c",
    ];
    pick(rng, &extensions).to_vec()
}

fn close_or_keep(rng: &mut Rng, draft: &mut Draft) {
    match rng.u8(0..16) {
        0 => {
            draft.add(Field::new(
                "Connection",
                *pick(rng, &["close", "Close", "keep-alive, close"]),
            ));
            draft.closes = true;
        }
        1 => draft.add(Field::new("Connection", "keep-alive")),
        2 if may_be_old(draft) => {
            draft.version = b"HTTP/1.0".to_vec();
            draft.closes = true;
        }
        3 if may_be_old(draft) => {
            draft.version = b"HTTP/1.0".to_vec();
            draft.add(Field::new("Connection", "keep-alive"));
        }
        4 => draft.leading = b"\r\n".to_vec(),
        _ => {}
    }
}

/// HTTP/1.0 has no chunks, and RFC 1945 8 gives a body to some methods alone.
fn may_be_old(draft: &mut Draft) -> bool {
    let with_body = matches!(&*draft.method, b"POST" | b"PUT" | b"PATCH");
    !draft.is_chunked() && (with_body || draft.field("Content-Length").is_none())
}

/// The spellings that RFC 9110 5.1 and RFC 9112 5 leave open.
fn disguise(rng: &mut Rng, field: &mut Field) {
    match rng.u8(0..8) {
        0 => field.name.make_ascii_lowercase(),
        1 => field.name.make_ascii_uppercase(),
        2 => field.colon = b":".to_vec(),
        3 => field.colon = b":   ".to_vec(),
        4 => field.end = b"  \r\n".to_vec(),
        _ => {}
    }
}

/// One of them.
pub fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    let at = rng.usize(0..choices.len().max(1));
    // The lists are constants with at least one element.
    #[expect(clippy::indexing_slicing, reason = "within the list by construction")]
    &choices[at]
}
