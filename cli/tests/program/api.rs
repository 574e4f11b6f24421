//! An API server as far as this program asks one: over a real socket, answers by path, requests kept.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it was asked, and how it answers.
pub(crate) struct Api {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answer = dyn Fn(&str) -> Option<(u16, Value)> + Send + Sync;

impl Api {
    /// Answers what the function gives for path and query; with `None`, never.
    pub(crate) fn answering(
        answer: impl Fn(&str) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer): (_, Arc<Answer>) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || serve(stream, &kept, answer.as_ref()));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { folder, asked }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        Path::join(self.folder.path(), "config")
    }

    /// Heads of requests, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<String>>, answer: &Answer) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
        asked.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap();
        let Some((code, body)) = answer(path) else {
            // The client gives up and closes.
            let _ = reader.read_line(&mut String::new());
            return;
        };
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {code} X\r\ncontent-length: {length}\r\n\r\n");
        if writer
            .write_all(format!("{head}{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// The answer for an object that is not there, or that may not be read.
pub(crate) fn status(code: u16, name: &str) -> (u16, Value) {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "message": "as the server says", "reason": "Some", "details": {"name": name},
    });
    (code, body)
}
