//! Speed, judged only when asked: `cargo test --release --lib speed -- --ignored`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{Client, host, options};
use crate::sim::{Behaviour, Collection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "says something about a release build only"]
async fn a_million_objects_and_twenty_thousand_requests_a_second() {
    let behaviour = Behaviour {
        log: false,
        ..Behaviour::immediate()
    };
    let client = std::sync::Arc::new(Client::of(options(behaviour, 350_000)).await);
    let started = tokio::time::Instant::now();
    let (workers, each) = (32_u128, 3_000_u128);
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        let client = std::sync::Arc::clone(&client);
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(host(&client.server)).await.unwrap();
            let mut buffer = [0; 4_096];
            for n in 1..=each {
                let request = client.request(Collection::AndroidForWork, worker * each + n);
                stream
                    .write_all(request.replace("connection: close\r\n", "").as_bytes())
                    .await
                    .unwrap();
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..read].starts_with(b"HTTP/1.1 204"));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let rate = f64::from(u32::try_from(workers * each).unwrap()) / started.elapsed().as_secs_f64();
    assert!(rate > 20_000.0, "{rate:.0} requests a second");
}
