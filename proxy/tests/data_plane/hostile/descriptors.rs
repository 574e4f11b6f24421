//! No free descriptor. The limit is one of a whole process, so the data plane gets a process of
//! its own: this test program again, with the origin's address in its environment.

use super::post;
use crate::client::Client;
use crate::origin::{Origin, Then, ok};
use crate::proxy::{Proxy, endpoints, host};
use crate::{soon, until};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

const ORIGIN: &str = "PORTOLAN_TEST_ORIGIN";
const NAME: &str =
    "hostile::descriptors::when_descriptors_run_out_requests_end_well_and_new_clients_find_room";
/// How many more may be opened once the data plane serves.
const FREE: u64 = 20;

/// A data plane in a process of its own; it ends with this value.
struct Server {
    process: Child,
    at: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(origin: SocketAddr) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env(ORIGIN, origin.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let at = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("serving at ")?.1.parse().ok());
        let at = at.expect("the data plane to say where it serves");
        Self { process, at }
    }
}

/// Main function of the other process: serves with few descriptors until its input is closed.
async fn serve(origin: SocketAddr) {
    let proxy = Proxy::serving(vec![
        endpoints("t/shop:80", &[origin]),
        host("shop.test", "t/shop:80"),
    ])
    .await;
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Some(open + FREE);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )
    .unwrap();
    println!("serving at {}", proxy.http);
    let released = || std::io::stdin().read_to_end(&mut Vec::new());
    let _ = tokio::task::spawn_blocking(released).await;
}

#[tokio::test]
async fn when_descriptors_run_out_requests_end_well_and_new_clients_find_room() {
    if let Ok(origin) = std::env::var(ORIGIN) {
        return serve(origin.parse().unwrap()).await;
    }
    let origin = Origin::start(|request| (ok(&request.body), Then::Keep)).await;
    let address = origin.address;
    let server = tokio::task::spawn_blocking(move || Server::start(address));
    let server = soon("the data plane", server).await.unwrap();
    let mut busy = Client::connect(server.at).await;
    busy.send(post("Content-Length: 10") + "hello").await;
    until("the request at the origin", || origin.bytes() > 0).await;
    // The kernel takes them all, the data plane as many as it can.
    let mut idle = Vec::new();
    for _ in 0..10 * FREE {
        idle.push(Client::connect(server.at).await);
    }
    busy.send("world").await;
    assert_eq!(busy.response().await.text(), "helloworld");
    soon("room for another client", async {
        loop {
            let mut late = Client::connect(server.at).await;
            let asked = late.try_send(post("Content-Length: 4") + "late").await;
            if asked.is_ok()
                && let Ok(response) = late.try_response(false).await
                && response.status == 200
            {
                return assert_eq!(response.text(), "late");
            }
        }
    })
    .await;
    drop(idle);
}
