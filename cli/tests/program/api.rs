//! A fake API server on a real socket: responses by path, requests recorded.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// Fake API server.
pub(crate) struct Api {
    folder: tempfile::TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

type Respond = dyn Fn(&str) -> Option<(u16, Value)> + Send + Sync;

impl Api {
    /// Responds with the result of the function for path and query; with `None`, never.
    pub(crate) fn responding(
        respond: impl Fn(&str) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (recorded, respond): (_, Arc<Respond>) = (requests.clone(), Arc::new(respond));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (recorded, respond) = (recorded.clone(), respond.clone());
                thread::spawn(move || serve(stream, &recorded, respond.as_ref()));
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
        Self { folder, requests }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        Path::join(self.folder.path(), "config")
    }

    /// Returns the heads of requests, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, requests: &Mutex<Vec<String>>, respond: &Respond) {
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
        requests.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap();
        let Some((code, body)) = respond(path) else {
            // The client times out and closes.
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

/// Returns an error status, for an object that does not exist or is forbidden.
pub(crate) fn status(code: u16, name: &str) -> (u16, Value) {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "message": "message of the server", "reason": "Some", "details": {"name": name},
    });
    (code, body)
}
