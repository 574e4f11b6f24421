//! curl, as people use it.

use crate::proxied_over;
use anyhow::{Context, Result, ensure};
use portolan_clients::origin::Origin;
use portolan_clients::process::{self, Running};
use portolan_clients::{DEADLINE, Version};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// One way through one proxy, and a folder for files.
struct Place<'a> {
    scheme: &'static str,
    down: Version,
    up: Version,
    base: String,
    origin: &'a Origin,
    folder: &'a Path,
    always: Vec<String>,
}

/// Runs a test in the clear and over TLS, with each version on each side.
async fn everywhere(test: impl AsyncFn(&Place<'_>) -> Result<()>) -> Result<()> {
    over(&Version::ALL, test).await
}

/// The same with these versions towards curl.
async fn over(downs: &[Version], test: impl AsyncFn(&Place<'_>) -> Result<()>) -> Result<()> {
    for up in Version::ALL {
        let (origin, proxy) = proxied_over(up).await?;
        let folder = TempDir::new()?;
        for (scheme, authority, address) in proxy.places() {
            for down in downs.iter().copied() {
                let version = match (down, scheme) {
                    (Version::Http1, _) => "--http1.1",
                    (Version::Http2, "http") => "--http2-prior-knowledge",
                    (Version::Http2, _) => "--http2",
                };
                let place = Place {
                    scheme,
                    down,
                    up,
                    base: format!("{scheme}://{authority}"),
                    origin: &origin,
                    folder: folder.path(),
                    always: ["--disable", "--silent", "--show-error", "--noproxy", "*"]
                        .into_iter()
                        .map(String::from)
                        .chain(["--resolve".into(), format!("{authority}:{}", address.ip())])
                        .chain(["--cacert".into(), proxy.ca_file().display().to_string()])
                        .chain([version.into()])
                        .collect(),
                };
                test(&place).await.with_context(|| place.name())?;
            }
        }
        proxy.ends_well().await?;
    }
    Ok(())
}

impl Place<'_> {
    fn name(&self) -> String {
        let (down, up) = (self.down.name(), self.up.name());
        format!("{}, {down} to {up}", self.scheme)
    }

    /// A name for requests that nobody else has.
    fn id(&self, what: &str) -> String {
        format!("curl-{what}-{}-{:?}-{:?}", self.scheme, self.down, self.up)
    }

    /// How a head with this status begins.
    fn begins(&self, status: u16) -> String {
        match self.down {
            Version::Http1 => format!("HTTP/1.1 {status} "),
            Version::Http2 => format!("HTTP/2 {status} "),
        }
    }

    /// curl 7.88 fails at its second request over a connection of prior knowledge, whoever is asked
    /// (Go's server too): h2load and Go do that in the clear.
    fn keeps_its_connection(&self) -> bool {
        !(self.scheme == "http" && self.down == Version::Http2)
    }

    fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        curl.args(&self.always);
        curl
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}-{name}", self.scheme))
    }

    /// Runs curl, which must succeed; gives what it wrote to its standard output.
    async fn succeeds<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        process::succeed(self.curl().args(arguments), DEADLINE).await
    }

    /// Over HTTP/2, when it has begun to send.
    fn may_lie(&self, expect: &str) -> bool {
        self.down == Version::Http2 && expect == "Expect:"
    }

    /// A file of random bytes, and its sum.
    fn random_file(&self, name: &str, count: usize) -> Result<(String, String)> {
        let mut data = vec![0; count];
        fastrand::fill(&mut data);
        let file = self.file(name);
        std::fs::write(&file, &data)?;
        Ok((
            file.display().to_string(),
            hex::encode(Sha256::digest(&data)),
        ))
    }

    /// Downloads into a file; gives the sum of what is there, and the head with its trailers.
    async fn downloads(&self, path: &str, options: &[&str]) -> Result<(String, String)> {
        let (body, head) = (self.file("body"), self.file("head"));
        let mut curl = self.curl();
        curl.args(options).arg(self.url(path));
        curl.arg("--output")
            .arg(&body)
            .arg("--dump-header")
            .arg(&head);
        process::succeed(&mut curl, DEADLINE).await?;
        let sum = hex::encode(Sha256::digest(std::fs::read(&body)?));
        Ok((sum, std::fs::read_to_string(&head)?))
    }
}

/// What the origin says it received.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    method: String,
    proto: String,
    bytes: u64,
    sha256: String,
    content_length: i64,
    expect: String,
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn received(answer: &str) -> Result<Received> {
    serde_json::from_str(answer).with_context(|| format!("not what /digest answers: {answer}"))
}

#[tokio::test]
async fn downloads_are_whole() -> Result<()> {
    everywhere(async |place| {
        for path in [
            "/bytes/0",
            "/bytes/1",
            "/bytes/67108864",
            "/stream/1",
            "/stream/33554432",
        ] {
            let (sum, head) = place.downloads(path, &[]).await?;
            ensure!(
                field(&head, "x-content-sha256") == Some(&sum),
                "{path}: what came has the sum {sum}\n{head}"
            );
        }
        Ok(())
    })
    .await
}

/// Chunks are taken off, trailers with them: RFC 9112, 6.1 and 7.1.2.
#[tokio::test]
async fn http_1_0_downloads_are_whole() -> Result<()> {
    over(&[Version::Http1], async |place| {
        let (sum, head) = place.downloads("/bytes/1000000", &["--http1.0"]).await?;
        ensure!(
            field(&head, "x-content-sha256") == Some(&sum),
            "{sum}\n{head}"
        );
        // The same content by another way: its sum is known from there.
        let (expected, _) = place.downloads("/bytes/3000000", &[]).await?;
        let (sum, head) = place.downloads("/stream/3000000", &["--http1.0"]).await?;
        ensure!(
            sum == expected && field(&head, "transfer-encoding").is_none(),
            "{sum}\n{head}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_range_is_a_part_of_the_whole() -> Result<()> {
    everywhere(async |place| {
        place.downloads("/bytes/1000000", &[]).await?;
        let whole = std::fs::read(place.file("body"))?;
        let (sum, head) = place
            .downloads("/bytes/1000000", &["--range", "1000-500000"])
            .await?;
        ensure!(head.starts_with(&place.begins(206)), "{head}");
        ensure!(sum == hex::encode(Sha256::digest(&whole[1000..=500_000])));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() -> Result<()> {
    everywhere(async |place| {
        let head = place
            .succeeds(["--head", &place.url("/bytes/123456")])
            .await?;
        ensure!(head.starts_with(&place.begins(200)), "{head}");
        ensure!(field(&head, "content-length") == Some("123456"), "{head}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn uploads_arrive_whole() -> Result<()> {
    everywhere(async |place| {
        for count in [1, 500_000, 32 << 20] {
            let (file, sum) = place.random_file("upload", count)?;
            let url = place.url("/digest");
            // curl asks with Expect: 100-continue from 1 MiB on, and waits for the answer.
            for (method, options, length) in [
                ("PUT", vec!["--upload-file", &file], count.try_into()?),
                ("POST", vec!["--data-binary", &format!("@{file}")], count.try_into()?),
                ("POST", vec!["--data-binary", &format!("@{file}"), "--header", "Transfer-Encoding: chunked"], -1),
                ("PUT", vec!["--upload-file", &file, "--header", "Transfer-Encoding: chunked"], -1),
            ] {
                let wait = ["--expect100-timeout", "60"];
                let answer = place.succeeds(options.into_iter().chain(wait).chain([&*url])).await?;
                let it = received(&answer)?;
                ensure!(
                    it.sha256 == sum && it.method == method && it.content_length == length,
                    "{count} bytes with the sum {sum} were sent by {method} (length {length}): {it:?}"
                );
                ensure!(it.bytes == count as u64 && it.expect.is_empty(), "{it:?}");
                ensure!(it.proto == place.up.name(), "{it:?}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_http_1_0_upload_arrives_whole() -> Result<()> {
    over(&[Version::Http1], async |place| {
        let (file, sum) = place.random_file("upload", 3_000_000)?;
        let url = place.url("/digest");
        let it = received(
            &place
                .succeeds(["--http1.0", "--upload-file", &file, &url])
                .await?,
        )?;
        ensure!(it.sha256 == sum, "{it:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn several_urls_go_over_one_connection() -> Result<()> {
    everywhere(async |place| {
        if !place.keeps_its_connection() {
            return Ok(());
        }
        let urls: Vec<String> = (0..20)
            .map(|i| place.url(&format!("/{}/{}", ["bytes", "stream"][i % 2], i * 10_000)))
            .collect();
        let mut curl = place.curl();
        curl.args([
            "--write-out",
            "%{num_connects} %{response_code} %{size_download}\n",
        ]);
        for url in &urls {
            curl.args(["--output", "/dev/null", url]);
        }
        let said = process::succeed(&mut curl, DEADLINE).await?;
        for (i, line) in said.lines().enumerate() {
            let connects = u8::from(i == 0);
            ensure!(
                line == format!("{connects} 200 {}", i * 10_000),
                "URL {i}: {line}"
            );
        }
        ensure!(said.lines().count() == urls.len(), "{said}");
        Ok(())
    })
    .await
}

/// Streams of one connection: answers of different lengths come beside one another.
#[tokio::test]
async fn many_urls_at_once_go_over_one_connection() -> Result<()> {
    over(&[Version::Http2], async |place| {
        const COUNT: usize = 60;
        if !place.keeps_its_connection() {
            return Ok(());
        }
        let mut curl = place.curl();
        curl.args(["--parallel", "--parallel-max", "60"]).args([
            "--write-out",
            "%{num_connects} %{http_version} %{response_code} %{size_download}\n",
        ]);
        for i in 0..COUNT {
            let path = format!("/{}/{}", ["bytes", "stream"][i % 2], i * 10_000);
            curl.args(["--output", "/dev/null", &place.url(&path)]);
        }
        let said = process::succeed(&mut curl, DEADLINE).await?;
        let mut sizes = Vec::new();
        let mut connects = 0;
        for line in said.lines() {
            let mut words = line.split(' ');
            connects += words.next().context("no count")?.parse::<u32>()?;
            ensure!(
                (words.next(), words.next()) == (Some("2"), Some("200")),
                "{line}"
            );
            sizes.push(words.next().context("no size")?.parse::<usize>()?);
        }
        sizes.sort_unstable();
        ensure!(
            sizes.into_iter().eq((0..COUNT).map(|i| i * 10_000)),
            "{said}"
        );
        ensure!(connects == 1, "{connects} connections\n{said}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_download_that_is_broken_off_is_cancelled_at_the_origin() -> Result<()> {
    everywhere(async |place| {
        let id = place.id("download");
        let mut curl = place.curl();
        curl.args([
            "--header",
            &format!("X-Test-Id: {id}"),
            "--output",
            "/dev/null",
        ])
        .arg(place.url("/endless"));
        let download = Running::start("curl", &mut curl)?;
        place.origin.has_seen(&id, |it| it.sent > 8 << 20).await?;
        drop(download);
        place.origin.has_seen_cancelled(&id).await
    })
    .await
}

#[tokio::test]
async fn a_wait_that_is_broken_off_is_cancelled_at_the_origin() -> Result<()> {
    everywhere(async |place| {
        let id = place.id("wait");
        let mut curl = place.curl();
        curl.args([
            "--header",
            &format!("X-Test-Id: {id}"),
            &place.url("/nothing"),
        ]);
        let wait = Running::start("curl", &mut curl)?;
        place.origin.has_seen(&id, |it| it.state == "open").await?;
        drop(wait);
        place.origin.has_seen_cancelled(&id).await
    })
    .await
}

#[tokio::test]
async fn an_upload_that_is_broken_off_is_cancelled_at_the_origin() -> Result<()> {
    everywhere(async |place| {
        let id = place.id("upload");
        let (file, _) = place.random_file("upload", 32 << 20)?;
        let mut curl = place.curl();
        curl.args([
            "--header",
            &format!("X-Test-Id: {id}"),
            "--limit-rate",
            "4M",
        ])
        .args(["--upload-file", &file, &place.url("/digest")]);
        let upload = Running::start("curl", &mut curl)?;
        place
            .origin
            .has_seen(&id, |it| it.received > 1 << 20)
            .await?;
        drop(upload);
        place.origin.has_seen_cancelled(&id).await
    })
    .await
}

/// Whether the answer's body was lost because curl lied about its own: over HTTP/2 it ends its stream
/// as soon as it sees 413, short of the length that it has declared (seen with curl 7.88). That is
/// malformed, and a stream error (RFC 9113, 8.1.1), which may overtake the body of the answer.
fn lied(told: &anyhow::Error) -> bool {
    let told = told.to_string();
    told.contains("\n413\n") && told.contains("PROTOCOL_ERROR")
}

/// The client still has most of its body to say when the answer is there (RFC 9112, 9.3).
#[tokio::test]
async fn an_upload_that_is_refused_early_gets_its_answer() -> Result<()> {
    everywhere(async |place| {
        let (file, _) = place.random_file("upload", 32 << 20)?;
        let url = place.url("/refuse");
        for expect in ["Expect: 100-continue", "Expect:"] {
            for _ in 0..5 {
                let answer = place
                    .succeeds([
                        "--upload-file",
                        &file,
                        "--header",
                        expect,
                        "--write-out",
                        "%{response_code}",
                        &url,
                    ])
                    .await;
                match answer {
                    Err(told) if place.may_lie(expect) && lied(&told) => {}
                    answer => ensure!(
                        answer? == "no body is wanted here\n413",
                        "{expect}: another answer"
                    ),
                }
            }
        }
        Ok(())
    })
    .await
}
