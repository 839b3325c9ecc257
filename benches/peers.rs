//! The same requests by other hands: a bare loop over the same HTTP client, and curl. They record nothing.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::Command;

use bulk_revoke::clock::Clock;
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_LENGTH};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Outcome;
use super::service::{Place, TENANT, runtime};

/// A loop that any program would begin with. Returns seconds.
pub(super) fn bare(runtime: &Runtime, place: &Place, items: u32, concurrency: usize) -> Outcome<f64> {
    let access = &place.access;
    runtime.block_on(async {
        let bearer = access.tokens.token(TENANT).await?;
        let clock = Clock::system();
        let (mut tasks, mut rows) = (JoinSet::new(), 0..items);
        loop {
            while tasks.len() < concurrency
                && let Some(row) = rows.next()
            {
                tasks.spawn(one(access.client.clone(), access.action(row), bearer.expose().to_owned()));
            }
            match tasks.join_next().await {
                Some(status) => expect(status??, 204)?,
                None => return Ok(clock.now().as_secs_f64()),
            }
        }
    })
}

async fn one(client: Client, url: String, token: String) -> reqwest::Result<u16> {
    let request = client.post(url).bearer_auth(token).header(ACCEPT, "application/json").header(CONTENT_LENGTH, "0");
    let response = request.header("client-request-id", Uuid::new_v4().to_string()).send().await?;
    Ok(response.status().as_u16())
}

fn expect(found: u16, wanted: u16) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("the service answered {found} where {wanted} was expected")) }
}

/// `curl --parallel` with all URLs in one file, its start included. Returns seconds; none if it is not installed.
pub(super) fn curl(place: &Place, items: u32, concurrency: usize) -> Outcome<Option<f64>> {
    if Command::new("curl").arg("--version").output().is_err() {
        return Ok(None);
    }
    let bearer = runtime()?.block_on(place.access.tokens.token(TENANT))?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let config = folder.path().join("curl.txt");
    let mut file = BufWriter::new(File::create(&config)?);
    writeln!(file, "silent\nshow-error\nparallel\nparallel-max = {concurrency}\nnoproxy = \"*\"\nrequest = \"POST\"")?;
    writeln!(file, "header = \"Authorization: Bearer {}\"", bearer.expose())?;
    writeln!(file, "header = \"Accept: application/json\"\nheader = \"Content-Length: 0\"")?;
    writeln!(file, "write-out = \"%{{http_code}}\\n\"")?;
    for row in 0..items {
        writeln!(file, "url = \"{}\"", place.access.action(row))?;
    }
    file.flush()?;
    drop(file);
    let clock = Clock::system();
    let output = Command::new("curl").arg("--config").arg(&config).output()?;
    let seconds = clock.now().as_secs_f64();
    let answers = String::from_utf8_lossy(&output.stdout);
    let done = answers.lines().filter(|line| *line == "204").count();
    if done == usize::try_from(items)? {
        Ok(Some(seconds))
    } else {
        Err(format!("curl: {done} of {items} were accepted: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
